"""The loop: schedules, resume to the bit, NaN, several optimizer steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dabench.data.volumes import ArrayVolume
from dabench.errors import ConfigError, DivergedError, WeightsError
from dabench.inference.predictor import NetworkPredictor
from dabench.interfaces import CropSpec, OptimizerSpec, OptimizerStep, Predictor, Stage
from dabench.training.checkpoint import load_weights, read_weights, save_weights
from dabench.training.loop import LoopOptions, train
from dabench.training.optimizers import learning_rate, make_optimizer
from dabench.training.sampling import CropSampler
from dabench.types import Batch


class Toy(Stage):
    """Two small layers, an optimizer step each; ``explode_at`` makes the loss NaN there."""

    def __init__(self, explode_at: int = -1) -> None:
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 1)
        self.explode_at, self.refreshed, self.total = explode_at, 0, torch.zeros(())
        self.finished = 0
        self.refresh_every = 3

    def modules(self) -> Mapping[str, nn.Module]:
        return {"network": self.first, "critic": self.second}

    def optimizer_steps(self) -> Sequence[OptimizerStep]:
        spec = OptimizerSpec(0.1, warmup=2, clip=1.0)
        return [
            OptimizerStep("net", self.first.parameters, spec),
            OptimizerStep("critic", self.second.parameters, spec),
        ]

    def step(self, batch: Batch, optimizer: str) -> dict[str, torch.Tensor]:
        x = torch.rand(3, 4, generator=batch.generator) + batch.target.images.mean()
        x = torch.dropout(x, 0.5, train=True)
        loss = self.second(self.first(x)).square().mean() * (1 if optimizer == "net" else -0.01)
        if batch.step == self.explode_at:
            loss = loss * float("nan")
        return {"loss": loss, "size": x.mean()}

    def refresh(self, data: object) -> None:
        self.refreshed += 1
        self.total = self.total + 1

    def finish(self, data: object) -> None:
        self.finished += 1
        with torch.no_grad():
            self.first.bias.fill_(7.0)

    def state(self) -> dict[str, torch.Tensor]:
        return {"total": self.total}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        self.total = state["total"]

    def predictor(self) -> Predictor:
        return NetworkPredictor(self.first)


def sampler() -> CropSampler:
    images = ArrayVolume(np.random.default_rng(0).random((2, 16, 16)).astype(np.float32))
    return CropSampler(CropSpec(8, target=1), 0, "toy", target=images)


def options(path: Path, every: int = 2) -> LoopOptions:
    return LoopOptions(torch.device("cpu"), False, path / "checkpoint.pt", every)


def run(stage: Toy, path: Path, stop: int = 99, every: int = 2) -> list[dict[str, float]]:
    losses = []
    for update in train(stage, 8, sampler(), None, options(path, every)):  # type: ignore[arg-type]
        losses.append(update.losses)
        if update.step + 1 == stop:
            break
    return losses


@pytest.mark.parametrize("stop", [1, 3, 4, 7])
def test_resumed_is_bit_identical(tmp_path: Path, stop: int) -> None:
    whole, parts = Toy(), Toy()
    expected = run(whole, tmp_path / "whole")
    run(parts, tmp_path / "parts", stop)
    again = Toy()
    rest = run(again, tmp_path / "parts")
    assert rest == expected[stop // 2 * 2 :]
    for name, module in whole.modules().items():
        for key, value in module.state_dict().items():
            assert torch.equal(value, again.modules()[name].state_dict()[key])
    assert torch.equal(whole.total, again.total)


def test_a_stage_finishes_once_before_its_last_checkpoint(tmp_path: Path) -> None:
    stopped, whole = Toy(), Toy()
    run(stopped, tmp_path, 7)
    assert stopped.finished == 0
    run(whole, tmp_path)
    assert whole.finished == 1
    found = Toy()
    run(found, tmp_path)  # nothing is left to do
    assert found.finished == 0
    assert found.first.bias.tolist() == [7.0] * 4


def test_every_turn_reports_and_only_its_own_parameters_move(tmp_path: Path) -> None:
    stage = Toy()
    before = stage.first.weight.clone()
    losses = run(stage, tmp_path, 1)
    assert set(losses[0]) == {"net/loss", "net/size", "critic/loss", "critic/size"}
    assert not torch.equal(before, stage.first.weight)


def test_nan_stops_names_the_step_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"update 5 \(optimizer step 'net'"):
        run(Toy(explode_at=5), tmp_path)
    assert (tmp_path / "checkpoint.pt").is_file()


def test_learning_rate_by_hand() -> None:
    spec = OptimizerSpec(1.0, warmup=2, power=1.0, floor=0.25)
    rates = [learning_rate(spec, step, 10) for step in (0, 1, 2, 6, 9)]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.5, 0.25])


def test_the_rate_may_decay_over_more_updates_than_the_stage_has() -> None:
    # AdaptSegNet's release: power 0.9 over 250,000 updates, stopped at 150,000.
    spec = OptimizerSpec(2.0, span=250)
    assert [learning_rate(spec, step, 150) for step in (0, 50, 150)] == pytest.approx([2, 2 * 0.8**0.9, 2 * 0.4**0.9])
    warmed = OptimizerSpec(1.0, warmup=2, power=1.0, span=12)
    assert [learning_rate(warmed, step, 8) for step in (0, 2, 7)] == pytest.approx([0.5, 1.0, 0.5])


def test_the_rate_stays_at_the_floor_once_the_span_is_over() -> None:
    spec = OptimizerSpec(1.0, floor=0.1, span=4)
    assert [learning_rate(spec, step, 10) for step in (4, 9)] == pytest.approx([0.1, 0.1])
    assert learning_rate(OptimizerSpec(1.0, span=4), 9, 10) == 0


def test_unknown_optimizer() -> None:
    step = OptimizerStep("t", nn.Linear(1, 1).parameters, OptimizerSpec(0.1, name="lion"))
    with pytest.raises(ConfigError, match="lion"):
        make_optimizer(step)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(WeightsError, match=r"checkpoint\.pt"):
        run(Toy(), tmp_path)


def test_weights_round_trip_and_of_another_model(tmp_path: Path) -> None:
    stage, other = Toy(), Toy()
    stage.total = torch.tensor(7.0)
    save_weights(tmp_path / "w.safetensors", stage)
    nn.init.zeros_(other.first.weight)
    load_weights(tmp_path / "w.safetensors", other)
    assert torch.equal(other.first.weight, stage.first.weight)
    assert other.total == 7
    other.first = nn.Linear(4, 5)
    with pytest.raises(WeightsError, match="does not fit"):
        load_weights(tmp_path / "w.safetensors", other)


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("ran",)

    torch.save({"w": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match="run code"):
        read_weights(tmp_path / "evil.pth")

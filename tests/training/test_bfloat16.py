"""In bfloat16 and channels last a resumed stage ends with the same bits, whichever way its parent came here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest

import pytest
import torch

from dabench.components.registry import Registry
from dabench.interfaces import OptimizerSpec, OptimizerStep, Stage, StageSpec
from dabench.testing.fixtures import Fixtures
from dabench.testing.trial_run import Trained, TrialRun
from dabench.training.loop import LoopOptions, Update
from dabench.training.optimizers import make_optimizer


class InBfloat16(TrialRun):
    def _loop(self, stage: Stage, spec: StageSpec, options: LoopOptions) -> Iterator[Update]:
        return super()._loop(stage, spec, replace(options, bfloat16=True))


@pytest.fixture(scope="module")
def trial(registry: Registry) -> InBfloat16:
    return InBfloat16(Fixtures(registry), "prefer-das", 0.3)


@pytest.fixture(scope="module")
def chain(trial: InBfloat16) -> list[Trained]:
    return trial.chain()


def differences(one: Trained, other: Trained) -> list[str]:
    """Updates whose losses, and tensors whose bits, are not the same."""
    losses = ([update.losses for update in trained.updates] for trained in (one, other))
    updates = [f"update {i}" for i, (a, b) in enumerate(zip_longest(*losses)) if a != b]
    here, there = one.weights, other.weights
    names = sorted(here.keys() ^ there.keys())
    return [
        *updates,
        *names,
        *(name for name in here.keys() & there.keys() if not torch.equal(here[name], there[name])),
    ]


def convolutions(stage: Stage) -> list[torch.Tensor]:
    return [p for m in stage.modules().values() for p in m.parameters() if p.dim() == 4]


@pytest.mark.parametrize("index", [0, 1, 2])
def test_resumed_is_bit_identical(index: int, trial: InBfloat16, chain: list[Trained]) -> None:
    parent = chain[index - 1].stage if index else None
    assert differences(trial.interrupted(trial.specs[index], parent), chain[index]) == []


@pytest.mark.parametrize("index", [1, 2])
def test_a_parent_that_was_loaded_gives_the_same_bits(index: int, trial: InBfloat16, chain: list[Trained]) -> None:
    parent = trial.build(trial.specs[index - 1], chain[index - 2].stage if index > 1 else None)
    for name, module in chain[index - 1].stage.modules().items():
        loaded = parent.modules()[name]
        for parameter in loaded.parameters():
            parameter.data = parameter.data.contiguous()
        loaded.load_state_dict(module.state_dict())
    assert differences(trial.straight(trial.specs[index], parent), chain[index]) == []


def test_all_stays_channels_last_and_float32(chain: list[Trained]) -> None:
    for trained in chain:
        found = convolutions(trained.stage)
        assert found
        assert all(p.is_contiguous(memory_format=torch.channels_last) for p in found)
        assert all(p.dtype == torch.float32 for p in found)


@pytest.mark.parametrize("name", ["adamw", "adam"])
def test_fused_optimizers_step_as_plain_ones_do(name: str) -> None:
    def weights(fused: bool) -> torch.Tensor:
        torch.manual_seed(0)
        layer = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        optimizer = make_optimizer(OptimizerStep("all", layer.parameters, OptimizerSpec(0.1, name)))
        assert optimizer.param_groups[0]["fused"]
        optimizer.param_groups[0]["fused"] = fused
        for _ in range(3):
            optimizer.zero_grad()
            layer(torch.rand(2, 3, 8, 8)).square().mean().backward()
            optimizer.step()
        return layer.weight.detach()

    torch.testing.assert_close(weights(True), weights(False), rtol=1e-5, atol=1e-6)

"""SAC: the target's loss by hand, whose statistics BatchNorm keeps, who learns, and resume in the middle."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from dabench_sac import BaselineStage, SACSettings, SACStage
from torch import Tensor, nn

from dabench.annotation.desk import AnnotationDesk
from dabench.components.assembly import Assembly
from dabench.components.registry import Registry
from dabench.ops.prompts import NetworkOutput
from dabench.plugin import Budget, ConfigError, CropSpec, PseudoTargets, SelfTraining, TaskInfo
from dabench.runs.config import validate_config
from dabench.runs.weights import WeightsStore
from dabench.testing.fixtures import discs
from dabench.testing.trial_run import Truth, snapshot
from dabench.training.loop import LoopOptions, train
from dabench.training.sampling import CropSampler, LabelledSlices
from dabench.training.stage_data import StageData
from dabench.types import Batch, CropId, SourceCrops, TargetCrops, Window


class Toy(nn.Module):
    """BatchNorm, one convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.head = nn.BatchNorm2d(1), nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, images: Tensor, *_: Any, **__: Any) -> NetworkOutput:
        return NetworkOutput(self.head(self.norm(images))[:, :1])


class Told(SelfTraining):
    """Says what it was told."""

    def __init__(self, labels: Tensor, weights: Tensor) -> None:
        self.labels, self.weights = labels, weights

    def start(self, student: nn.Module) -> None:
        pass

    def targets(self, crops: TargetCrops, generator: torch.Generator) -> PseudoTargets:
        return PseudoTargets(self.labels, self.weights, crops.points, None, self.weights)


def batch(source: float = 0.2, target: float = 0.8) -> Batch:
    points, window = [torch.zeros(0, 2)] * 2, Window(0, 0, 16, 16)
    noise = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(1)) * 0.1
    labels = (noise[:, 0] > 0.05).to(torch.uint8)
    crops = TargetCrops(noise + target, points, [CropId(0, window)] * 2)
    return Batch(0, torch.Generator().manual_seed(0), SourceCrops(noise + source, labels, points), crops)


def test_the_targets_loss_is_a_weighted_mean_over_all_pixels() -> None:
    labels = torch.full((2, 16, 16), 255, dtype=torch.uint8)
    labels[0] = 1
    stage = SACStage(SACSettings(), Toy(), Told(labels, torch.full((2, 16, 16), 0.5)))
    for parameter in cast(Toy, stage.student).head.parameters():
        nn.init.zeros_(parameter)
    terms = stage.step(batch(), "network")
    # ln 2 a pixel, weight a half, half of the pixels known, times 5; a warp may push a few pixels out.
    assert terms["target"].item() == pytest.approx(5 * 0.693 * 0.5 * 0.5, rel=0.15)
    assert terms["loss"].item() == pytest.approx(sum(terms[n].item() for n in ("segmentation", "overlap", "target")))
    assert terms["pseudo_known"].item() == 0.5


def test_nothing_known_gives_no_target_loss() -> None:
    ignored = torch.full((2, 16, 16), 255, dtype=torch.uint8)
    stage = SACStage(SACSettings(), Toy(), Told(ignored, torch.ones(2, 16, 16)))
    assert stage.step(batch(), "network")["target"].item() == 0


def test_a_scheme_that_works_in_rounds_is_refreshed() -> None:
    scheme = Told(torch.zeros(2, 16, 16, dtype=torch.uint8), torch.ones(2, 16, 16))
    assert SACStage(SACSettings(), Toy(), scheme).refresh_every == 0
    scheme.rounds = True
    assert SACStage(SACSettings(refresh_every=7), Toy(), scheme).refresh_every == 7


def test_running_statistics_are_the_targets() -> None:
    stage = BaselineStage(SACSettings(), Toy())
    for _ in range(60):
        stage.step(batch(), "network")["loss"].backward()
    mean = cast(Any, stage.student).norm.running_mean.item()
    assert mean == pytest.approx(0.85, abs=0.02)


def test_the_student_is_the_only_one_that_learns(registry: Registry, tmp_path: Path) -> None:
    stage = SACStage(SACSettings(), Toy(), assembly(registry, tmp_path).self_training("class-balanced"))
    stage.step(batch(), "network")["loss"].backward()
    assert all(p.grad is not None and p.grad.any() for p in stage.student.parameters())
    assert all(p.grad is None for p in stage.modules()["teacher"].parameters())


@pytest.mark.parametrize("outcome", ["student", "teacher"])
def test_outcome(registry: Registry, tmp_path: Path, outcome: Any) -> None:
    stage = SACStage(SACSettings(outcome=outcome), Toy(), assembly(registry, tmp_path).self_training("class-balanced"))
    assert stage.network() is stage.modules()["network" if outcome == "student" else "teacher"]


@pytest.mark.parametrize("name", ["entropy", "threshold"])
def test_an_outcome_that_the_scheme_lacks_is_refused_before_training(
    registry: Registry, tmp_path: Path, name: str
) -> None:
    made, settings = assembly(registry, tmp_path), SACSettings(self_training=name, outcome="teacher")
    with pytest.raises(ConfigError, match=f"{name}.*no teacher"):
        SACStage(settings, Toy(), made.self_training(name))
    assert SACStage(SACSettings(self_training=name), Toy(), made.self_training(name)).network()


def assembly(registry: Registry, folder: Path, preset: str = "tiny", **options: Any) -> Assembly:
    values = {"method": "sac", "task": "human2stem", "data": "phantom", "preset": preset, "options": options}
    return Assembly(registry, validate_config(values), WeightsStore(folder))


def trained(registry: Registry, folder: Path, stops: tuple[int, ...]) -> dict[str, Tensor]:
    """Six updates of the stage, built anew after each stop; the teacher moves after the third."""
    made = assembly(registry, folder, **{"class-balanced": {"period": 3}})
    spec, images = CropSpec(32, 1, 1), discs(1)[0]
    sampler = CropSampler(spec, 0, "sac", LabelledSlices(*discs(2)), images)
    desk = AnnotationDesk(Truth(discs(1)[1]), images.shape, Budget(), made.weak_labels())
    folder.mkdir(parents=True)
    for stop in (*stops, 6):
        torch.manual_seed(0)
        stage = SACStage(SACSettings(crop=32, recalibrate=1), Toy(), made.self_training("class-balanced"))
        view = StageData(images, desk, torch.device("cpu"), 0, "sac", None, folder / "kept")
        loop = train(stage, 6, sampler, view, LoopOptions(torch.device("cpu"), False, folder / "checkpoint.pt", 1))
        for update in loop:
            if update.step + 1 == stop:
                break
    return snapshot(stage)


def test_resumed_between_two_steps_of_the_teacher_it_ends_the_same(registry: Registry, tmp_path: Path) -> None:
    straight, resumed = trained(registry, tmp_path / "a", ()), trained(registry, tmp_path / "b", (2, 4))
    assert "prior" in straight
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)
    assert np.isfinite(straight["prior"].numpy()).all()


def test_paper_trains_its_own_baseline_first(registry: Registry, tmp_path: Path) -> None:
    stages = assembly(registry, tmp_path, "paper").method("sac").stages(TaskInfo("a2b", "a", "b"), Budget())
    assert [spec.name for spec in stages] == ["sac-baseline", "sac"]
    assert stages[0].components == (("network", "deeplab-v2"),)
    assert stages[1].components == (("network", "deeplab-v2"), ("self_training", "class-balanced"))
    assert [spec.crops.foreground for spec in stages] == [0, 0]


def test_the_shared_source_model_is_the_default_start(registry: Registry, tmp_path: Path) -> None:
    stages = assembly(registry, tmp_path, "small").method("sac").stages(TaskInfo("a2b", "a", "b"), Budget())
    assert [spec.name for spec in stages] == ["supervised", "sac"]

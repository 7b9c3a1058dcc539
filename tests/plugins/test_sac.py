"""SAC: the target's loss by hand, whose statistics BatchNorm keeps, and resume in the middle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dabench_sac import BaselineStage, SACSettings, SACStage
from torch import Tensor, nn

from dabench.annotation.desk import AnnotationDesk
from dabench.components.assembly import Assembly
from dabench.components.registry import Registry
from dabench.plugin import Budget, CropSpec, TaskInfo
from dabench.runs.config import validate_config
from dabench.runs.weights import WeightsStore
from dabench.testing.fixtures import discs
from dabench.testing.toys import ConvToy, ToyLabels
from dabench.testing.trial_run import Truth, snapshot
from dabench.training.loop import LoopOptions, train
from dabench.training.sampling import CropSampler, LabelledSlices
from dabench.training.stage_data import StageData
from dabench.types import Batch, CropId, SourceCrops, TargetCrops, Window


def batch(source: float = 0.2, target: float = 0.8) -> Batch:
    points, window = [torch.zeros(0, 2)] * 2, Window(0, 0, 16, 16)
    noise = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(1)) * 0.1
    labels = (noise[:, 0] > 0.05).to(torch.uint8)
    crops = TargetCrops(noise + target, points, [CropId(0, window)] * 2)
    return Batch(0, torch.Generator().manual_seed(0), SourceCrops(noise + source, labels, points), crops)


def test_the_targets_loss_is_a_weighted_mean_over_all_pixels() -> None:
    labels = torch.full((2, 16, 16), 255, dtype=torch.uint8)
    labels[0] = 1
    scheme = ToyLabels(lambda images: labels, 0.5, 0.5)
    stage = SACStage(SACSettings(), network := ConvToy(normalise=True), scheme)
    for parameter in network.head.parameters():
        nn.init.zeros_(parameter)
    terms = stage.step(batch(), "network")
    # ln 2 a pixel, weight a half, half of the pixels known, times 5; a warp may push a few pixels out.
    assert terms["target"].item() == pytest.approx(5 * 0.693 * 0.5 * 0.5, rel=0.15)
    assert terms["loss"].item() == pytest.approx(sum(terms[n].item() for n in ("segmentation", "overlap", "target")))
    assert terms["pseudo_known"].item() == 0.5


def test_nothing_known_gives_no_target_loss() -> None:
    ignored = torch.full((2, 16, 16), 255, dtype=torch.uint8)
    stage = SACStage(SACSettings(), ConvToy(normalise=True), ToyLabels(lambda images: ignored))
    assert stage.step(batch(), "network")["target"].item() == 0


def test_running_statistics_are_the_targets() -> None:
    stage = BaselineStage(SACSettings(), network := ConvToy(normalise=True))
    for _ in range(60):
        stage.step(batch(), "network")["loss"].backward()
    assert network.norm.running_mean.item() == pytest.approx(0.85, abs=0.02)


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
        stage = SACStage(
            SACSettings(crop=32, recalibrate=1), ConvToy(normalise=True), made.self_training("class-balanced")
        )
        data = StageData(images, desk, torch.device("cpu"), 0, "sac", None, folder / "kept")
        loop = train(stage, 6, sampler, data, LoopOptions(torch.device("cpu"), False, folder / "checkpoint.pt", 1))
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

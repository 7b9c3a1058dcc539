"""AdaptSegNet: who learns from what, and the published network."""

import math
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from dabench_adaptsegnet import AdaptSegNetSettings, AdaptSegNetStage, DeepClassifier
from torch import Tensor, nn

from dabench.components.assembly import Assembly
from dabench.components.registry import Registry
from dabench.data.volumes import ArrayVolume
from dabench.ops.prompts import Features, NetworkOutput
from dabench.runs.config import validate_config
from dabench.runs.weights import WeightsStore
from dabench.training.optimizers import learning_rate
from dabench.training.stage_data import StageData
from dabench.types import Batch, CropId, SourceCrops, TargetCrops, Window


class Toy(nn.Module):
    """One convolution for each map."""

    encoder_channels = (3, 4)
    decoder_channels = 3

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Conv2d(4, 1, 1)

    def forward(self, images: Tensor, *_: Any, with_features: bool = False, **__: Any) -> NetworkOutput:
        first = self.first(images)
        second = self.second(first)
        features = Features(first, [first, second]) if with_features else None
        return NetworkOutput(self.head(second)[:, :1], features=features)


class Normed(Toy):
    """With BatchNorm on the image itself, so that its statistics are the image's."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)

    def forward(self, images: Tensor, *_: Any, with_features: bool = False, **__: Any) -> NetworkOutput:
        return super().forward(self.norm(images), with_features=with_features)


def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.rand(2, 1, 32, 32), torch.randint(0, 2, (2, 32, 32), dtype=torch.uint8)
    points, window = [torch.zeros(0, 2)] * 2, Window(0, 0, 32, 32)
    source = SourceCrops(images, labels, points)
    return Batch(0, generator, source, TargetCrops(images.flip(0), points, [CropId(0, window)] * 2))


@pytest.fixture
def stage() -> AdaptSegNetStage:
    torch.manual_seed(0)
    return AdaptSegNetStage(AdaptSegNetSettings(discriminator_widths=(8,)), Toy())


def gradients(stage: AdaptSegNetStage) -> dict[str, bool]:
    """Which modules have a gradient that is not zero."""
    found = {}
    for name, module in stage.modules().items():
        found[name] = any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in module.parameters())
    return found


def test_the_segmenters_turn_leaves_the_judges_alone(stage: AdaptSegNetStage) -> None:
    terms = stage.step(batch(), "segmenter")
    terms["loss"].backward()
    assert gradients(stage) == {
        "network": True,
        "classifier": True,
        "discriminators": False,
    }


def test_the_judges_turn_leaves_the_segmenter_alone(stage: AdaptSegNetStage) -> None:
    stage.step(batch(), "segmenter")
    stage.step(batch(), "discriminators")["loss"].backward()
    assert gradients(stage) == {
        "network": False,
        "classifier": False,
        "discriminators": True,
    }


def test_fooling_alone_moves_the_segmenter_by_the_target(stage: AdaptSegNetStage) -> None:
    terms = stage.step(batch(), "segmenter")
    (terms["adversarial_final"] + terms["adversarial_deep"]).backward()
    assert gradients(stage)["network"]
    assert gradients(stage)["classifier"]


def test_the_loss_is_the_sum_of_its_weighted_terms(stage: AdaptSegNetStage) -> None:
    for discriminator in stage.discriminators.values():
        for parameter in discriminator.parameters():
            nn.init.zeros_(parameter)
    terms = stage.step(batch(), "segmenter")
    names = {"segmentation", "overlap", "deep_segmentation", "deep_overlap", "adversarial_final", "adversarial_deep"}
    assert set(terms) == {"loss", *names}
    assert terms["loss"].item() == pytest.approx(sum(terms[n].item() for n in names), rel=1e-5)
    # Judges of nothing but zeros cannot tell: ln 2 each, times λ.
    assert terms["adversarial_final"].item() == pytest.approx(1e-3 * math.log(2))
    assert terms["adversarial_deep"].item() == pytest.approx(2e-4 * math.log(2))


def test_training_the_judges_makes_them_right(stage: AdaptSegNetStage) -> None:
    optimizer, data = torch.optim.Adam(stage.optimizer_steps()[1].parameters(), lr=1e-2), batch()
    data = Batch(0, data.generator, data.source, TargetCrops(1 - data.target.images * 0.1, data.target.points, []))
    losses = []
    for _ in range(30):
        stage.step(data, "segmenter")
        optimizer.zero_grad()
        loss = stage.step(data, "discriminators")["loss"]
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("brightness", [1.0, 0.1])
def test_statistics_follow_the_target_alone(brightness: float) -> None:
    stage, data = AdaptSegNetStage(AdaptSegNetSettings(discriminator_widths=(8,)), Normed()), batch()
    assert data.source is not None
    assert data.target is not None
    stage.step(replace(data, source=replace(data.source, images=brightness * data.source.images)), "segmenter")
    norm = cast(Normed, stage.student).norm
    # One pass at a momentum of 0.1, from a mean of 0 and a variance of 1.
    assert norm.running_mean.tolist() == pytest.approx([0.1 * data.target.images.mean().item()], rel=1e-5)
    assert norm.running_var.tolist() == pytest.approx([0.9 + 0.1 * data.target.images.var().item()], rel=1e-5)


def test_before_training_statistics_become_the_targets() -> None:
    plane = np.random.default_rng(0).uniform(0.7, 0.9, (32, 32)).astype(np.float32)
    stage = AdaptSegNetStage(AdaptSegNetSettings(crop=32, recalibrate=3), Normed())
    stage.prepare(StageData(ArrayVolume(np.stack([plane, plane])), cast(Any, None), torch.device("cpu"), 0, "any"))
    norm = cast(Normed, stage.student).norm
    assert norm.running_mean.tolist() == pytest.approx([float(plane.mean())], rel=1e-5)
    assert norm.running_var.tolist() == pytest.approx([float(plane.var())], rel=1e-3)


def test_the_deep_classifier_sums_its_branches() -> None:
    classifier = DeepClassifier(2, (1, 2))
    for branch in classifier.branches:
        nn.init.zeros_(branch.weight)
        nn.init.constant_(branch.bias, 0.5)
    seen = classifier(torch.rand(1, 2, 4, 4), (8, 8))
    assert torch.allclose(seen, torch.ones(1, 1, 8, 8))


def test_the_deep_classifier_begins_as_deeplabs_own() -> None:
    torch.manual_seed(0)
    for branch in DeepClassifier(256).branches:
        assert cast(nn.Conv2d, branch).weight.std().item() == pytest.approx(0.01, rel=0.1)


def test_paper_trains_deeplab_from_scratch(registry: Registry, tmp_path: Any) -> None:
    config = validate_config({"method": "adaptsegnet", "task": "human2stem", "data": "phantom", "preset": "paper"})
    assembly = Assembly(registry, config, WeightsStore(tmp_path))
    (spec,) = assembly.method("adaptsegnet").stages(cast(Any, None), cast(Any, None))
    assert spec.components == (("network", "deeplab-v2"),)
    assert spec.iterations == 150_000
    assert spec.crops.foreground == 0


def test_paper_stops_before_its_learning_rates_reach_zero(registry: Registry, tmp_path: Any) -> None:
    config = validate_config({"method": "adaptsegnet", "task": "human2stem", "data": "phantom", "preset": "paper"})
    settings = Assembly(registry, config, WeightsStore(tmp_path)).config("method", "adaptsegnet")
    stage = AdaptSegNetStage(cast(AdaptSegNetSettings, settings), Toy())
    ends = [learning_rate(turn.optimizer, 150_000, 150_000) for turn in stage.optimizer_steps()]
    assert ends == pytest.approx([0.4**0.9 * 2.5e-4, 0.4**0.9 * 1e-4])


def test_by_default_they_fall_to_zero_in_the_last_update(stage: AdaptSegNetStage) -> None:
    assert [turn.optimizer.span for turn in stage.optimizer_steps()] == [0, 0]


def test_the_smallest_crop_leaves_a_verdict() -> None:
    with pytest.raises(ValueError, match="crop"):
        AdaptSegNetSettings(crop=31)
    stage = AdaptSegNetStage(AdaptSegNetSettings(crop=32), Toy())
    stage.step(batch(), "segmenter")
    assert stage.step(batch(), "discriminators")["loss"].isfinite()

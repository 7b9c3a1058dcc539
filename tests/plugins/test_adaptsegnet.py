"""AdaptSegNet: who learns from what, and the published network."""

import math
from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from dabench_adaptsegnet import AdaptSegNetSettings, AdaptSegNetStage, DeepClassifier
from torch import nn

from dabench.components.assembly import Assembly
from dabench.components.registry import Registry
from dabench.runs.config import validate_config
from dabench.runs.weights import WeightsStore
from dabench.testing.toys import ConvToy
from dabench.training.optimizers import learning_rate
from dabench.types import Batch, CropId, SourceCrops, TargetCrops, Window


def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.rand(2, 1, 32, 32), torch.randint(0, 2, (2, 32, 32), dtype=torch.uint8)
    points, window = [torch.zeros(0, 2)] * 2, Window(0, 0, 32, 32)
    source = SourceCrops(images, labels, points)
    return Batch(0, generator, source, TargetCrops(images.flip(0), points, [CropId(0, window)] * 2))


@pytest.fixture
def stage() -> AdaptSegNetStage:
    torch.manual_seed(0)
    return AdaptSegNetStage(AdaptSegNetSettings(discriminator_widths=(8,)), ConvToy())


def gradients(stage: AdaptSegNetStage) -> dict[str, bool]:
    """Which modules have a gradient that is not zero."""
    found = {}
    for name, module in stage.modules().items():
        found[name] = any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in module.parameters())
    return found


def test_the_segmenters_step_leaves_the_discriminators_alone(stage: AdaptSegNetStage) -> None:
    terms = stage.step(batch(), "segmenter")
    terms["loss"].backward()
    assert gradients(stage) == {
        "network": True,
        "classifier": True,
        "discriminators": False,
    }


def test_adversarial_terms_alone_move_the_segmenter(stage: AdaptSegNetStage) -> None:
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
    # Discriminators of zeros cannot tell: ln 2 each, times λ.
    assert terms["adversarial_final"].item() == pytest.approx(1e-3 * math.log(2))
    assert terms["adversarial_deep"].item() == pytest.approx(2e-4 * math.log(2))


@pytest.mark.parametrize("brightness", [1.0, 0.1])
def test_statistics_follow_the_target_alone(brightness: float) -> None:
    stage, data = AdaptSegNetStage(AdaptSegNetSettings(discriminator_widths=(8,)), ConvToy(normalise=True)), batch()
    assert data.source is not None
    assert data.target is not None
    stage.step(replace(data, source=replace(data.source, images=brightness * data.source.images)), "segmenter")
    norm = cast(ConvToy, stage.student).norm
    # One pass at a momentum of 0.1, from a mean of 0 and a variance of 1.
    assert norm.running_mean.tolist() == pytest.approx([0.1 * data.target.images.mean().item()], rel=1e-5)
    assert norm.running_var.tolist() == pytest.approx([0.9 + 0.1 * data.target.images.var().item()], rel=1e-5)


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
    stage = AdaptSegNetStage(cast(AdaptSegNetSettings, settings), ConvToy())
    ends = [learning_rate(step.optimizer, 150_000, 150_000) for step in stage.optimizer_steps()]
    assert ends == pytest.approx([0.4**0.9 * 2.5e-4, 0.4**0.9 * 1e-4])


def test_by_default_they_fall_to_zero_in_the_last_update(stage: AdaptSegNetStage) -> None:
    assert [step.optimizer.span for step in stage.optimizer_steps()] == [0, 0]


def test_discriminators_can_see_the_smallest_crop() -> None:
    stage = AdaptSegNetStage(AdaptSegNetSettings(crop=32), ConvToy())
    stage.step(batch(), "segmenter")
    assert stage.step(batch(), "discriminators")["loss"].isfinite()

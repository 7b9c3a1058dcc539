"""DAMT-Net: who learns from what, the published sizes, and when reconstruction joins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from dabench_damt_net import DAMTNetSettings, DAMTNetStage
from dabench_damt_net.morphology import MorphologyPredictor, finish
from dabench_damt_net.parts import FeatureDiscriminator, ReconstructionDecoder
from dabench_unet import UNet
from torch import Tensor, nn

from dabench.components.assembly import Assembly
from dabench.components.registry import Registry
from dabench.plugin import FlippedPredictor, NetworkPredictor
from dabench.runs.config import validate_config
from dabench.runs.weights import WeightsStore
from dabench.testing.toys import ConvToy
from dabench.types import Batch, CropId, SourceCrops, TargetCrops, Window


def batch(step: int = 0) -> Batch:
    draw = torch.Generator().manual_seed(1)
    images = torch.rand(2, 1, 32, 32, generator=draw)
    labels = torch.randint(0, 2, (2, 32, 32), generator=draw, dtype=torch.uint8)
    points, window = [torch.zeros(0, 2)] * 2, Window(0, 0, 32, 32)
    target = TargetCrops(images.flip(0), points, [CropId(0, window)] * 2)
    return Batch(step, torch.Generator().manual_seed(0), SourceCrops(images, labels, points), target)


def made(*, normalise: bool = False, **settings: Any) -> DAMTNetStage:
    torch.manual_seed(0)
    network = ConvToy((4, 8), stride=2, normalise=normalise)
    return DAMTNetStage(DAMTNetSettings(discriminator_widths=(8,), feature_width=4, **settings), network)


def gradients(stage: DAMTNetStage) -> dict[str, bool]:
    """Which modules have a gradient that is not zero."""
    return {
        name: any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in module.parameters())
        for name, module in stage.modules().items()
    }


def test_the_segmenters_step_trains_the_decoder_too() -> None:
    stage = made()
    stage.step(batch(), "segmenter")["loss"].backward()
    assert gradients(stage) == {
        "network": True,
        "decoder": True,
        "discriminators": False,
    }


def test_discriminators_can_see_the_smallest_crop() -> None:
    torch.manual_seed(0)
    stage = DAMTNetStage(DAMTNetSettings(crop=32), ConvToy((4, 8), stride=2))
    stage.step(batch(), "segmenter")
    assert stage.step(batch(), "discriminators")["loss"].isfinite()


def reached(stage: DAMTNetStage, term: str) -> set[str]:
    """Names of the segmenter's parameters that one term moves."""
    stage.step(batch(), "segmenter")[term].backward()
    return {name.split(".")[0] for name, p in stage.student.named_parameters() if p.grad is not None and p.grad.any()}


def test_each_term_reaches_what_it_is_about() -> None:
    assert reached(made(), "adversarial_label") == {"first", "second", "decode", "head"}
    assert reached(made(), "adversarial_feature") == {"first", "second", "decode"}
    assert reached(made(), "reconstruction") == {"first", "second"}


def test_the_loss_is_the_sum_of_its_weighted_terms() -> None:
    terms = made(overlap=0.0).step(batch(), "segmenter")
    names = {"segmentation", "adversarial_label", "adversarial_feature", "reconstruction"}
    assert set(terms) == {"loss", *names}
    assert terms["loss"].item() == pytest.approx(sum(terms[n].item() for n in names), rel=1e-5)
    # Untrained discriminators cannot tell: ln 2 each, times λ.
    assert terms["adversarial_label"].item() == pytest.approx(1e-3 * 0.693, rel=0.15)
    assert terms["adversarial_feature"].item() == pytest.approx(1e-3 * 0.693, rel=0.15)


def test_reconstruction_is_the_mean_of_both_domains_errors() -> None:
    stage = made()
    head = cast(ReconstructionDecoder, stage.trained["decoder"]).head
    nn.init.zeros_(head.weight)
    nn.init.constant_(cast(Tensor, head.bias), 0.25)
    data = batch()
    assert data.target is not None
    data = replace(data, target=replace(data.target, images=torch.full((2, 1, 32, 32), 0.5)))
    terms = stage.step(data, "segmenter")
    assert data.source is not None
    source_error = float(((data.source.images - 0.25) ** 2).mean())  # rotations and flips keep the mean
    assert terms["reconstruction"].item() == pytest.approx(5e-4 * (source_error + 0.0625) / 2, rel=1e-4)


def test_reconstruction_may_join_later() -> None:
    stage = made(iterations=10, reconstruction_after=0.5)
    assert "reconstruction" not in stage.step(batch(4), "segmenter")
    assert "reconstruction" in stage.step(batch(5), "segmenter")


def test_the_decoder_reads_the_bottleneck_alone() -> None:
    decoder = ReconstructionDecoder((4, 8, 16))
    deepest = torch.rand(1, 16, 4, 4)
    skips = [[torch.rand(1, 4, 16, 16), torch.rand(1, 8, 8, 8)] for _ in range(2)]
    first, second = (decoder([*s, deepest], (32, 32)) for s in skips)
    assert first.shape == (1, 32, 32)
    assert torch.equal(first, second)


def test_an_encoder_of_one_map_is_decoded_too() -> None:
    assert ReconstructionDecoder((6,))([torch.rand(1, 6, 4, 4)], (32, 24)).shape == (1, 32, 24)


def test_published_sizes() -> None:
    with torch.device("meta"):
        network = UNet()
        decoder = ReconstructionDecoder(network.encoder_channels)
    sizes = [sum(p.numel() for p in module.parameters()) for module in (network, decoder)]
    assert sizes == [28_941_698, 9_402_305]
    assert sum(sizes) == 38_344_003


def test_the_discriminator_of_features_has_the_published_units() -> None:
    discriminator = FeatureDiscriminator(64)
    assert [m.out_features for m in discriminator.modules() if isinstance(m, nn.Linear)] == [288, 144, 2]
    assert [m.out_channels for m in discriminator.modules() if isinstance(m, nn.Conv2d)] == [48, 48, 48]
    maps = torch.rand(2, 64, 24, 24)
    units = discriminator.discriminator(discriminator.convolve(maps))
    assert torch.allclose(discriminator(maps).sigmoid(), units.softmax(dim=1)[:, 1], atol=1e-6)


def test_trained_discriminators_tell_the_domains_apart() -> None:
    stage = made()
    optimizer, data = torch.optim.Adam(stage.optimizer_steps()[1].parameters(), lr=1e-2), batch()
    assert data.target is not None
    data = replace(data, target=replace(data.target, images=1 - data.target.images * 0.1))
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
    stage, data = made(normalise=True), batch()
    assert data.source is not None
    assert data.target is not None
    stage.step(replace(data, source=replace(data.source, images=brightness * data.source.images)), "segmenter")
    norm = cast(ConvToy, stage.student).norm
    # One pass at a momentum of 0.1, from a mean of 0 and a variance of 1.
    assert norm.running_mean.tolist() == pytest.approx([0.1 * data.target.images.mean().item()], rel=1e-5)
    assert norm.running_var.tolist() == pytest.approx([0.9 + 0.1 * data.target.images.var().item()], rel=1e-5)


def test_four_flips_are_an_option() -> None:
    assert isinstance(made().predictor(), NetworkPredictor)
    assert isinstance(made(flips=True).predictor(), FlippedPredictor)


def test_its_own_post_processing_fills_opens_and_drops_what_is_small() -> None:
    mask = np.zeros((60, 60), dtype=bool)
    mask[10:30, 10:30] = True
    mask[18:22, 18:22] = False  # a hole
    mask[25, 30:38] = True  # a whisker, thinner than the opening
    mask[50:56, 50:56] = True  # an object of 36 pixels
    mask[0:20, 40:60] = True  # an object at the corner keeps its corner
    before = mask.copy()
    done = finish(mask, width=5, smallest=37)
    assert np.array_equal(mask, before)
    assert done[18:22, 18:22].all()
    assert not done[25, 33:38].any()
    assert not done[45:, 45:].any()
    assert done[0, 59]
    assert done[12:28, 12:28].all()
    only_filled = finish(mask, width=1, smallest=1)
    assert only_filled.sum() == mask.sum() + 16


def test_morphology_is_an_option_that_works_on_whole_slices() -> None:
    plain, own = made().predictor(), made(morphology=True, opening=3, smallest=10, flips=True).predictor()
    assert isinstance(own, MorphologyPredictor)
    speck = np.zeros((20, 20), dtype=bool)
    speck[3:5, 3:5] = True
    assert np.array_equal(plain.finish(speck), speck)
    assert not own.finish(speck).any()
    images = torch.rand(1, 1, 64, 64)
    assert own.predict(images).probability.shape == (1, 64, 64)


def test_paper_trains_the_unet_from_scratch(registry: Registry, tmp_path: Path) -> None:
    config = validate_config({"method": "damt-net", "task": "human2stem", "data": "phantom", "preset": "paper"})
    assembly = Assembly(registry, config, WeightsStore(tmp_path))
    (spec,) = assembly.method("damt-net").stages(cast(Any, None), cast(Any, None))
    assert spec.components == (("network", "unet"),)
    assert spec.iterations == 100_000
    assert spec.crops.foreground == 0

"""DA-ISC: what learns, the weights of the terms, what it starts from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from dabench_backbones.conv import ConvEncoder
from dabench_da_isc import DAISCSettings, DAISCStage
from dabench_two_section import LightTwoSection
from torch import nn

from dabench.components.assembly import Assembly
from dabench.components.registry import Registry
from dabench.ops.prompts import NetworkOutput
from dabench.ops.sections import sigmoid_ramp
from dabench.plugin import Batch, Budget, CropId, SourceCrops, TargetCrops, TaskInfo, Window
from dabench.runs.config import RunConfig
from dabench.runs.weights import WeightsStore
from dabench.testing.fixtures import as_logits

SIDE = 64
TASK = TaskInfo("one2other", "one", "other")


def make(**values: Any) -> DAISCStage:
    torch.manual_seed(0)
    settings = DAISCSettings(**{"discriminator_widths": (8, 8), "ramp": 10, **values})
    return DAISCStage(settings, LightTwoSection(ConvEncoder((8, 16, 24), (1, 1, 1))))


def batch(step: int = 5, side: int = SIDE) -> Batch:
    drawn = torch.Generator().manual_seed(1)
    planes = [torch.rand(2, 1, side, side, generator=drawn) for _ in range(4)]
    labels = [(plane[:, 0] > 0.8).to(torch.uint8) for plane in planes[:2]]
    points = [torch.zeros(0, 2)] * 2
    origins = [CropId(0, Window(0, 0, side, side))] * 2
    source, source_second = (SourceCrops(p, label, points) for p, label in zip(planes[:2], labels, strict=True))
    target, target_second = (TargetCrops(p, points, origins) for p in planes[2:])
    source, target = replace(source, second=source_second), replace(target, second=target_second)
    return Batch(step, torch.Generator().manual_seed(2), source, target)


def touched(module: nn.Module) -> bool:
    return any(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


def test_discriminators_can_see_the_smallest_crop() -> None:
    stage = make(crop=32, discriminator_widths=(16, 32, 64, 128))
    stage.step(batch(side=32), "segmenter")
    assert stage.step(batch(side=32), "discriminators")["loss"].isfinite()


def test_every_decoder_learns() -> None:
    stage = make()
    stage.step(batch(), "segmenter")["loss"].backward()
    network: Any = stage.student
    assert all(touched(network.decoders[name]) and touched(network.heads[name]) for name in network.decoders)


def test_the_loss_is_the_sum_of_its_terms_and_weights_count() -> None:
    settings = {"consistency": 1.0, "adversarial": 1.0}
    full, half = (
        make(**{k: v * factor for k, v in settings.items()}).step(batch(), "segmenter") for factor in (1, 0.5)
    )
    assert full["loss"].item() == pytest.approx(sum(v.item() for k, v in full.items() if k != "loss"), rel=1e-5)
    for name in ("consistency", "adversarial_section", "adversarial_difference"):
        assert half[name].item() == pytest.approx(full[name].item() / 2, rel=1e-5)
    assert half["current"].item() == pytest.approx(full["current"].item(), rel=1e-5)


def test_pseudo_labels_come_in_slowly() -> None:
    early, late = (make().step(batch(step), "segmenter")["consistency"].item() for step in (0, 10))
    assert early / late == pytest.approx(sigmoid_ramp(0, 10), rel=1e-4)
    at_once = make(ramp=0).step(batch(0), "segmenter")["consistency"].item()
    assert at_once == pytest.approx(late, rel=1e-4)


def test_a_source_pass_leaves_statistics_to_the_target() -> None:
    """Statistics follow the target pass alone: another source gives the same ones."""
    one, other = make(), make()
    drawn = batch()
    assert drawn.source is not None
    assert drawn.source.second is not None
    dark = replace(drawn.source, images=drawn.source.images / 9)
    one.step(drawn, "segmenter")
    other.step(replace(batch(), source=dark), "segmenter")
    pairs = zip(one.student.named_buffers(), other.student.named_buffers(), strict=True)
    assert all(torch.equal(a, b) for (_, a), (_, b) in pairs)


class Parent:
    """A trained stage."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network

    def network(self) -> nn.Module:
        return self._network


@pytest.fixture
def assembly(registry: Registry, tmp_path: Any) -> Assembly:
    config = RunConfig(method="da-isc", task="human2stem", preset="tiny", data="phantom")
    return Assembly(registry, config, WeightsStore(tmp_path))


def test_it_starts_from_the_same_network_trained_on_source_pairs(assembly: Assembly) -> None:
    *_, before, spec = assembly.method("da-isc").stages(TASK, Budget())
    assert before.method == "source-pairs"
    assert spec.components == before.components
    assert spec.crops.neighbour == before.crops.neighbour == 40
    trained = assembly.network("two-section", "conv-tiny")
    mine = spec.build(Parent(trained)).network()  # type: ignore[arg-type]
    assert mine is not trained
    assert all(torch.equal(mine.state_dict()[name], value) for name, value in trained.state_dict().items())


def test_from_scratch_there_is_one_stage_and_the_published_network(registry: Registry, tmp_path: Any) -> None:
    config = RunConfig(method="da-isc", task="human2rat", preset="paper", data="phantom")
    (spec,) = Assembly(registry, config, WeightsStore(tmp_path)).method("da-isc").stages(TASK, Budget())
    assert spec.components == (("network", "two-section"),)
    assert spec.crops.foreground == 0
    assert sum(p.numel() for p in spec.build(None).network().parameters()) == 20_755_814


def test_a_network_of_single_sections_is_no_silent_error() -> None:
    class Single(nn.Module):
        def forward(self, images: torch.Tensor, with_pair: bool = False) -> NetworkOutput:
            return NetworkOutput(as_logits(images[:, 0]))

    stage = DAISCStage(DAISCSettings(discriminator_widths=(8,)), Single())
    with pytest.raises(AttributeError, match="maps"):
        stage.step(batch(), "segmenter")

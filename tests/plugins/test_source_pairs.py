"""Source-only on pairs: every decoder learns, the encoder is the source model's, where it cannot run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from dabench_backbones.conv import ConvEncoder
from dabench_source_pairs import PairsSupervised, SourcePairsSettings
from dabench_two_section import LightTwoSection
from torch import nn

from dabench.components.assembly import Assembly
from dabench.components.registry import Registry
from dabench.plugin import Batch, Budget, SourceCrops, TaskInfo
from dabench.runs.config import RunConfig
from dabench.runs.weights import WeightsStore

SIDE = 64
TASK = TaskInfo("one2other", "one", "other")


def make(**values: Any) -> PairsSupervised:
    torch.manual_seed(0)
    return PairsSupervised(SourcePairsSettings(**values), LightTwoSection(ConvEncoder((8, 16), (1, 1))))


def batch() -> Batch:
    drawn = torch.Generator().manual_seed(1)
    planes = [torch.rand(2, 1, SIDE, SIDE, generator=drawn) for _ in range(2)]
    points = [torch.zeros(0, 2)] * 2
    first, second = (SourceCrops(p, (p[:, 0] > 0.8).to(torch.uint8), points) for p in planes)
    return Batch(0, torch.Generator().manual_seed(2), replace(first, second=second), None)


def test_every_decoder_learns_and_the_loss_is_the_sum_of_the_three_maps() -> None:
    stage = make()
    terms = stage.step(batch(), "network")
    assert set(terms) == {"loss", "current", "auxiliary", "difference"}
    assert terms["loss"].item() == pytest.approx(sum(v.item() for k, v in terms.items() if k != "loss"), rel=1e-5)
    terms["loss"].backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in stage.network().parameters() if p.ndim > 1)


def test_single_sections_are_no_silent_error() -> None:
    drawn = batch()
    assert drawn.source is not None
    with pytest.raises(ValueError, match="neighbour"):
        make().step(replace(drawn, source=replace(drawn.source, second=None)), "network")


class Parent:
    """A trained stage: a network on a backbone."""

    def __init__(self, encoder: nn.Module) -> None:
        self.net = nn.Module()
        self.net.backbone = encoder

    def network(self) -> nn.Module:
        return self.net


@pytest.fixture
def assembly(registry: Registry, tmp_path: Any) -> Assembly:
    config = RunConfig(method="source-pairs", task="human2stem", preset="tiny", data="phantom")
    return Assembly(registry, config, WeightsStore(tmp_path))


def test_it_starts_from_the_source_models_encoder(assembly: Assembly) -> None:
    before, spec = assembly.method("source-pairs").stages(TASK, Budget())
    assert before.method == "source-only"
    assert spec.components == (("network", "two-section"), ("backbone", "conv-tiny"))
    assert spec.crops.neighbour == 40
    assert not spec.crops.target
    trained = assembly.backbone("conv-tiny")
    stage = spec.build(Parent(trained))  # type: ignore[arg-type]
    mine = stage.network().backbone.state_dict()  # type: ignore[union-attr]
    assert all(torch.equal(mine[name], value) for name, value in trained.state_dict().items())
    with pytest.raises(ValueError, match="another backbone"):
        spec.build(Parent(assembly.backbone("conv-small")))  # type: ignore[arg-type]


def test_without_neighbours_it_says_why_not(assembly: Assembly) -> None:
    method = assembly.method("source-pairs")
    assert method.skip(TASK, Budget()) is None
    assert "neighbour" in (method.skip(replace(TASK, neighbours=False), Budget()) or "")

"""CAFA: prototypes and their losses by hand, the strong view, which pass has a gradient."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from dabench_backbones.conv import ConvEncoder
from dabench_cafa import CAFASettings, CAFAStage, consistency_terms, decided
from dabench_cafa.alignment import (
    Prototypes,
    class_prototypes,
    cosines,
    labels_at,
    prototype_prediction,
    pull,
    separation,
    variance,
)
from dabench_cafa.strong_view import StrongOptions, erase, match_histogram, strong_view
from dabench_two_section import LightTwoSection
from torch import Tensor, nn

from dabench.components.assembly import Assembly
from dabench.components.registry import Registry
from dabench.ops.prompts import Features
from dabench.ops.sections import PairOutput
from dabench.plugin import IGNORE, Batch, Budget, CropId, SourceCrops, TargetCrops, TaskInfo, Window
from dabench.runs.config import RunConfig
from dabench.runs.weights import WeightsStore

SIDE = 64
TASK = TaskInfo("one2other", "one", "other")


# ---------------------------------------------------------------------------------------------------------- prototypes
def maps(*vectors: tuple[float, float]) -> Tensor:
    """One image of one row: (1, 2, 1, N)."""
    return torch.tensor(vectors, dtype=torch.float32).T[None, :, None]


def labels(*values: int) -> Tensor:
    return torch.tensor([[list(values)]], dtype=torch.uint8)


def test_a_prototype_is_the_unit_mean_of_unit_features() -> None:
    found = class_prototypes(maps((3, 0), (0, 5), (0, 2), (9, 9)), labels(0, 0, 1, IGNORE))
    diagonal = 1 / math.sqrt(2)
    assert torch.allclose(found.vectors, torch.tensor([[diagonal, diagonal], [0.0, 1.0]]))
    assert found.known.tolist() == [True, True]
    assert separation(found).item() == pytest.approx(0.5)


def test_variance_by_hand() -> None:
    features, given = maps((3, 0), (0, 5), (0, 2), (9, 9)), labels(0, 0, 1, IGNORE)
    prototypes = class_prototypes(features, given)
    spread = variance(cosines(features, prototypes), given, prototypes.known)
    assert spread.item() == pytest.approx((2 - 2 / math.sqrt(2)) / 2)


def test_pull_takes_pixels_that_are_near_and_no_other() -> None:
    prototypes = Prototypes(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([True, True]))
    cosine = cosines(maps((4, 3), (1, 1), (0, 2)), prototypes)  # nearest: 0.8, 0.707, 1.0
    assert pull(cosine, prototypes.known, 0.75).item() == pytest.approx((0.4 + 0.0) / 2)
    assert pull(cosine, prototypes.known, 0.99999).item() == pytest.approx(0.0)
    only_first = torch.tensor([True, False])
    assert pull(cosine, only_first, 0.75).item() == pytest.approx(0.4)


def test_prototype_prediction_by_hand() -> None:
    prototypes = Prototypes(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([True, True]))
    cosine = cosines(maps((1, 0), (1, 0), (1, 0)), prototypes)
    loss = prototype_prediction(cosine, labels(0, 1, IGNORE), prototypes.known, 0.5)
    assert loss.item() == pytest.approx((math.log1p(math.exp(-2)) + math.log1p(math.exp(2))) / 2)
    assert prototype_prediction(cosine, labels(0, 0, 0), torch.tensor([True, False]), 0.5).item() == 0


def test_a_class_that_is_not_there_takes_no_part() -> None:
    features = maps((1, 0), (2, 0)).requires_grad_()
    prototypes = class_prototypes(features, labels(0, 0))
    near = cosines(maps((1, 0), (0, 1)), prototypes)
    terms = [
        variance(cosines(features, prototypes), labels(0, 0), prototypes.known),
        separation(prototypes),
        pull(near, prototypes.known, 0.7),
        prototype_prediction(near, labels(0, 1), prototypes.known, 0.1),
    ]
    assert [t.item() for t in terms] == pytest.approx([0, 0, 0, 0], abs=1e-6)
    torch.stack(terms).sum().backward()
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()


def test_nothing_labelled_is_no_error() -> None:
    features, nothing = maps((1, 0), (0, 0)), labels(IGNORE, IGNORE)
    prototypes = class_prototypes(features, nothing)
    assert prototypes.known.tolist() == [False, False]
    cosine = cosines(features, prototypes)
    found = (variance(cosine, nothing, prototypes.known), pull(cosine, prototypes.known, 0.7))
    assert [t.item() for t in found] == [0, 0]


def test_labels_at_the_maps_resolution() -> None:
    fine = torch.tensor([[[0, 9, 1, 9], [9, 9, 9, 9]]], dtype=torch.uint8)
    assert labels_at(fine, torch.zeros(1, 5, 1, 2)).tolist() == [[[0, 1]]]


# --------------------------------------------------------------------------------------------------------- strong view
def test_the_strong_view_stays_in_range_and_repeats() -> None:
    images = torch.rand(3, 2, 24, 30)
    first, second = (strong_view(images, StrongOptions(1.0), torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == images.shape
    assert (first >= 0).all()
    assert (first <= 1).all()
    assert not torch.equal(first, images)
    assert not torch.equal(first[:, 0] - images[:, 0], first[:, 1] - images[:, 1])


def test_a_view_that_never_happens_changes_nothing() -> None:
    images = torch.rand(2, 2, 8, 8)
    assert torch.equal(strong_view(images, StrongOptions(0.0), torch.Generator().manual_seed(0)), images)
    still = StrongOptions(1.0, noise=0.0, boxes=0)
    constant = torch.full((8, 2, 12, 12), 0.5)
    assert torch.allclose(strong_view(constant, still, torch.Generator().manual_seed(0)), constant)


def test_erased_boxes_by_hand_and_of_the_right_size() -> None:
    plane = torch.ones(5, 6)
    out = erase(plane, [(1, 2, 2, 3), (4, 5, 9, 9)])
    assert out.sum() == 30 - 6 - 1
    assert (out[1:3, 2:5] == 0).all()
    assert plane.sum() == 30
    boxes_only = StrongOptions(1.0, noise=0.0, boxes=1, side=4)
    for seed in range(20):
        seen = strong_view(torch.ones(1, 1, 20, 20), boxes_only, torch.Generator().manual_seed(seed))
        rows, columns = (seen[0, 0] == 0).nonzero(as_tuple=True)
        assert len(rows) == 0 or max(rows.max() - rows.min(), columns.max() - columns.min()) < 4


def test_histograms_match_by_rank() -> None:
    images = torch.tensor([0.1, 0.9, 0.5, 0.2]).view(1, 1, 2, 2)
    reference = torch.tensor([0.8, 0.6, 0.4, 0.7]).view(1, 1, 2, 2)
    assert torch.equal(match_histogram(images, reference).flatten(), torch.tensor([0.4, 0.8, 0.7, 0.6]))
    two = match_histogram(torch.rand(3, 2, 4, 4), torch.rand(2, 2, 4, 4))
    assert two.shape == (3, 2, 4, 4)


# --------------------------------------------------------------------------------------------------------------- stage
def make(**values: Any) -> CAFAStage:
    torch.manual_seed(0)
    settings = CAFASettings(**{"ramp": 10, **values})
    return CAFAStage(settings, LightTwoSection(ConvEncoder((8, 16, 24), (1, 1, 1))))


def batch(step: int = 10) -> Batch:
    drawn = torch.Generator().manual_seed(1)
    planes = [torch.rand(2, 1, SIDE, SIDE, generator=drawn) for _ in range(4)]
    truth = [(plane[:, 0] > 0.8).to(torch.uint8) for plane in planes[:2]]
    points = [torch.zeros(0, 2)] * 2
    origins = [CropId(0, Window(0, 0, SIDE, SIDE))] * 2
    source, source_second = (SourceCrops(p, label, points) for p, label in zip(planes[:2], truth, strict=True))
    target, target_second = (TargetCrops(p, points, origins) for p in planes[2:])
    source, target = replace(source, second=source_second), replace(target, second=target_second)
    return Batch(step, torch.Generator().manual_seed(2), source, target)


TARGET_TERMS = ("variance", "separation", "pull", "prototypes", "features", "pseudo", "warp")


def test_every_term_is_there_and_the_loss_is_their_sum() -> None:
    terms = make(chance=1.0, near=-1.0).step(batch(), "network")
    assert set(terms) == {"loss", "current", "auxiliary", "difference", *TARGET_TERMS}
    assert all(term > 0 for term in terms.values())
    assert terms["loss"].item() == pytest.approx(sum(v.item() for k, v in terms.items() if k != "loss"), rel=1e-5)


def test_both_configurations() -> None:
    human2rat = make(chance=1.0).step(batch(), "network")
    rat2human = make(chance=1.0, weight=1.0, warp=0.0).step(batch(), "network")
    assert "warp" not in rat2human
    for name in TARGET_TERMS[:-1]:
        assert rat2human[name].item() == pytest.approx(10 * human2rat[name].item(), rel=1e-4)


def test_target_terms_come_in_slowly() -> None:
    early, late = (make(chance=1.0).step(batch(step), "network") for step in (0, 10))
    for name in TARGET_TERMS:
        assert early[name].item() == pytest.approx(math.exp(-5) * late[name].item(), rel=1e-4)


def test_without_a_change_weak_and_strong_features_are_equal() -> None:
    assert make(chance=0.0).step(batch(), "network")["features"].item() == 0


def test_the_gradient_reaches_the_whole_network_but_the_weak_pass_has_none() -> None:
    stage = make()
    stage.step(batch(), "network")["loss"].backward()
    assert all(p.grad is not None for p in stage.student.parameters())
    plane = torch.randn(1, 1, 4, 4)
    weak = PairOutput(plane, features=Features(torch.rand(1, 3, 4, 4), []), auxiliary=plane, difference=plane)
    strong = [plane.clone().requires_grad_() for _ in range(3)]
    feature = torch.rand(1, 3, 4, 4, requires_grad=True)
    seen = PairOutput(strong[0], features=Features(feature, []), auxiliary=strong[1], difference=strong[2])
    terms = consistency_terms(weak, seen)
    (terms["features"] + terms["pseudo"]).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in (*strong, feature))


def test_pseudo_labels_are_the_arg_max() -> None:
    plane = torch.tensor([[[[-2.0, 0.0, 0.1, 2.0]]]])
    for found in decided(PairOutput(plane, auxiliary=plane, difference=plane)):
        assert found.tolist() == [[[0, 0, 1, 1]]]


def test_statistics_follow_the_weak_target_alone() -> None:
    one, other = make(chance=0.0), make(chance=1.0, noise=1.0)
    drawn = batch()
    assert drawn.source is not None
    one.step(drawn, "network")
    other.step(replace(batch(), source=replace(drawn.source, images=drawn.source.images / 9)), "network")
    pairs = zip(one.student.named_buffers(), other.student.named_buffers(), strict=True)
    assert all(torch.equal(a, b) for (_, a), (_, b) in pairs)


def test_the_grey_values_of_the_source_are_an_option() -> None:
    plain, matched = (make(histogram=on, chance=0.0).step(batch(), "network") for on in (False, True))
    assert plain["features"].item() == 0
    assert matched["features"].item() > 0


@pytest.fixture
def assembly(registry: Registry, tmp_path: Any) -> Assembly:
    config = RunConfig(method="cafa", task="human2stem", preset="tiny", data="phantom")
    return Assembly(registry, config, WeightsStore(tmp_path))


def test_it_starts_from_the_same_network_trained_on_source_pairs(assembly: Assembly) -> None:
    *_, before, spec = assembly.method("cafa").stages(TASK, Budget())
    assert before.method == "source-pairs"
    assert spec.components == before.components
    assert spec.crops.neighbour == before.crops.neighbour == 40
    trained = assembly.network("two-section", "conv-tiny")
    stage = spec.build(Parent(trained))  # type: ignore[arg-type]
    mine = stage.network().state_dict()
    assert all(torch.equal(mine[name], value) for name, value in trained.state_dict().items())
    assert stage.predictor().neighbour == 40


class Parent:
    """A trained stage."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network

    def network(self) -> nn.Module:
        return self._network

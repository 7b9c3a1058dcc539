"""WDA-Net: counts and their constraint, sparse detection, cut-and-paste, who learns from what, and resume."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from dabench_wda_net.counting import (
    CountBranch,
    CountingNetwork,
    DensityEncoder,
    bump_mass,
    count_ranking,
    implied_count,
)
from dabench_wda_net.cut_paste import Scene, cut_paste
from dabench_wda_net.detection import dense_detection, peak_weights, sparse_detection
from dabench_wda_net.settings import WDANetSettings
from dabench_wda_net.stages import CountingStage, WDANetStage
from torch import Tensor, nn

from dabench.assembly import Assembly
from dabench.config import validate_config
from dabench.errors import ConfigError
from dabench.interfaces import Budget, PseudoTargets, SelfTraining, TaskInfo
from dabench.ops.density import density_maps
from dabench.ops.prompts import NetworkOutput, pad_points
from dabench.registry import Registry
from dabench.types import IGNORE, Batch, CropId, SourceCrops, TargetCrops, Window
from dabench.weights import WeightsStore

SIDE = 32
FEW = {
    "judge_widths": (8,),
    "judge_groups": 0,
    "counter_widths": (4,),
    "cut_paste": (0.0, 0.0),
    "elastic": 0.0,
    "iterations": 10,
}


class Toy(nn.Module):
    """One convolution for each output."""

    def __init__(self, *, detects: bool = True) -> None:
        super().__init__()
        self.body, self.detects = nn.Conv2d(1, 4, 3, padding=1), detects
        self.segment, self.detect = nn.Conv2d(4, 1, 1), nn.Conv2d(4, 1, 1)

    def forward(self, images: Tensor, prompts: object = None, with_density: bool = False) -> NetworkOutput:
        del prompts
        maps = self.body(images).relu()
        density = self.detect(maps)[:, 0] if with_density and self.detects else None
        return NetworkOutput(self.segment(maps)[:, 0].sigmoid(), density)


class Foreground(SelfTraining):
    """Says that everything is foreground, but for one ignored row."""

    def start(self, student: nn.Module) -> None:
        pass

    def targets(self, crops: TargetCrops, generator: torch.Generator) -> PseudoTargets:
        labels = torch.ones(crops.images[:, 0].shape, dtype=torch.uint8)
        labels[:, 0] = IGNORE
        return PseudoTargets(labels, torch.ones(labels.shape), crops.points, None, labels.float())


def batch(step: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.rand(2, 1, SIDE, SIDE, generator=generator), torch.zeros(2, SIDE, SIDE, dtype=torch.uint8)
    labels[:, 10:16, 10:16] = 1
    points, window = [torch.tensor([[12.5, 12.5]])] * 2, Window(0, 0, SIDE, SIDE)
    target = TargetCrops(torch.rand(4, 1, SIDE, SIDE, generator=generator), points * 2, [CropId(0, window)] * 4)
    return Batch(step, generator, SourceCrops(images, labels, points), target)


def stage_of(scheme: SelfTraining | None = None, **changes: Any) -> WDANetStage:
    torch.manual_seed(0)
    settings = WDANetSettings(**{**FEW, **changes})
    stage = WDANetStage(settings, Toy(), CountingNetwork(DensityEncoder((4,))), scheme)
    # The count constraint has a gradient: the frozen network is sure of three objects.
    with torch.no_grad():
        branch = stage.counter.branch
        branch.leave.bias.fill_(3 * bump_mass() / SIDE**2)
    return stage


def moved(stage: WDANetStage) -> dict[str, bool]:
    """Which modules have a gradient that is not zero."""
    return {
        name: any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in module.parameters())
        for name, module in stage.modules().items()
    }


# ------------------------------------------------------------------------------------------------------------- counting
def test_the_mass_of_a_bump_is_the_releases() -> None:
    # 144,219 is the sum of one bump on the 0-255 scale (FACTS 2.2).
    assert bump_mass() == pytest.approx(144_219 / 255, rel=1e-4)


def test_isolated_bumps_are_counted_exactly() -> None:
    points = [torch.tensor([[40.0, 40.0], [130.0, 130.0]]), torch.zeros(0, 2)]
    counts = implied_count(density_maps(pad_points(points), (180, 180)))
    assert counts.tolist() == pytest.approx([2.0, 0.0], rel=1e-4)
    assert implied_count(torch.full((1, 4, 4), -1.0)).item() == 0


def test_ranking_is_free_inside_the_margin_and_linear_outside() -> None:
    detected = torch.tensor([5.0, 9.0, 1.0], requires_grad=True)
    counted = torch.tensor([4.0, 4.0, 6.0], requires_grad=True)
    loss = count_ranking(detected, counted, 3.0)
    assert loss.item() == pytest.approx((0 + 2 + 2) / 3)
    loss.backward()
    assert detected.grad is not None
    assert detected.grad.tolist() == pytest.approx([0, 1 / 3, -1 / 3])
    assert counted.grad is None


def test_the_branch_begins_as_what_the_map_implies_and_can_learn() -> None:
    torch.manual_seed(0)
    density, branch = torch.rand(3, 30, 34), CountBranch()
    assert torch.allclose(branch(density), implied_count(density))
    branch(density).sum().backward()
    assert branch.leave.weight.grad.abs().sum() > 0  # type: ignore[union-attr]


def test_the_counting_stage_learns_to_count_and_leaves_the_segmenter() -> None:
    torch.manual_seed(0)
    network = Toy()
    stage = CountingStage(WDANetSettings(**FEW), CountingNetwork(DensityEncoder((4,))), network)
    before = deepcopy(network.state_dict())
    optimizer, losses = torch.optim.Adam(stage.turns()[0].parameters(), lr=1e-2), []
    for _ in range(40):
        optimizer.zero_grad()
        terms = stage.step(batch(), "counter")
        terms["loss"].backward()
        optimizer.step()
        losses.append(terms["loss"].item())
    assert losses[-1] < 0.6 * losses[0]
    assert all(torch.equal(before[k], v) for k, v in stage.network().state_dict().items())


# ------------------------------------------------------------------------------------------------------------ detection
def test_weights_are_four_at_a_point_and_one_far_away() -> None:
    weights = peak_weights([torch.tensor([[8.0, 8.0]])], (32, 32))
    assert weights[0, 8, 8] == 4
    assert weights[0, 31, 31] == 1


def test_dense_detection_by_hand() -> None:
    # No point: the truth is 0 and all weights are 1.
    assert dense_detection(torch.full((1, 4, 4), 0.5), [torch.zeros(0, 2)]).item() == pytest.approx(0.25)


def test_sparse_detection_asks_nothing_of_an_object_nobody_pointed_at() -> None:
    density = torch.zeros(1, 100, 100, requires_grad=True)
    probability = torch.full((1, 100, 100), 0.9)
    probability[0, 90:, 90:] = 0.05
    loss = sparse_detection(density + 1, [torch.zeros(0, 2)], probability, 0.1)
    assert loss.item() == pytest.approx(1.0)  # the hundred background pixels alone
    loss.backward()
    assert density.grad is not None
    assert torch.equal(density.grad[0] != 0, probability[0] < 0.1)


def test_sparse_detection_learns_around_given_points() -> None:
    point, nowhere = [torch.tensor([[50.0, 50.0]])], torch.ones(1, 120, 120)
    truth = density_maps(pad_points(point), (120, 120))
    assert sparse_detection(truth, point, nowhere, 0.1).item() == 0
    known = int((truth > 0).sum())
    by_hand = (truth**2 * peak_weights(point, (120, 120))).sum() / known
    assert sparse_detection(torch.zeros_like(truth), point, nowhere, 0.1).item() == pytest.approx(by_hand.item())


def test_sparse_detection_without_anything_known_is_zero() -> None:
    assert sparse_detection(torch.ones(1, 8, 8), [torch.zeros(0, 2)], torch.ones(1, 8, 8), 0.1).item() == 0


# ------------------------------------------------------------------------------------------------------------ cut-paste
def scene(points: list[list[float]], value: float) -> Scene:
    return Scene(
        torch.full((1, 16, 16), value),
        torch.tensor(points).reshape(-1, 2),
        torch.full((16, 16), int(value), dtype=torch.uint8),
    )


def test_many_points_go_where_there_are_few() -> None:
    here = scene([[x, y] for x in (2.0, 14.0) for y in (2.0, 14.0)][:3], 0)  # none at (x 14, y 14)
    there = scene([[1.0, 9.0], [3.0, 15.0], [12.0, 3.0]], 1)  # two in the lower left quarter
    pasted = cut_paste(here, there, 8, torch.Generator().manual_seed(0))
    assert pasted.labels is not None
    ys, xs = torch.nonzero(pasted.image[0], as_tuple=True)
    assert len(ys) == 64
    assert torch.equal(pasted.labels == 1, pasted.image[0] == 1)
    corner = torch.tensor([xs.min(), ys.min()])
    new = pasted.points[-2:]
    assert len(pasted.points) == 5  # the window of fewest points held none
    assert ((new >= corner) & (new < corner + 8)).all()
    assert torch.equal(new[1] - new[0], torch.tensor([2.0, 6.0]))
    assert here.image.sum() == 0


def test_a_window_of_a_full_crop_replaces_everything() -> None:
    pasted = cut_paste(scene([[1.0, 1.0]], 0), scene([[3.0, 4.0]], 1), 16, torch.Generator())
    assert (pasted.image == 1).all()
    assert pasted.points.tolist() == [[3.0, 4.0]]


def test_a_donor_without_points_gives_nothing() -> None:
    here = scene([[1.0, 1.0]], 0)
    assert cut_paste(here, scene([], 1), 8, torch.Generator()) is here


def test_without_labels_there_are_none_afterwards() -> None:
    one, two = scene([[1.0, 1.0]], 0), scene([[3.0, 4.0]], 1)
    assert cut_paste(replace(one, labels=None), replace(two, labels=None), 8, torch.Generator()).labels is None


# --------------------------------------------------------------------------------------------------------------- stages
def test_the_segmenters_turn_moves_the_segmenter_alone() -> None:
    stage = stage_of()
    stage.step(batch(), "segmenter")["loss"].backward()
    assert moved(stage) == {"network": True, "counter": False, "judge": False}


def test_the_judges_turn_moves_the_judge_alone() -> None:
    stage = stage_of()
    stage.step(batch(), "segmenter")
    stage.step(batch(), "judge")["loss"].backward()
    assert moved(stage) == {"network": False, "counter": False, "judge": True}


def test_the_count_constraint_reaches_the_detection_and_fades() -> None:
    stage = stage_of()
    first = stage.step(batch(0), "segmenter")["counting"]
    first.backward()
    assert stage.student.detect.weight.grad.abs().sum() > 0  # type: ignore[union-attr, operator]
    assert cast(Any, stage.student).segment.weight.grad is None
    half, last = (stage.step(batch(step), "segmenter")["counting"].item() for step in (5, 10))
    assert half == pytest.approx(first.item() / 2)
    assert last == 0


def test_terms_of_both_stages_sum_to_the_loss() -> None:
    names = {"segmentation", "overlap", "detection", "target_detection", "counting", "fooling"}
    for scheme, more in ((None, set()), (Foreground(), {"pseudo"})):
        terms = stage_of(scheme).step(batch(), "segmenter")
        assert set(terms) == {"loss"} | names | more
        assert terms["loss"].item() == pytest.approx(sum(terms[n].item() for n in names | more), rel=1e-5)


def test_pseudo_labels_are_plain_cross_entropy_without_the_ignored() -> None:
    stage, seen = stage_of(Foreground()), []
    stage.student.register_forward_hook(lambda module, inputs, output: seen.append(output.probability.detach()))
    terms = stage.step(batch(), "segmenter")
    # Flips and turns move the ignored row to another border; the label is 1 everywhere else.
    losses = -(seen[-1] + 1e-8).log()
    bounds = (losses.mean() * 0.8, losses.mean() * 1.2)
    assert bounds[0] <= terms["pseudo"] <= bounds[1]


def test_the_second_stage_weighs_detection_on_the_source_like_on_the_target() -> None:
    weights = {"detection_source": 1.0, "detection": 7.0}
    first, second = (stage_of(s, **weights).step(batch(), "segmenter") for s in (None, Foreground()))
    assert second["detection"].item() == pytest.approx(7 * first["detection"].item(), rel=1e-5)


def test_unsupervised_has_nothing_to_paste_and_no_point_to_learn() -> None:
    data = batch()
    assert data.target is not None
    data = replace(data, target=replace(data.target, points=[torch.zeros(0, 2)] * 4))
    terms = stage_of(cut_paste=(1.0, 1.0), background=0.0).step(data, "segmenter")
    assert terms["target_detection"].item() == 0
    assert torch.isfinite(terms["loss"])


def test_pasting_draws_from_the_batch_alone() -> None:
    losses = []
    for _ in range(2):
        torch.manual_seed(len(losses))
        stage = stage_of(Foreground(), cut_paste=(1.0, 1.0), elastic=1.0)
        losses.append(stage.step(batch(), "segmenter")["loss"].item())
    assert losses[0] == losses[1]


def test_a_network_without_detection_is_refused() -> None:
    stage = WDANetStage(WDANetSettings(**FEW), Toy(detects=False), CountingNetwork(DensityEncoder((4,))))
    with pytest.raises(ConfigError, match="detection head"):
        stage.step(batch(), "segmenter")


# --------------------------------------------------------------------------------------------------------------- method
def specs_of(registry: Registry, folder: Path, preset: str) -> list[Any]:
    config = validate_config({"method": "wda-net", "task": "human2stem", "data": "phantom", "preset": preset})
    assembly = Assembly(registry, config, WeightsStore(folder))
    return assembly.method("wda-net").stages(TaskInfo("human2stem", "human", "stem"), Budget(0.15))


def test_the_chain_of_the_small_preset(registry: Registry, tmp_path: Path) -> None:
    specs = specs_of(registry, tmp_path, "small")
    assert [s.name for s in specs] == ["supervised", "counting", "wda-net-1", "wda-net"]
    assert [s.asks for s in specs] == [(), (), ("points",), ("points",)]
    assert specs[1].crops.target == 0  # counting sees no target
    assert ("self_training", "entropy") in specs[-1].components


def test_paper_trains_the_factorised_network_from_scratch(registry: Registry, tmp_path: Path) -> None:
    counting, first, second = specs_of(registry, tmp_path, "paper")
    assert counting.components == (("network", "factorised"),)
    assert [s.iterations for s in (counting, first, second)] == [50_000, 100_000, 100_000]
    assert first.config.detection == pytest.approx(6502.5)
    assert second.crops.target == 2

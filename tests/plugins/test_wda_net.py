"""WDA-Net: counts and their constraint, sparse detection, cut-and-paste, who learns from what, and resume."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from dabench_wda_net import stages
from dabench_wda_net.counting import (
    CountBranch,
    CountingNetwork,
    DensityEncoder,
    count_ranking,
    implied_count,
)
from dabench_wda_net.cut_paste import Sample, cut_paste
from dabench_wda_net.detection import dense_detection
from dabench_wda_net.settings import WDANetSettings
from dabench_wda_net.stages import CountingStage, WDANetStage
from torch import Tensor, nn

from dabench.annotation.desk import AnnotationDesk
from dabench.components.assembly import Assembly
from dabench.components.registry import Registry
from dabench.errors import ConfigError
from dabench.interfaces import Budget, CropSpec, SelfTraining, TaskInfo
from dabench.ops.augmentation import PLAIN, View, ViewOptions
from dabench.ops.density import bump_mass, density_maps
from dabench.ops.losses import segmentation_loss
from dabench.ops.prompts import pad_points
from dabench.ops.views import draw_views
from dabench.runs.config import validate_config
from dabench.runs.weights import WeightsStore
from dabench.testing.fixtures import discs
from dabench.testing.toys import ConvToy, ToyLabels
from dabench.testing.trial_run import CPU, Truth, snapshot
from dabench.training.loop import LoopOptions, train
from dabench.training.sampling import CropSampler, LabelledSlices
from dabench.training.stage_data import StageData
from dabench.types import IGNORE, Batch, CropId, SourceCrops, TargetCrops, Window

SIDE = 32
FEW = {
    "discriminator_widths": (8,),
    "discriminator_groups": 0,
    "counter_widths": (4,),
    "cut_paste": (0.0, 0.0),
    "elastic": 0.0,
    "iterations": 10,
}


def foreground(weight: float = 1.0) -> ToyLabels:
    """Everything is foreground, but for the upper half, which is ignored."""

    def labels(images: Tensor) -> Tensor:
        labels = torch.ones(images.shape, dtype=torch.uint8)
        labels[:, : SIDE // 2] = IGNORE
        return labels

    return ToyLabels(labels, weight, weight)


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
    stage = WDANetStage(settings, ConvToy(detects=True), CountingNetwork(DensityEncoder((4,))), scheme)
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
    network = ConvToy(detects=True)
    stage = CountingStage(WDANetSettings(**FEW), CountingNetwork(DensityEncoder((4,))), network)
    before = deepcopy(network.state_dict())
    optimizer, losses = torch.optim.Adam(stage.optimizer_steps()[0].parameters(), lr=1e-2), []
    for _ in range(40):
        optimizer.zero_grad()
        terms = stage.step(batch(), "counter")
        terms["loss"].backward()
        optimizer.step()
        losses.append(terms["loss"].item())
    assert losses[-1] < 0.6 * losses[0]
    assert all(torch.equal(before[k], v) for k, v in stage.network().state_dict().items())


# ------------------------------------------------------------------------------------------------------------ detection
def test_dense_detection_by_hand() -> None:
    # No point: the truth is 0 and all weights are 1.
    assert dense_detection(torch.full((1, 4, 4), 0.5), [torch.zeros(0, 2)]).item() == pytest.approx(0.25)


def test_the_target_detects_around_given_points_and_on_sure_background() -> None:
    # The network answers 0.5: sure background where that is below the setting.
    for background, sure in ((0.4, False), (0.5, True)):
        stage = stage_of(background=background, detection=2.0)
        for parameter in stage.student.parameters():
            nn.init.zeros_(parameter)
        nn.init.constant_(cast(Any, stage.student).detect.bias, 0.5)
        nn.init.constant_(cast(Any, stage.student).head.bias, -0.01)
        data = batch()
        assert data.target is not None
        data = replace(data, target=replace(data.target, points=[torch.zeros(0, 2)] * 4))
        found = stage.step(data, "segmenter")["target_detection"].item()
        assert found == pytest.approx(2 * 0.25 if sure else 0)


# ------------------------------------------------------------------------------------------------------------ cut-paste
def sample(points: list[list[float]], value: float) -> Sample:
    return Sample(
        torch.full((1, 16, 16), value),
        torch.tensor(points).reshape(-1, 2),
        torch.full((16, 16), int(value), dtype=torch.uint8),
        torch.full((16, 16), 0.25 + value / 2),
    )


def test_many_points_go_where_there_are_few() -> None:
    here = sample([[x, y] for x in (2.0, 14.0) for y in (2.0, 14.0)][:3], 0)  # none at (x 14, y 14)
    there = sample([[1.0, 9.0], [3.0, 15.0], [12.0, 3.0]], 1)  # two in the lower left quarter
    pasted = cut_paste(here, there, 8, torch.Generator().manual_seed(0))
    assert pasted.labels is not None
    ys, xs = torch.nonzero(pasted.image[0], as_tuple=True)
    assert len(ys) == 64
    assert torch.equal(pasted.labels == 1, pasted.image[0] == 1)
    assert pasted.weights is not None
    assert torch.equal(pasted.weights, 0.25 + pasted.image[0] / 2)
    corner = torch.tensor([xs.min(), ys.min()])
    new = pasted.points[-2:]
    assert len(pasted.points) == 5  # the window of fewest points held none
    assert ((new >= corner) & (new < corner + 8)).all()
    assert torch.equal(new[1] - new[0], torch.tensor([2.0, 6.0]))
    assert here.image.sum() == 0


def test_a_window_of_a_full_crop_replaces_everything() -> None:
    pasted = cut_paste(sample([[1.0, 1.0]], 0), sample([[3.0, 4.0]], 1), 16, torch.Generator())
    assert (pasted.image == 1).all()
    assert pasted.points.tolist() == [[3.0, 4.0]]


def test_a_donor_without_points_gives_nothing() -> None:
    here = sample([[1.0, 1.0]], 0)
    assert cut_paste(here, sample([], 1), 8, torch.Generator()) is here


def test_without_labels_there_are_none_afterwards() -> None:
    one, two = sample([[1.0, 1.0]], 0), sample([[3.0, 4.0]], 1)
    assert cut_paste(replace(one, labels=None), replace(two, labels=None), 8, torch.Generator()).labels is None


# --------------------------------------------------------------------------------------------------------------- stages
def test_the_segmenters_step_leaves_counter_and_discriminators_alone() -> None:
    stage = stage_of()
    stage.step(batch(), "segmenter")["loss"].backward()
    assert moved(stage) == {"network": True, "counter": False, "discriminators": False}


def test_the_count_constraint_reaches_the_detection_and_fades() -> None:
    stage = stage_of()
    first = stage.step(batch(0), "segmenter")["counting"]
    first.backward()
    assert stage.student.detect.weight.grad.abs().sum() > 0  # type: ignore[union-attr, operator]
    assert cast(Any, stage.student).head.weight.grad is None
    half, last = (stage.step(batch(step), "segmenter")["counting"].item() for step in (5, 10))
    assert half == pytest.approx(first.item() / 2)
    assert last == 0


def test_terms_of_both_stages_sum_to_the_loss() -> None:
    names = {"segmentation", "overlap", "detection", "target_detection", "counting", "adversarial_labels"}
    for scheme, more in ((None, set()), (foreground(), {"pseudo"})):
        terms = stage_of(scheme).step(batch(), "segmenter")
        assert set(terms) == {"loss"} | names | more
        assert terms["loss"].item() == pytest.approx(sum(terms[n].item() for n in names | more), rel=1e-5)


def test_pseudo_labels_are_plain_cross_entropy_without_the_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "_VIEW", PLAIN)
    stage, seen = stage_of(foreground()), []
    stage.student.register_forward_hook(lambda module, inputs, output: seen.append(output.probability.detach()))
    terms = stage.step(batch(), "segmenter")
    known = seen[-1][:, SIDE // 2 :]
    assert terms["pseudo"].item() == pytest.approx(-(known + 1e-8).log().mean().item(), rel=1e-6)


def test_weights_of_the_scheme_scale_its_term_and_ones_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    full, half, none = (stage_of(foreground(w)).step(batch(), "segmenter")["pseudo"] for w in (1.0, 0.5, 0.0))
    assert full > 0
    assert torch.equal(half, full / 2)
    assert none == 0
    monkeypatch.setattr(stages, "segmentation_loss", lambda p, labels, weights: segmentation_loss(p, labels))
    assert torch.equal(stage_of(foreground()).step(batch(), "segmenter")["pseudo"], full)


def test_pasted_and_warped_weights_stay_with_their_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(stages, "segmentation_loss", lambda p, *maps: seen.append(maps) or segmentation_loss(p, *maps))
    stage = stage_of(ToyLabels(foreground=0.7, background=0.2), cut_paste=(1.0, 1.0), elastic=1.0)
    stage.step(batch(), "segmenter")
    labels, weights = seen[0]
    known = labels != IGNORE
    assert set(labels[known].tolist()) == {0, 1}
    assert torch.equal(weights[known], torch.tensor([0.2, 0.7])[labels[known].long()])


def test_the_second_stage_weighs_detection_on_the_source_like_on_the_target() -> None:
    weights = {"detection_source": 1.0, "detection": 7.0}
    first, second = (stage_of(s, **weights).step(batch(), "segmenter") for s in (None, foreground()))
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
        stage = stage_of(foreground(), cut_paste=(1.0, 1.0), elastic=1.0)
        losses.append(stage.step(batch(), "segmenter")["loss"].item())
    assert losses[0] == losses[1]


def test_a_network_without_detection_is_refused() -> None:
    stage = WDANetStage(WDANetSettings(**FEW), ConvToy(), CountingNetwork(DensityEncoder((4,))))
    with pytest.raises(ConfigError, match="detection head"):
        stage.step(batch(), "segmenter")


# --------------------------------------------------------------------------------------------------------------- resume
def trained(registry: Registry, folder: Path, stops: tuple[int, ...], every: int) -> dict[str, Tensor]:
    """The second stage with two rounds of four updates, built anew after each stop."""
    made = assembly(registry, folder, "tiny", entropy={"tile": 64, "least": 0.0})
    (images, labels), (source, source_labels) = discs(1), discs(2)
    desk = AnnotationDesk(Truth(labels), images.shape, Budget(points=0.3), made.weak_labels())
    sampler = CropSampler(CropSpec(32, 2, 4), 0, "wda", LabelledSlices(source, source_labels), images, desk.points())
    options = LoopOptions(CPU, False, folder / "checkpoint.pt", every)
    folder.mkdir(parents=True)
    for stop in (*stops, 8):
        stage = stage_of(made.self_training("entropy"), iterations=8, rounds=2, cut_paste=(1.0, 1.0), adversarial=1.0)
        data = StageData(images, desk, CPU, 0, "wda", None, folder / "kept")
        for update in train(stage, 8, sampler, data, options):
            if update.step + 1 == stop:
                break
    return snapshot(stage)


#: Inside the second round; the same from a checkpoint of the first; twice.
@pytest.mark.parametrize(("stops", "every"), [((6,), 1), ((5,), 3), ((3, 7), 1)])
def test_killed_inside_the_second_round_it_ends_the_same(
    registry: Registry, tmp_path: Path, stops: tuple[int, ...], every: int
) -> None:
    straight, resumed = trained(registry, tmp_path / "a", (), 1), trained(registry, tmp_path / "b", stops, every)
    assert straight["round"] == 1
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)


# --------------------------------------------------------------------------------------------------------------- method
def assembly(registry: Registry, folder: Path, preset: str, **options: Any) -> Assembly:
    values = {"method": "wda-net", "task": "human2stem", "data": "phantom", "preset": preset, "options": options}
    return Assembly(registry, validate_config(values), WeightsStore(folder))


def specs_of(registry: Registry, folder: Path, preset: str) -> list[Any]:
    method = assembly(registry, folder, preset).method("wda-net")
    return method.stages(TaskInfo("human2stem", "human", "stem"), Budget(0.15))


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


@pytest.mark.parametrize("keep", [True, False])
def test_the_discriminator_goes_on_where_it_is_told_to(registry: Registry, tmp_path: Path, keep: bool) -> None:
    options = {**{k: FEW[k] for k in ("discriminator_widths", "discriminator_groups")}, "keep_discriminator": keep}
    method = assembly(registry, tmp_path, "tiny", **{"wda-net": options}).method("wda-net")
    spec = method.stages(TaskInfo("human2stem", "human", "stem"), Budget(0.15))[-1]
    parent = stage_of(**{k: options[k] for k in options})
    built = cast(WDANetStage, spec.build(parent))
    pairs = zip(parent.discriminators.parameters(), built.discriminators.parameters(), strict=True)
    assert all(torch.equal(a, b) and a is not b for a, b in pairs) == keep


def test_the_second_stage_alone_enlarges_parts_of_a_crop(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def spy(images: Tensor, options: ViewOptions, generator: torch.Generator) -> list[View]:
        drawn.append(options.zoom)
        return draw_views(images, options, generator)

    monkeypatch.setattr("dabench_wda_net.stages.draw_views", spy)
    stage_of(zoom=0.25).step(batch(), "segmenter")
    stage_of(foreground(), zoom=0.25).step(batch(), "segmenter")
    assert drawn == [0.0, 0.25]

"""IPL: contrast by hand, prototypes, queries, detection weights, who learns from what, rounds across a restart."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import dabench_ipl
import pytest
import torch
import torch.nn.functional as F
from dabench_ipl import IPLStage
from dabench_ipl.contrast import (
    ContrastBranch,
    ProjectionHead,
    QueryRule,
    Seen,
    features_at,
    prototype_contrast,
)
from dabench_ipl.prototypes import ALIGNMENTS, PrototypeMemory, k_means
from dabench_ipl.settings import IPLSettings, deciding, detection_phase, segmentation_phase
from torch import Tensor, nn

from dabench.annotation.desk import AnnotationDesk
from dabench.components.assembly import Assembly
from dabench.components.registry import Registry
from dabench.errors import ConfigError
from dabench.interfaces import Budget, CropSpec, SelfTraining
from dabench.ops.losses import segmentation_loss
from dabench.runs.config import validate_config
from dabench.runs.weights import WeightsStore
from dabench.testing.fixtures import discs
from dabench.testing.toys import ConvToy, ToyLabels
from dabench.testing.trial_run import CPU, Truth, snapshot
from dabench.training.loop import LoopOptions, train
from dabench.training.sampling import CropSampler, LabelledSlices
from dabench.training.stage_data import StageData
from dabench.types import IGNORE, Batch, CropId, SourceCrops, TargetCrops, Window

X, Y = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])


# ---------------------------------------------------------------------------------------------------------- contrast
def test_the_contrast_is_the_papers_equation() -> None:
    queries, negatives = torch.stack([X, Y]), torch.stack([Y, -X])
    seen = prototype_contrast(queries, X[None], negatives, 0.5)
    e = math.exp
    by_hand = [-math.log(e(2) / (e(2) + e(0) + e(-2))), -math.log(e(0) / (e(0) + e(2) + e(0)))]
    assert seen.item() == pytest.approx(sum(by_hand) / 2, rel=1e-5)


def test_the_key_is_the_mean_of_the_positive_prototypes() -> None:
    one = prototype_contrast(X[None], torch.stack([X, Y]), -X[None], 0.5)
    mean = F.normalize(X + Y, dim=0)
    assert one.item() == pytest.approx(prototype_contrast(X[None], mean[None], -X[None], 0.5).item(), rel=1e-5)


def test_prototypes_get_no_gradient_and_nothing_is_no_error() -> None:
    queries, keys = X[None].clone().requires_grad_(), Y[None].clone().requires_grad_()
    prototype_contrast(queries, keys, -keys, 0.1).backward()
    assert queries.grad is not None
    assert keys.grad is None
    assert prototype_contrast(queries, keys[:0], keys, 0.1).item() == 0
    assert prototype_contrast(queries[:0], keys, keys, 0.1).item() == 0


def test_k_means_finds_two_groups() -> None:
    noise = 0.05 * torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    features = F.normalize(torch.cat([X + noise[:30], Y + noise[30:]]), dim=1)
    centres = k_means(features, 2)
    assert (centres @ torch.stack([X, Y]).T).max(dim=0).values.min() > 0.99
    assert torch.allclose(centres.norm(dim=1), torch.ones(2))
    assert torch.isfinite(k_means(X.expand(5, 2), 2)).all()


def test_the_memory_holds_the_latest_and_renews_when_told() -> None:
    memory = PrototypeMemory(2, 4, 2)
    memory.remember("points", X.expand(3, 2))
    assert len(memory.prototypes(("points",))) == 0
    memory.renew()
    assert torch.equal(memory.prototypes(("points", "target_background")), X[None])
    memory.remember("points", Y.expand(4, 2))
    assert torch.equal(memory.prototypes(("points",)), X[None])
    memory.renew()
    assert torch.equal(memory.prototypes(("points",)), Y[None])
    assert len(memory.clusters("target_foreground")) == 0
    assert memory.clusters("points").shape == (2, 2)


def test_ranked_queries_are_half_of_the_least_confident() -> None:
    confidence = torch.linspace(0, 1, 100)
    drawn = QueryRule("ranked", 20).draw(confidence, torch.Generator().manual_seed(0))
    assert len(drawn) == len(set(drawn.tolist())) == 20
    assert int((drawn[:10] < 20).sum()) == 10
    assert len(QueryRule("ranked", 20).draw(confidence[:7], torch.Generator())) == 6
    assert len(QueryRule("ranked", 20).draw(confidence[:1], torch.Generator())) == 0


def test_queries_by_confidence_are_hard_and_easy() -> None:
    confidence = torch.tensor([0.5, 0.79, 0.85, 0.9, 0.96, 0.99])
    drawn = QueryRule("confidence", 20).draw(confidence, torch.Generator())
    assert sorted(drawn.tolist()) == [0, 1, 4, 5]


def test_the_foreground_alone_is_aligned_across_domains() -> None:
    (ours,) = ALIGNMENTS["foreground"]
    assert "source_foreground" in ours.of_class(1)
    assert ours.of_class(0) == ("target_background",)
    (other,) = ALIGNMENTS["background"]
    assert "source_background" in other.of_class(0)
    assert "source_foreground" not in other.of_class(1)
    assert [a.queries for a in ALIGNMENTS["source-and-target"]] == ["source", "target"]
    assert ALIGNMENTS["none"] == ()


def seen(label: int, features: Tensor, probability: float, points: bool = False) -> Seen:
    shape = (1, 2, 2)
    maps = features[None, :, None, None].expand(1, 2, 2, 2).clone().requires_grad_()
    at = torch.ones(shape, dtype=torch.bool) if points else None
    return Seen(maps, torch.full(shape, probability), torch.full(shape, label, dtype=torch.uint8), at)


def test_groups_are_made_of_right_and_confident_pixels() -> None:
    branch = ContrastBranch(ProjectionHead(4, 2), PrototypeMemory(2, 8, 2), QueryRule())
    generator = torch.Generator()
    # Source foreground that the network doubts makes no prototype; pseudo-labels count as they are.
    branch.observe(seen(1, X, 0.9), seen(1, Y, 0.6, points=True), sure=False, generator=generator)
    branch.memory.renew()
    assert len(branch.memory.prototypes(("source_foreground", "points"))) == 0
    assert torch.allclose(branch.memory.prototypes(("target_foreground",)), Y[None])
    branch.observe(seen(1, X, 0.96), seen(0, -X, 0.3), sure=True, generator=generator)
    branch.memory.renew()
    assert torch.allclose(branch.memory.prototypes(("source_foreground",)), X[None])
    assert len(branch.memory.prototypes(("target_background",))) == 0


def test_the_loss_of_a_domain_without_queries_leaves_it_alone() -> None:
    branch = ContrastBranch(ProjectionHead(4, 2), PrototypeMemory(2, 8, 2), QueryRule())
    domains = {"source": seen(1, X, 0.99), "target": seen(1, Y, 0.99)}
    branch.memory.remember("source_foreground", X.expand(3, 2))
    branch.memory.remember("target_background", -Y.expand(3, 2))
    branch.memory.renew()
    branch.loss(ALIGNMENTS["foreground"], domains, 0.5, torch.Generator()).backward()
    assert domains["target"].features.grad.abs().sum() > 0  # type: ignore[union-attr]
    assert domains["source"].features.grad.abs().sum() == 0  # type: ignore[union-attr]


def test_the_head_has_the_published_widths() -> None:
    head = ProjectionHead(288)
    assert sum(p.numel() for p in head.parameters()) == 288 * 144 + 144 + 144 * 128 + 128 == 60_176
    out = head(torch.rand(1, 288, 4, 4), (32, 32))
    assert out.shape == (1, 128, 8, 8)


@pytest.mark.parametrize("size", [(32, 40), (30, 27), (5, 9)])
def test_features_at_pixels_are_those_of_enlarged_maps(size: tuple[int, int]) -> None:
    maps = torch.randn(2, 6, -(-size[0] // 4), -(-size[1] // 4), generator=torch.Generator().manual_seed(0))
    pixels = torch.nonzero(torch.ones(2, *size))
    whole = F.normalize(F.interpolate(maps, size=size, mode="bilinear", align_corners=False), dim=1)
    assert torch.allclose(features_at(maps, pixels, size), whole.permute(0, 2, 3, 1).reshape(-1, 6), atol=1e-5)
    assert features_at(maps, pixels[:0], size).shape == (0, 6)


# ------------------------------------------------------------------------------------------------------------ stages
def halves(foreground: float = 1.0, background: float = 1.0) -> ToyLabels:
    """Left half foreground, right half background; each with a weight of its own."""

    def labels(images: Tensor) -> Tensor:
        return (torch.arange(images.shape[-1]) < 16).expand_as(images).to(torch.uint8)

    return ToyLabels(labels, foreground, background, rounds=True)


def batch(step: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(step)
    images = torch.rand(2, 1, 32, 32, generator=generator)
    labels = torch.randint(0, 2, (2, 32, 32), generator=generator, dtype=torch.uint8)
    points = [torch.tensor([[9.0, 9.0]])] * 2
    target = TargetCrops(images.flip(0), points, [CropId(0, Window(0, 0, 32, 32))] * 2)
    return Batch(step, generator, SourceCrops(images, labels, points), target)


def make_stage(phase: str = "segmentation", scheme: SelfTraining | None = None, **changes: Any) -> IPLStage:
    torch.manual_seed(0)
    settings = IPLSettings(crop=32, queries=16, memory=64, width=8, **changes)
    chosen = detection_phase(settings) if phase == "detection" else segmentation_phase(settings)
    return IPLStage(settings, chosen, ConvToy(detects=True), scheme or halves())


def test_the_loss_is_the_sum_of_its_terms() -> None:
    terms = make_stage(easy=0.5).step(batch(), "network")
    named = {"segmentation", "detection", "target_segmentation", "target_detection", "contrast"}
    assert set(terms) == {"loss", "pseudo_foreground", "pseudo_background", *named}
    assert terms["loss"].item() == pytest.approx(sum(terms[n].item() for n in named), rel=1e-5)
    assert terms["contrast"].item() > 0


def test_weights_of_the_scheme_scale_its_term_and_ones_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def term(scheme: ToyLabels) -> Tensor:
        return make_stage(scheme=scheme).step(batch(), "network")["target_segmentation"]

    full = term(halves())
    assert full > 0
    assert torch.equal(term(halves(0.5, 0.5)), full / 2)
    assert term(halves(0.0, 0.0)) == 0
    assert 0 < term(halves(1.0, 0.0)) < full
    monkeypatch.setattr(dabench_ipl, "segmentation_loss", lambda p, labels, weights: segmentation_loss(p, labels))
    assert torch.equal(term(halves()), full)


def test_in_every_view_weights_stay_with_their_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(
        dabench_ipl, "segmentation_loss", lambda p, *maps: seen.append(maps) or segmentation_loss(p, *maps)
    )
    stage = make_stage(scheme=halves(0.7, 0.2))
    for step in range(8):
        stage.step(batch(step), "network")
    labels, weights = (torch.cat(maps) for maps in zip(*seen, strict=True))
    known = labels != IGNORE
    assert not known.all(), "no view was warped: the test sees nothing"
    assert torch.equal(weights[known], torch.tensor([0.2, 0.7])[labels[known].long()])


@pytest.mark.parametrize("phase", ["detection", "segmentation"])
def test_a_network_without_detection_is_refused(phase: str) -> None:
    stage = make_stage(phase)
    stage.student.register_forward_hook(lambda module, inputs, output: replace(output, density=None))
    with pytest.raises(ConfigError, match="ipl needs a network with a detection head"):
        stage.step(batch(), "network")


def test_the_releases_segmentation_has_no_source_loss() -> None:
    terms = make_stage(source_weight=0.0).step(batch(), "network")
    assert "segmentation" not in terms
    assert "detection" not in terms


def test_detection_rounds_learn_no_target_segmentation_and_no_contrast() -> None:
    stage = make_stage("detection")
    terms = stage.step(batch(), "network")
    assert "target_segmentation" not in terms
    assert "contrast" not in terms
    assert set(stage.modules()) == {"network"}
    assert "contrast" in make_stage("detection", detection_contrast=1.0).modules()


def test_the_contrast_reaches_head_and_encoder_alone() -> None:
    stage = make_stage(easy=0.5)
    stage.step(batch(), "network")["contrast"].backward()
    network = cast(ConvToy, stage.student)
    assert network.first.weight.grad is not None
    assert network.head.weight.grad is None
    assert network.detect is not None
    assert network.detect.weight.grad is None
    assert any(bool(p.grad.abs().sum() > 0) for p in stage.modules()["contrast"].parameters() if p.grad is not None)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_every_row_of_table_four_trains(alignment: str) -> None:
    stage = make_stage(alignment=alignment, easy=0.5)
    terms = stage.step(batch(), "network")
    assert torch.isfinite(terms["loss"])
    assert ("contrast" in terms) == (alignment != "none")


def test_rounds_are_spread_over_the_updates() -> None:
    assert make_stage(iterations=400, rounds=2).refresh_every == 200
    assert make_stage("detection", detection_iterations=100, detection_rounds=3).refresh_every == 34


def trained(registry: Registry, folder: Path, phase: str, stops: tuple[int, ...], every: int) -> dict[str, Tensor]:
    """Two rounds of four updates, built anew after each stop; in the second every peak is a centre."""
    cut = {"tile": 64, "foreground": 0.9, "background": 0.5, "ratios": (0.0, 1.0)}
    scheme = {"detection": "counted-points", "segmentation": "instance-aware"}[phase]
    made = assembly(registry, folder, "tiny", **{scheme: cut})
    (images, labels), (source, source_labels) = discs(1), discs(2)
    desk = AnnotationDesk(Truth(labels), images.shape, Budget(points=0.3), made.weak_labels())
    sampler = CropSampler(CropSpec(32, 2, 2), 0, "ipl", LabelledSlices(source, source_labels), images, desk.points())
    options = LoopOptions(CPU, False, folder / "checkpoint.pt", every)
    folder.mkdir(parents=True)
    for stop in (*stops, 8):
        sizes = {"iterations": 8, "rounds": 2, "detection_iterations": 8, "detection_rounds": 2}
        quick = {"recalibrate": 1, "prototype_every": 2, "easy": 0.5, "lr": 0.01, "warmup": 0}
        stage = make_stage(phase, made.self_training(scheme), **sizes, **quick)
        # Peaks need height; about half of the pixels are background, and which ones changes from round to round.
        nn.init.constant_(cast(Any, stage.student).detect.bias, 0.5)
        with torch.no_grad():
            cast(Any, stage.student).head.bias -= 0.45
        data = StageData(images, desk, CPU, 0, "ipl", None, folder / "kept")
        for update in train(stage, 8, sampler, data, options):
            if update.step + 1 == stop:
                break
    return snapshot(stage)


#: Inside the second round; the same from a checkpoint of the first; twice.
@pytest.mark.parametrize(("stops", "every"), [((6,), 1), ((5,), 3), ((3, 7), 1)])
@pytest.mark.parametrize("phase", ["detection", "segmentation"])
def test_killed_inside_the_second_round_it_ends_the_same(
    registry: Registry, tmp_path: Path, phase: str, stops: tuple[int, ...], every: int
) -> None:
    straight = trained(registry, tmp_path / "a", phase, (), 1)
    resumed = trained(registry, tmp_path / "b", phase, stops, every)
    assert straight["round"] == 1
    assert len(straight["centres"]) > 0
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)


def test_a_sweep_finds_the_detection_rounds_again() -> None:
    plain, swept = IPLSettings(), IPLSettings(temperature=0.1, self_training="threshold", alignment="target")
    phase = detection_phase(plain)
    assert deciding(plain, phase) == deciding(swept, phase)
    assert deciding(plain, segmentation_phase(plain)) != deciding(swept, segmentation_phase(swept))
    assert deciding(IPLSettings(lr=1e-3), phase) != deciding(plain, phase)


# ------------------------------------------------------------------------------------------------------- the method
def assembly(registry: Registry, folder: Path, preset: str, **options: Any) -> Assembly:
    values = {"method": "ipl", "task": "human2stem", "data": "phantom", "preset": preset, "options": options}
    return Assembly(registry, validate_config(values), WeightsStore(folder))


def test_paper_has_the_published_network_and_rounds(registry: Registry, tmp_path: Path) -> None:
    specs = assembly(registry, tmp_path, "paper").method("ipl").stages(cast(Any, None), Budget(points=0.15))
    assert [spec.name for spec in specs] == ["ipl-source", "ipl-detection", "ipl"]
    assert ("network", "factorised-deep") in specs[-1].components
    assert specs[0].crops.target == 0
    assert sum(spec.iterations for spec in specs[1:]) == 100_000


def test_stages_of_the_small_preset(registry: Registry, tmp_path: Path) -> None:
    made = assembly(registry, tmp_path, "small").method("ipl").stages(cast(Any, None), Budget(points=0.15))
    assert [spec.name for spec in made] == ["supervised", "ipl-detection", "ipl"]
    assert made[1].components[-1] == ("self_training", "counted-points")
    assert made[2].components[-1] == ("self_training", "instance-aware")
    assert all(spec.asks == ("points",) for spec in made[1:])
    without = assembly(registry, tmp_path, "small", ipl={"detection_iterations": 0, "self_training": "threshold"})
    assert [s.name for s in without.method("ipl").stages(cast(Any, None), Budget())] == ["supervised", "ipl"]


@pytest.mark.parametrize("keep", [True, False])
def test_the_projection_head_of_the_detection_rounds_goes_on_where_it_is_told_to(
    registry: Registry, tmp_path: Path, keep: bool
) -> None:
    options = {"keep_head": keep, "detection_contrast": 1.0, "width": 8}
    _, _, spec = assembly(registry, tmp_path, "tiny", ipl=options).method("ipl").stages(cast(Any, None), Budget())
    parent = make_stage("detection", detection_contrast=1.0)
    assert parent.branch is not None
    built = spec.build(parent)
    assert isinstance(built, IPLStage)
    assert built.branch is not None
    pairs = zip(parent.branch.head.parameters(), built.branch.head.parameters(), strict=True)
    assert all(torch.equal(a, b) and a is not b for a, b in pairs) == keep


def test_without_a_contrast_while_detecting_there_is_no_head_to_go_on_with(registry: Registry, tmp_path: Path) -> None:
    *_, spec = (
        assembly(registry, tmp_path, "tiny", ipl={"keep_head": True}).method("ipl").stages(cast(Any, None), Budget())
    )
    assert isinstance(spec.build(make_stage("detection")), IPLStage)

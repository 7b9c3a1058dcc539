"""Stage 2: which patches are asked, what is learnt from the answers, and the anchor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from dabench_prefer_das import PreferDASSettings, PreferenceStage
from dabench_prefer_das.dataset import PreferenceData, collect
from dabench_preference import (
    DirectPreference,
    PreferenceSettings,
    SparsePreference,
    SparseSettings,
    UnsupervisedPreference,
    UnsupervisedSettings,
)
from torch import Tensor, nn

from dabench.components.registry import Registry
from dabench.interfaces import PreferenceOptimizer
from dabench.ops.choice import best_candidate, disagreement, pack_question
from dabench.ops.losses import confident_labels
from dabench.ops.prompts import NetworkOutput, Prompts, pad_points
from dabench.types import (
    IGNORE,
    Batch,
    CropId,
    PointAnswer,
    Prediction,
    PreferenceAnswer,
    PreferenceQuestion,
    TargetCrops,
    Window,
)

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)


class Blur(nn.Module):
    """A probability that is the image itself, and a bias to learn."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, images: Tensor, prompts: Prompts | None = None, with_density: bool = False) -> NetworkOutput:
        return NetworkOutput(torch.logit(images.clamp(0.02, 0.98)) + self.bias)

    def predict(self, images: Tensor, points: Sequence[Tensor] | None = None, density: bool = False) -> Prediction:
        prompts = None if points is None else pad_points(list(points))
        return Prediction(self(images, prompts).probability.detach())


class Touchy(Blur):
    """Answers otherwise to a turned image, and with prompts."""

    def forward(self, images: Tensor, prompts: Prompts | None = None, with_density: bool = False) -> NetworkOutput:
        ramp = torch.linspace(-1, 1, images.shape[-1])
        clicks = 0 if prompts is None else 0.3 * prompts.valid.sum(dim=1)[:, None, None, None]
        return NetworkOutput(super().forward(images).logits + ramp + clicks)


class Pointing(Blur):
    """Sure of the pixel of each prompt."""

    def forward(self, images: Tensor, prompts: Prompts | None = None, with_density: bool = False) -> NetworkOutput:
        logits = super().forward(images).logits
        for row, points in enumerate([] if prompts is None else prompts.unpad()):
            for x, y in points.long().tolist():
                logits[row, 0, y, x] += 5.0
        return NetworkOutput(logits)


class FakeData:
    """Two slices of 48 x 72 with a disc whose rim is graded; every question is answered from `truth`."""

    def __init__(self, budget: float = 1.0, radius: float = 6.0) -> None:
        y, x = np.mgrid[:48, :72]
        centres = [(12, 12), (34, 20), (24, 52)]
        distance = np.min([np.hypot(y - cy, x - cx) for cy, cx in centres], axis=0)
        plane = 1 / (1 + np.exp((distance - 8) / 1.5))
        self.images = np.stack([plane, plane[::-1]]).astype(np.float32)
        truth = distance <= radius
        self.truth = np.stack([truth, truth[::-1]])
        self.budget, self.asked, self.desk = budget, [], self
        self.device = torch.device("cpu")
        self.recorded: list[PreferenceQuestion] | None = None
        self.clicks: dict[int, np.ndarray] = {}

    def target_shape(self) -> tuple[int, int, int]:
        return (2, 48, 72)

    def target_crop(self, crop: CropId) -> np.ndarray:
        return self.images[crop.z][crop.window.slices]

    def remember(self, name: str, shape: tuple[int, ...], fill: Callable[[np.ndarray], None]) -> np.ndarray:
        values = np.empty(shape, np.float16)
        fill(values)
        return values

    def points(self) -> dict[int, PointAnswer]:
        return {z: PointAnswer(z, np.array(xy, np.float32), 0.0, "test") for z, xy in self.clicks.items()}

    def patch_budget(self) -> float:
        return self.budget

    def rng(self, what: str) -> np.random.Generator:
        return np.random.default_rng(0)

    def preferences(self, questions: Sequence[PreferenceQuestion], rater: str | None = None) -> list[PreferenceAnswer]:
        self.asked = [(q, rater) for q in questions]
        truth = [q.hint if rater == "self" else self.truth[q.z][q.window.slices] for q in questions]
        found = [best_candidate(q.candidates, t) for q, t in zip(questions, truth, strict=True)]
        return [self.answer(q, () if c is None else (c,)) for q, c in zip(questions, found, strict=True)]

    def answer(self, question: PreferenceQuestion, chosen: tuple[int, ...]) -> PreferenceAnswer:
        packed = pack_question(question)
        return PreferenceAnswer(question.z, question.window, chosen, 5.0, "test", question=packed)

    def recorded_questions(self) -> list[PreferenceQuestion] | None:
        return self.recorded


def gather(
    data: FakeData,
    optimizer: PreferenceOptimizer,
    views: int = 1,
    *,
    size: int = 24,
    prompted: bool = False,
    network: Blur | None = None,
) -> PreferenceData:
    seen = network or Blur()
    return collect(data, seen, optimizer, THRESHOLDS, size, views, prompted=prompted)  # type: ignore[arg-type]


@pytest.mark.parametrize(("share", "count"), [(0.15, 16), (0.05, 5), (0.0, 0)])
def test_slpo_asks_exactly_its_share_of_all_patches(share: float, count: int) -> None:
    data = FakeData(share)
    # 2 slices x 6 tiles x 9 patches = 108 patches in all.
    gather(data, SparsePreference(SparseSettings(share=share)))
    assert len(data.asked) == count
    assert len({(q.z, q.window) for q, _ in data.asked}) == count
    assert all(len(q.candidates) > 1 for q, _ in data.asked)


@pytest.mark.parametrize("order", ["disagreement", "uncertainty"])
def test_what_is_wanted_most_is_asked_about_at_the_same_cost(order: str) -> None:
    """A fifth of the questions stays the random draw's; the others are those of the highest score on every slice."""
    plain, informed = FakeData(0.15), FakeData(0.15)
    gather(plain, SparsePreference(SparseSettings()))
    gather(informed, SparsePreference(SparseSettings(order=order)))
    random = {(q.z, q.window) for q, _ in plain.asked}
    asked = {(q.z, q.window): q for q, _ in informed.asked}
    assert len(asked) == len(random) == 16
    assert {q.draw for q, _ in plain.asked} == {None}
    drawn = {place for place, q in asked.items() if q.draw is None}
    assert drawn <= random
    assert len(drawn) == 3  # round(0.2 * 16)

    scored = FakeData()
    gather(scored, DirectPreference(PreferenceSettings()))
    worth = {(q.z, q.window): WORTH[order](q) for q, _ in scored.asked}
    for z in (0, 1):
        here = sorted((s for place, s in worth.items() if place[0] == z and place not in drawn), reverse=True)
        wanted = sorted((worth[place] for place in asked if place[0] == z and place not in drawn), reverse=True)
        assert wanted == pytest.approx(here[: len(wanted)])
    assert np.mean([worth[place] for place in asked]) > np.mean([worth[place] for place in random]) + 0.03


def entropy(question: PreferenceQuestion) -> float:
    p = np.clip(question.image, 0.02, 0.98).astype(np.float64)  # as Blur predicts
    return float(-(p * np.log2(p) + (1 - p) * np.log2(1 - p)).mean())


WORTH = {"disagreement": lambda question: disagreement(question.candidates), "uncertainty": entropy}


def test_lpo_asks_every_informative_patch_once_and_gpo_every_tile() -> None:
    data = FakeData()
    gather(data, DirectPreference(PreferenceSettings()))
    local = len(data.asked)
    assert 20 < local < 108
    gather(data, DirectPreference(PreferenceSettings(side=1)))
    assert len(data.asked) <= 12


def test_upo_asks_nobody_and_brings_a_hint() -> None:
    data = FakeData(0.0)
    gather(data, UnsupervisedPreference(UnsupervisedSettings()))
    assert {rater for _, rater in data.asked} == {"self"}
    assert all(q.hint is not None and q.hint.shape == q.candidates.shape[1:] for q, _ in data.asked)


def test_averaging_over_turns_leaves_an_equivariant_reference_alone() -> None:
    one, four = (gather(FakeData(), DirectPreference(PreferenceSettings()), views) for views in (1, 4))
    torch.testing.assert_close(one.proposal([0, 3]), four.proposal([0, 3]))


CLICKS = {0: [(5.0, 7.0), (30.0, 3.0), (31.0, 4.0)]}


def test_candidates_are_made_under_the_prompts_that_their_question_names() -> None:
    data, optimizer = FakeData(), DirectPreference(PreferenceSettings(side=1))
    data.clicks = CLICKS
    clicked, plain = (gather(d, optimizer, prompted=True, network=Touchy()) for d in (data, FakeData()))
    counts = [len(clicked.prompts([i])[0]) for i in range(12)]
    assert 0 < sum(counts) <= 3
    assert counts[2:] == [0] * 10
    # Touchy adds 0.3 to every logit for each click.
    gained = clicked.proposal(range(12)).logit() - plain.proposal(range(12)).logit()
    assert gained.mean(dim=(1, 2)).tolist() == pytest.approx([0.3 * count for count in counts], abs=0.01)
    for question, _ in data.asked:
        (points,) = clicked.prompts(clicked.numbers([CropId(question.z, question.tile)]))
        assert question.prompts.tolist() == (points + torch.tensor([question.tile.x, question.tile.y])).tolist()
        assert {tuple(point) for point in question.prompts.tolist()} <= set(CLICKS[0])


def test_prompts_turn_with_the_tile() -> None:
    data, optimizer = FakeData(), DirectPreference(PreferenceSettings())
    data.clicks = CLICKS
    one, four = (gather(data, optimizer, views, prompted=True, network=Pointing()) for views in (1, 4))
    assert (one.proposal([0, 1]) > 0.95).any()
    torch.testing.assert_close(one.proposal(range(12)), four.proposal(range(12)))


def recorded(data: FakeData, *questions: PreferenceQuestion) -> FakeData:
    data.recorded = list(questions)
    return data


def question(window: Window, tile: Window, prompts: list[tuple[float, float]], seed: int = 0) -> PreferenceQuestion:
    """Masks that no threshold of the reference gives."""
    masks = np.random.default_rng(seed).random((3, window.height, window.width)) > 0.5
    points = np.array(prompts, np.float32).reshape(-1, 2)
    return PreferenceQuestion(0, window, np.zeros((0, 0), np.float32), masks, prompts=points, tile=tile)


TILE = Window(0, 24, 24, 24)


def test_stage_2_trains_on_the_masks_and_under_the_prompts_of_a_data_set() -> None:
    asked = question(Window(8, 32, 8, 8), TILE, [(30.0, 5.0)])
    data = recorded(FakeData(), asked, question(Window(0, 24, 8, 8), TILE, [(30.0, 5.0)], 1))
    found = gather(data, SparsePreference(SparseSettings()))
    assert found.tiles == [CropId(0, TILE)]
    assert found.prompts([0])[0].tolist() == [[6.0, 5.0]]
    logits = torch.arange(24.0 * 24).view(1, 24, 24)
    policy, _, candidates, valid, preferred = found.patches([0], logits, logits)  # type: ignore[misc]
    assert policy[0].tolist() == logits[0, 8:16, 8:16].tolist()
    assert np.array_equal(candidates[0].numpy(), asked.candidates)
    assert valid.all()
    assert preferred.sum(dim=1).tolist() == [1.0, 1.0]


def test_a_data_set_of_other_tiles_is_trained_on_tiles_about_its_patches() -> None:
    """Tiles of 16 where the set had 24; a patch of 20 does not fit, nor one that needs other prompts on one tile."""
    fits, large = question(Window(8, 32, 8, 8), TILE, []), question(Window(0, 24, 20, 20), TILE, [])
    corner = [question(Window(0, 0, 8, 8), TILE, prompts) for prompts in ([], [(3.0, 3.0)])]
    data = recorded(FakeData(), fits, large, *corner)
    found = gather(data, SparsePreference(SparseSettings()), size=16)
    assert [tile.window for tile in found.tiles] == [Window(4, 28, 16, 16), Window(0, 0, 16, 16)]
    assert [q.window for q, _ in data.asked] == [fits.window, corner[0].window]
    logits = torch.arange(16.0 * 16).view(1, 16, 16)
    policy = found.patches([0], logits, logits)[0]  # type: ignore[index]
    assert policy[0].tolist() == logits[0, 4:12, 4:12].tolist()


def test_ties_and_all_bad_of_a_data_set() -> None:
    asked = [question(Window(y, 24, 8, 8), TILE, [], y) for y in (0, 8, 16)]
    data = recorded(FakeData(), *asked)
    said = dict(zip((0, 8, 16), ((0, 2), (), (0, 1, 2)), strict=True))
    data.preferences = lambda questions, rater=None: [data.answer(q, said[q.window.y]) for q in questions]  # type: ignore[method-assign]
    found = gather(data, SparsePreference(SparseSettings()))
    assert found.answered == 1
    logits = torch.zeros(1, 24, 24)
    assert found.patches([0], logits, logits)[4].tolist() == [[0.5, 0.0, 0.5]]  # type: ignore[index]


def test_upo_makes_its_own_questions_whatever_people_answered() -> None:
    data = recorded(FakeData(0.0), question(Window(8, 32, 8, 8), TILE, []))
    assert len(gather(data, UnsupervisedPreference(UnsupervisedSettings())).tiles) == 12


def stage(optimizer: PreferenceOptimizer, **settings: float) -> PreferenceStage:
    values = {"source_batch": 0, "batch": 2, "turns": False, **settings}
    return PreferenceStage(PreferDASSettings(**values), optimizer, Blur(), 24)  # type: ignore[arg-type]


def started(made: PreferenceStage, data: FakeData, step: int = 0) -> Batch:
    """Prepare a stage; the batch of an update, with the crops that it chooses."""
    made.prepare(data)  # type: ignore[arg-type]
    tiles = list(made.target_crops(step, np.random.default_rng(step)))
    images = torch.stack([torch.from_numpy(data.target_crop(tile).copy()) for tile in tiles])[:, None]
    target = TargetCrops(images, [torch.zeros(0, 2) for _ in tiles], tiles)
    return Batch(step, torch.Generator().manual_seed(step), None, target)


@pytest.mark.parametrize(("radius", "direction"), [(6.0, -1), (10.0, 1)])
@pytest.mark.parametrize("negatives", ["multiple", "single"])
def test_a_step_moves_towards_what_the_rater_prefers(radius: float, direction: int, negatives: str) -> None:
    """The reference's contour is at radius 8: a smaller truth must lower the bias, a larger one raise it."""
    made = stage(DirectPreference(PreferenceSettings(negatives=negatives)), anchor=0.0)  # type: ignore[arg-type]
    made.step(started(made, FakeData(radius=radius)), "network")["loss"].backward()  # type: ignore[no-untyped-call]
    assert torch.sign(-made.student.bias.grad).item() == direction  # type: ignore[union-attr, operator]


@pytest.mark.parametrize("preset", ["tiny", "small", "paper"])
def test_at_the_start_every_margin_is_zero(registry: Registry, preset: str) -> None:
    """Policy = reference, on the same view with the same prompts: the loss is softplus(log n) with n negatives."""
    values = dict(registry.get("method", "prefer-das").component.presets[preset])
    settings = PreferDASSettings(**(values | {"source_batch": 0, "sum_patches": False}))
    single = DirectPreference(PreferenceSettings(negatives="single"))
    made = PreferenceStage(settings, single, Touchy(), 24)
    batch = started(made, FakeData())
    points = [torch.tensor([[5.0, 7.0], [15.0, 12.0]])] * settings.batch
    terms = made.step(replace(batch, target=replace(batch.target, points=points)), "network")  # type: ignore[type-var]
    assert terms["preferred_gain"].item() == 0
    assert terms["preference"].item() == pytest.approx(np.log(2), abs=1e-6)


def test_without_any_answer_the_anchor_alone_is_learnt() -> None:
    made = stage(SparsePreference(SparseSettings(share=0.0)))
    terms = made.step(started(made, FakeData(0.0)), "network")
    assert terms["preference"] == 0
    assert terms["anchor"] > 0
    assert torch.isfinite(terms["loss"])


def test_the_target_crops_of_an_update_are_tiles_with_answers_and_follow_from_the_step() -> None:
    made = stage(SparsePreference(SparseSettings(share=0.05)), batch=8)
    first, again = (started(made, FakeData(0.05), step).target for step in (3, 3))
    assert first.origins == again.origins  # type: ignore[union-attr]
    asked = {(t.z, t.window) for t in made.data.tiles if made.data._answers[made.data.numbers([t])[0]]}  # type: ignore[union-attr]
    assert {(t.z, t.window) for t in first.origins} <= asked  # type: ignore[union-attr]


def test_the_reference_is_frozen_and_not_part_of_the_outcome() -> None:
    made = stage(DirectPreference(PreferenceSettings()))
    assert set(made.modules()) == {"network"}
    assert not any(p.requires_grad for p in made.reference.parameters())
    assert made.student is not made.reference


def test_confident_labels_ignore_what_lies_between() -> None:
    labels = confident_labels(torch.tensor([0.1, 0.31, 0.5, 0.69, 0.9]), 0.7)
    assert labels.tolist() == [0, IGNORE, IGNORE, IGNORE, 1]

"""Stage 2: which patches are asked, what is learnt from the answers, and the anchor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from dabench_prefer_das import PreferDASSettings, PreferenceStage
from dabench_prefer_das.dataset import collect
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
from dabench.ops.choice import best_candidate
from dabench.ops.losses import confident_labels
from dabench.ops.prompts import NetworkOutput, Prompts
from dabench.types import IGNORE, Batch, CropId, Prediction, PreferenceAnswer, PreferenceQuestion, TargetCrops

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)


class Blur(nn.Module):
    """A probability that is the image itself, and a bias to learn."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, images: Tensor, prompts: Prompts | None = None, with_density: bool = False) -> NetworkOutput:
        return NetworkOutput(torch.logit(images.clamp(0.02, 0.98)) + self.bias)

    def predict(self, images: Tensor, points: object = None, density: bool = False) -> Prediction:
        return Prediction(self(images).probability.detach())


class Touchy(Blur):
    """Answers otherwise to a turned image, and with prompts."""

    def forward(self, images: Tensor, prompts: Prompts | None = None, with_density: bool = False) -> NetworkOutput:
        ramp = torch.linspace(-1, 1, images.shape[-1])
        clicks = 0 if prompts is None else 0.3 * prompts.valid.sum(dim=1)[:, None, None, None]
        return NetworkOutput(super().forward(images).logits + ramp + clicks)


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

    def target_shape(self) -> tuple[int, int, int]:
        return (2, 48, 72)

    def target_crop(self, crop: CropId) -> np.ndarray:
        return self.images[crop.z][crop.window.slices]

    def remember(self, name: str, shape: tuple[int, ...], fill: Callable[[np.ndarray], None]) -> np.ndarray:
        values = np.empty(shape, np.float16)
        fill(values)
        return values

    def points(self) -> dict[int, object]:
        return {}

    def patch_budget(self) -> float:
        return self.budget

    def rng(self, what: str) -> np.random.Generator:
        return np.random.default_rng(0)

    def preferences(self, questions: Sequence[PreferenceQuestion], rater: str | None = None) -> list[PreferenceAnswer]:
        self.asked = [(q, rater) for q in questions]
        truth = [q.hint if rater == "self" else self.truth[q.z][q.window.slices] for q in questions]
        found = [best_candidate(q.candidates, t) for q, t in zip(questions, truth, strict=True)]
        return [PreferenceAnswer(q.z, q.window, c, 5.0, "test") for q, c in zip(questions, found, strict=True)]


def gather(data: FakeData, optimizer: PreferenceOptimizer, views: int = 1) -> object:
    return collect(data, Blur(), optimizer, THRESHOLDS, 24, views)  # type: ignore[arg-type]


@pytest.mark.parametrize(("share", "count"), [(0.15, 16), (0.05, 5), (0.0, 0)])
def test_slpo_asks_exactly_its_share_of_all_patches(share: float, count: int) -> None:
    data = FakeData(share)
    # 2 slices x 6 tiles x 9 patches = 108 patches in all.
    gather(data, SparsePreference(SparseSettings(share=share)))
    assert len(data.asked) == count
    assert len({(q.z, q.window) for q, _ in data.asked}) == count
    assert all(len(q.candidates) > 1 for q, _ in data.asked)


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
    torch.testing.assert_close(one.proposal([0, 3]), four.proposal([0, 3]))  # type: ignore[attr-defined]


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

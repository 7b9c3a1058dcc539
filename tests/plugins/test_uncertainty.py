"""Uncertainty scheme: mean and spread of the passes, cuts by class over the whole set, labels cut like the crops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from dabench_uncertainty import (
    MonteCarloPredictor,
    UncertaintyLabels,
    UncertaintySettings,
    count_uncertainties,
    rectified,
    uncertainty_cuts,
)

from dabench.annotation.desk import AnnotationDesk
from dabench.data.volumes import ArrayVolume
from dabench.interfaces import Budget
from dabench.ops.dropout import seeded
from dabench.testing.toys import ImageToy
from dabench.training.stage_data import StageData
from dabench.types import IGNORE, CropId, TargetCrops, Window


def data_of(images: np.ndarray, folder: Path | None = None) -> StageData:
    desk = AnnotationDesk(None, images.shape, Budget(), {})
    return StageData(ArrayVolume(images), desk, torch.device("cpu"), 0, "test", None, folder)


def crops(*origins: CropId) -> TargetCrops:
    side = origins[0].window.height
    return TargetCrops(torch.zeros(len(origins), 1, side, side), [torch.zeros(0, 2)] * len(origins), list(origins))


def test_mean_and_deviation_of_the_passes() -> None:
    settings = UncertaintySettings(passes=40, dropout=0.5)
    predictor = MonteCarloPredictor(ImageToy(dropout=0.5), settings, seeded(0))
    # A pass gives 0 or 2 * 0.25: with a share k of kept passes the mean is k / 2 and the deviation √(k (1 - k)) / 2.
    seen = predictor.predict(torch.full((1, 1, 2, 2), 0.25), density=True)
    kept = 2 * seen.probability[0, 0, 0].item()
    assert 0 < kept < 1
    assert seen.density is not None
    assert seen.density[0, 0, 0].item() == pytest.approx(np.sqrt(kept * (1 - kept)) / 2, abs=1e-6)
    assert predictor.predict(torch.zeros(1, 1, 2, 2)).density is None


def test_passes_follow_from_the_generator() -> None:
    images, settings = torch.rand(2, 1, 4, 4), UncertaintySettings()
    first, second = (
        MonteCarloPredictor(ImageToy(dropout=0.5), settings, seeded(5)).predict(images).probability for _ in range(2)
    )
    assert torch.equal(first, second)


def test_cuts_by_hand() -> None:
    mean = np.full((1, 30), 0.2, np.float16)
    mean[0, 20:] = 0.5  # exactly one half is foreground
    deviation = np.concatenate([np.arange(20), 100 + np.arange(10)])[None].astype(np.float16) / 256
    counts = count_uncertainties(mean, deviation)
    assert counts.sum(axis=1).tolist() == [20, 10]
    # 19 of 20 background pixels do not exceed 18; 95 % of ten needs all ten.
    assert (256 * uncertainty_cuts(counts, 95)).tolist() == [18, 109]
    assert (256 * uncertainty_cuts(counts, 50)).tolist() == [9, 104]
    assert (256 * uncertainty_cuts(counts, 0)).tolist() == [0, 100]
    assert (256 * uncertainty_cuts(2 * counts, 95)).tolist() == [18, 109]


def test_a_class_without_pixels_has_no_cut() -> None:
    mean, deviation = np.zeros((2, 2), np.float16), np.full((2, 2), 0.25, np.float16)
    assert uncertainty_cuts(count_uncertainties(mean, deviation), 95).tolist() == [0.25, np.inf]


def test_the_uncertain_of_each_class_are_ignored() -> None:
    mean = torch.tensor([[[0.1, 0.4, 0.5, 0.9]]])
    deviation = torch.tensor([[[0.02, 0.03, 0.2, 0.3]]])
    labels = rectified(mean, deviation, torch.tensor([0.02, 0.2]))
    assert labels.tolist() == [[[0, IGNORE, 1, IGNORE]]]
    assert labels.dtype == torch.uint8


def refreshed(folder: Path | None = None) -> tuple[UncertaintyLabels, StageData]:
    rng = np.random.default_rng(0)
    seen = data_of(rng.random((2, 40, 36)).astype(np.float32), folder)
    scheme = UncertaintyLabels(UncertaintySettings(tile=32, passes=10, dropout=0.5))
    scheme.start(ImageToy(dropout=0.5))
    scheme.attach(seen)
    with torch.no_grad():
        scheme.refresh(ImageToy(dropout=0.5), seen)
    return scheme, seen


def test_a_round_keeps_at_least_95_percent_of_each_class_and_a_new_one_draws_anew() -> None:
    scheme, seen = refreshed()
    whole = [CropId(z, Window(0, 0, 40, 36)) for z in range(2)]
    first = scheme.targets(crops(*whole), seeded(0))
    for label in (0, 1):
        of_class = (first.confidence >= 0.5) == label
        known = (first.labels[of_class] == label).float().mean().item()
        assert known >= 0.95  # more where pixels are equally uncertain
    assert (first.labels == IGNORE).any()
    with torch.no_grad():
        scheme.refresh(ImageToy(dropout=0.5), seen)
    assert scheme.round == 1
    assert not torch.equal(first.confidence, scheme.targets(crops(*whole), seeded(0)).confidence)


def test_labels_are_cut_like_the_crops() -> None:
    scheme, _ = refreshed()
    whole = scheme.targets(crops(CropId(1, Window(0, 0, 40, 36))), seeded(0))
    inner = scheme.targets(crops(CropId(1, Window(5, 7, 16, 16))), seeded(0))
    assert torch.equal(inner.labels[0], whole.labels[0, 5:21, 7:23])
    beyond = scheme.targets(crops(CropId(1, Window(36, 0, 8, 8))), seeded(0))
    assert torch.equal(beyond.labels[0, :4], whole.labels[0, 36:, :8])
    assert torch.equal(beyond.labels[0, 4:], whole.labels[0, 36:, :8].flip(0))


def test_resumed_in_a_round_it_labels_the_same(tmp_path: Path) -> None:
    scheme, seen = refreshed(tmp_path)
    again = UncertaintyLabels(scheme.settings)
    again.attach(data_of(seen.target_crop(CropId(0, Window(0, 0, 40, 36)))[None].repeat(2, 0), tmp_path))
    again.load_state(scheme.state())
    asked = crops(CropId(0, Window(3, 4, 16, 16)))
    assert torch.equal(scheme.targets(asked, seeded(0)).labels, again.targets(asked, seeded(0)).labels)


def test_a_round_comes_first() -> None:
    scheme = UncertaintyLabels(UncertaintySettings())
    with pytest.raises(RuntimeError, match="refresh"):
        scheme.targets(crops(CropId(0, Window(0, 0, 8, 8))), seeded(0))

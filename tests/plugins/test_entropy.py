"""Entropy pseudo-labels: the measure, the percentile, the cut, and rounds that survive a restart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from dabench_entropy import (
    EntropyLabels,
    EntropySettings,
    certain_labels,
    entropy_cuts,
    entropy_histogram,
    normalised_entropy,
)
from torch import Tensor

from dabench.annotation.desk import AnnotationDesk
from dabench.data.volumes import ArrayVolume
from dabench.interfaces import Budget
from dabench.testing.toys import ImageToy
from dabench.training.stage_data import StageData
from dabench.types import IGNORE, CropId, TargetCrops, Window


def data_of(images: Tensor, folder: Path) -> StageData:
    desk = AnnotationDesk(None, tuple(images.shape), Budget(), {})  # type: ignore[arg-type]
    return StageData(ArrayVolume(images.numpy()), desk, torch.device("cpu"), 0, "test", None, folder)


def crop_of(images: Tensor, window: Window, z: int = 0) -> TargetCrops:
    return TargetCrops(images[z][window.slices][None, None], [torch.zeros(0, 2)], [CropId(z, window)])


def labels_of(scheme: EntropyLabels, crops: TargetCrops) -> Tensor:
    return scheme.targets(crops, torch.Generator()).labels


def test_entropy_by_hand() -> None:
    found = normalised_entropy(torch.tensor([0.0, 0.5, 1.0, 0.25]))
    # H(1/4) = 1/4 * 2 + 3/4 * log2(4/3) bits
    assert found.tolist() == pytest.approx([0, 1, 0, 0.5 + 0.75 * np.log2(4 / 3)], abs=1e-6)


def test_histogram_counts_by_predicted_class() -> None:
    counts = entropy_histogram(np.array([[0.0, 0.5, 0.9], [1.0, 0.1, 0.2]], np.float16))
    assert counts.sum(axis=1).tolist() == [4, 2]
    assert counts[0, 0] == 1  # the certain background; one half is background with entropy 1
    assert counts[0, -1] == 1
    assert counts[1, 0] == 1


def test_the_cut_is_the_percentile_but_at_least_one_half() -> None:
    counts = np.zeros((2, 10), np.int64)
    counts[0, :10] = 10  # uniform: 80 % lie below 0.8
    counts[1, 0] = 100  # certain: 80 % lie below 0.1
    assert entropy_cuts(counts, 80.0, 0.5).tolist() == pytest.approx([0.8, 0.5])
    assert entropy_cuts(counts, 80.0, 0.0).tolist() == pytest.approx([0.8, 0.1])
    assert entropy_cuts(counts, 100.0, 0.0).tolist() == pytest.approx([1.0, 0.1])


def test_a_class_without_pixels_has_the_least_cut() -> None:
    counts = np.zeros((2, 10), np.int64)
    counts[0, 9] = 5
    assert entropy_cuts(counts, 80.0, 0.5).tolist() == [1.0, 0.5]


def test_each_class_has_its_own_cut() -> None:
    # H(0.7) = H(0.3) = 0.881: above the background's cut, not above the foreground's.
    labels = certain_labels(torch.tensor([[[0.3, 0.7, 0.05, 0.95]]]), torch.tensor([0.6, 0.9]))
    assert labels.tolist() == [[[IGNORE, 1, 0, 1]]]


def test_a_round_labels_the_whole_set_by_its_own_percentiles(tmp_path: Path) -> None:
    images = torch.zeros(2, 32, 32)
    images[0, :8] = 0.9  # H = 0.47: 256 pixels, half of the foreground of both slices
    images[1, :8] = 0.6  # H = 0.97: the other half, so the 40th percentile is the surer half's
    scheme, student = EntropyLabels(EntropySettings(tile=32, percentile=40)), ImageToy()
    data = data_of(images, tmp_path)
    scheme.start(student)
    scheme.attach(data)
    scheme.refresh(student, data)
    assert scheme.cuts.tolist() == [0.5, 0.5]
    window = Window(4, 0, 8, 8)
    expected = torch.zeros(8, 8, dtype=torch.uint8)
    expected[:4] = 1
    assert torch.equal(labels_of(scheme, crop_of(images, window, 0))[0], expected)
    expected[:4] = IGNORE
    assert torch.equal(labels_of(scheme, crop_of(images, window, 1))[0], expected)
    scheme.settings = EntropySettings(tile=32, percentile=80)
    scheme.refresh(student, data)
    assert scheme.cuts[1].item() == pytest.approx(0.971, abs=1e-3)
    assert (labels_of(scheme, crop_of(images, window, 1))[0, :4] == 1).all()


def test_labels_stay_the_rounds_until_the_next(tmp_path: Path) -> None:
    images = torch.full((1, 32, 32), 0.8)
    images[:, 0, 0] = 0.9  # a blank tile is nobody's question
    scheme, student, data = EntropyLabels(EntropySettings(tile=32)), ImageToy(), data_of(images, tmp_path)
    scheme.refresh(student, data)
    crops = crop_of(images, Window(0, 0, 32, 32))
    with torch.no_grad():
        student.gain.fill_(0.1)
    scheme.after_update(student, 0)
    assert (labels_of(scheme, crops)[:, 1:] == 1).all()
    scheme.refresh(student, data)
    assert (labels_of(scheme, crops)[:, 1:] == 0).all()


def test_a_restart_goes_on_in_its_round(tmp_path: Path) -> None:
    images = torch.rand(1, 32, 32, generator=torch.Generator().manual_seed(0))
    first, student = EntropyLabels(EntropySettings(tile=32, percentile=50)), ImageToy()
    first.refresh(student, data_of(images, tmp_path))
    state, before = first.state(), labels_of(first, crop_of(images, Window(0, 0, 32, 32)))
    with torch.no_grad():
        student.gain.fill_(0.7)
    first.refresh(student, data_of(images, tmp_path))  # a later round is on disk; the checkpoint is from before
    second = EntropyLabels(EntropySettings(tile=32, percentile=50))
    second.start(student)
    second.attach(data_of(images, tmp_path))
    second.load_state(state)
    assert torch.equal(labels_of(second, crop_of(images, Window(0, 0, 32, 32))), before)
    assert not torch.equal(labels_of(first, crop_of(images, Window(0, 0, 32, 32))), before)


def test_flips_are_averaged(tmp_path: Path) -> None:
    ramp = ImageToy(answer=lambda images: torch.linspace(0, 1, images.shape[-1]).expand_as(images))
    images = torch.eye(32)[None]
    scheme, data = EntropyLabels(EntropySettings(tile=32)), data_of(images, tmp_path)
    scheme.refresh(ramp, data)
    pseudo = scheme.targets(crop_of(images, Window(0, 0, 32, 32)), torch.Generator())
    assert torch.allclose(pseudo.confidence, torch.full((1, 32, 32), 0.5), atol=1e-3)


def test_a_crop_over_the_edge_is_reflected_like_its_image(tmp_path: Path) -> None:
    images = torch.rand(1, 24, 24, generator=torch.Generator().manual_seed(0))
    scheme, data = EntropyLabels(EntropySettings(tile=24)), data_of(images, tmp_path)
    scheme.refresh(ImageToy(), data)
    window = Window(0, 0, 32, 32)
    image = torch.from_numpy(data.target_crop(CropId(0, window)).copy())[None, None]
    pseudo = scheme.targets(TargetCrops(image, [torch.zeros(0, 2)], [CropId(0, window)]), torch.Generator())
    assert torch.allclose(pseudo.confidence[0], image[0, 0], atol=1e-3)


def test_a_round_comes_first(tmp_path: Path) -> None:
    scheme = EntropyLabels(EntropySettings())
    crops = crop_of(torch.zeros(1, 8, 8), Window(0, 0, 8, 8))
    with pytest.raises(RuntimeError, match="refresh"):
        scheme.targets(crops, torch.Generator())
    scheme.attach(data_of(torch.zeros(1, 8, 8), tmp_path))
    with pytest.raises(RuntimeError, match="refresh"):
        scheme.targets(crops, torch.Generator())

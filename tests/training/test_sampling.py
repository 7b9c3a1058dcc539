"""Crops: stateless, inside the slice, with the points that belong to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dabench.data.volumes import ArrayVolume
from dabench.errors import DataError
from dabench.interfaces import CropSpec
from dabench.ops.augmentation import STRONG
from dabench.ops.patches import cut
from dabench.ops.views import view_source
from dabench.training.sampling import CropSampler, LabelledSlices, draw_window, gap_slices, step_seed
from dabench.types import IGNORE, PointAnswer, Window


def volumes(height: int = 80, width: int = 96) -> tuple[ArrayVolume, ArrayVolume]:
    rng = np.random.default_rng(0)
    images = rng.random((3, height, width)).astype(np.float32)
    labels = np.zeros((3, height, width), np.uint8)
    labels[1, 40:44, 60:66] = 1
    return ArrayVolume(images), ArrayVolume(labels)


def sampler(**spec: object) -> CropSampler:
    images, labels = volumes()
    crops = CropSpec(**{"size": 32, "source": 2, "target": 2, **spec})  # type: ignore[arg-type]
    points = {1: PointAnswer(1, np.array([[70.0, 20.0]], np.float32), 0.0, "test")}
    return CropSampler(crops, 0, "stage", LabelledSlices(images, labels), images, points)


def test_a_step_is_the_same_at_every_call_and_differs_from_others() -> None:
    first, again, other = sampler().draw(5), sampler().draw(5), sampler().draw(6)
    assert torch.equal(first.source.images, again.source.images)
    assert torch.equal(first.target.images, again.target.images)
    assert not torch.equal(first.source.images, other.source.images)
    assert torch.rand(1, generator=first.generator) == torch.rand(1, generator=again.generator)


def test_seeds_differ_by_seed_stage_and_step() -> None:
    assert len({step_seed(s, n, i) for s in range(3) for n in ("a", "b") for i in range(50)}) == 300


def test_foreground_crops_hold_foreground_where_the_slice_has_any() -> None:
    drawn = [sampler(foreground=1.0).draw(step).source for step in range(20)]
    held = [bool((labels == 1).any()) for batch in drawn for labels in batch.labels]
    # One slice of three has foreground; its crops all hold some.
    assert 0.15 < np.mean(held) < 0.55


def test_points_of_a_crop_lie_on_the_same_pixel() -> None:
    images, _ = volumes()
    for step in range(30):
        target = sampler(target_points=1.0).draw(step).target
        for image, points, origin in zip(target.images, target.points, target.origins, strict=True):
            assert len(points) == (1 if origin.z == 1 else 0)
            for x, y in points.long().tolist():
                assert image[0, y, x] == images.read(1)[20, 70]


@given(st.integers(8, 120), st.integers(8, 120), st.integers(4, 60), st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_windows_stay_inside_and_hold_the_wanted_pixel(height: int, width: int, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixel = np.array([[rng.integers(height), rng.integers(width)]])
    window = draw_window(size, height, width, rng, around=pixel)
    assert window.y >= 0
    assert window.x >= 0
    assert window.y <= max(0, height - size)
    assert window.x <= max(0, width - size)
    y, x = pixel[0]
    assert window.y <= y < window.y + size
    assert window.x <= x < window.x + size


def test_a_slice_smaller_than_the_crop_is_reflected_and_its_labels_ignored() -> None:
    plane = np.arange(12, dtype=np.float32).reshape(3, 4)
    window = Window(0, 0, 5, 5)
    assert cut(plane, window)[3, 0] == plane[2, 0]
    assert cut(plane, window).shape == (5, 5)
    labels = cut(np.ones((3, 4), np.uint8), window, fill=IGNORE)
    assert (labels[3:] == IGNORE).all()
    assert (labels[:3, :4] == 1).all()


# ---------------------------------------------------------------- pairs of sections
@pytest.mark.parametrize(
    ("nanometres", "thickness", "depth", "slices"),
    [(0, 30, 9, 0), (40, 30, 9, 1), (40, 25, 9, 2), (40, 5, 9, 8), (40, 5, 8, 7), (40, 5, 1, 1)],
)
def test_a_gap_is_the_nearest_section_at_least_one_and_inside(
    nanometres: float, thickness: float, depth: int, slices: int
) -> None:
    assert gap_slices(nanometres, thickness, depth) == slices


def test_pairs_are_the_same_window_some_sections_further() -> None:
    images, labels = volumes()
    spec = CropSpec(32, source=2, target=2, neighbour=40.0)
    points = {2: PointAnswer(2, np.array([[70.0, 20.0]], np.float32), 0.0, "test")}
    drawn = CropSampler(spec, 0, "stage", LabelledSlices(images, labels), images, points, (1, 2))
    for step in range(10):
        batch = drawn.draw(step)
        assert batch.source.second.images.shape == batch.source.images.shape
        for origin, image, other in zip(
            batch.target.origins, batch.target.images, batch.target.second.images, strict=True
        ):
            assert origin.z == 0
            assert np.array_equal(image[0], images.read(0)[origin.window.slices])
            assert np.array_equal(other[0], images.read(2)[origin.window.slices])
        assert all(len(p) == 0 for p in batch.target.points)
    assert any(len(p) for step in range(20) for p in drawn.draw(step).target.second.points)


def test_both_sections_of_a_pair_are_seen_through_one_view() -> None:
    images, labels = volumes()
    drawn = CropSampler(CropSpec(32, source=3), 0, "stage", LabelledSlices(images, labels), gaps=(1, 0)).draw(0)
    twin = replace(drawn.source, second=drawn.source)
    seen = view_source(twin, STRONG, drawn.generator)
    assert torch.equal(seen.images, seen.second.images)
    assert torch.equal(seen.labels, seen.second.labels)


def test_a_volume_without_a_partner_is_refused() -> None:
    images, labels = volumes()
    with pytest.raises(DataError, match="pairs 3 slices apart"):
        CropSampler(CropSpec(32, source=1), 0, "stage", LabelledSlices(images, labels), gaps=(3, 0))

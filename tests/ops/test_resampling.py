"""Pixel sizes: values as a library has them, points and masks that come back, the same bits in any window."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dabench.ops.resampling import Resampling
from dabench.types import Window

SHAPES = st.tuples(st.integers(1, 70), st.integers(1, 70))
#: Integer factors both ways, fractions, odd sides, one axis alone.
PAIRS = [((64, 48), (32, 24)), ((33, 47), (66, 94)), ((65, 37), (41, 53)), ((40, 40), (40, 13)), ((10, 11), (3, 17))]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_values_are_those_of_antialiased_linear_interpolation(source, target):
    image = np.random.default_rng(0).random(source, dtype=np.float32)
    stacked = torch.from_numpy(image)[None, None].double()
    expected = torch.nn.functional.interpolate(stacked, size=target, mode="bilinear", antialias=True)[0, 0].numpy()
    np.testing.assert_allclose(Resampling(source, target).apply(image), expected, atol=1e-6)


def test_by_hand():
    halved = Resampling((1, 4), (1, 2))
    # Triangles of two pixels around 0.5 and 2.5: weights 1, 3, 3, 1, of which one lies beyond the rim.
    np.testing.assert_allclose(halved.apply(np.array([[7.0, 0, 14, 0]])), [[(3 * 7 + 14) / 7, 3 * 14 / 7]], rtol=1e-6)
    doubled = halved.inverse
    np.testing.assert_array_equal(doubled.apply(np.array([[0.0, 4.0]])), [[0, 1, 3, 4]])


@given(source=SHAPES, target=SHAPES, value=st.floats(0, 1, width=32))
def test_a_constant_stays_that_constant(source, target, value):
    assert (Resampling(source, target).apply(np.full(source, value, np.float32)) == np.float32(value)).all()


@settings(max_examples=60)
@given(source=SHAPES, target=SHAPES, data=st.data())
def test_any_window_has_the_bits_of_the_whole(source, target, data):
    image = np.random.default_rng(1).random(source, dtype=np.float32)
    resampling = Resampling(source, target)
    y, x = (data.draw(st.integers(0, n - 1)) for n in target)
    window = Window(y, x, data.draw(st.integers(1, target[0] - y)), data.draw(st.integers(1, target[1] - x)))
    needed = resampling.needed(window)
    assert needed.y >= 0
    assert needed.y + needed.height <= source[0]
    found = resampling.apply(image[needed.slices], window)
    np.testing.assert_array_equal(found, resampling.apply(image)[window.slices])


@given(source=SHAPES, target=SHAPES, data=st.data())
def test_points_return_to_where_they_were(source, target, data):
    height, width = source
    inside = st.tuples(
        st.floats(-0.5, width - 0.5, exclude_max=True, width=32),
        st.floats(-0.5, height - 0.5, exclude_max=True, width=32),
    )
    points = np.array(data.draw(st.lists(inside, max_size=5)), np.float32).reshape(-1, 2)
    moved = Resampling(source, target).points(points)
    assert Window(0, 0, *target).contains(moved).all()
    np.testing.assert_allclose(Resampling(source, target).inverse.points(moved), points, atol=1e-4)


def test_the_far_rim_stays_on_the_slice():
    width = 4096
    last = np.nextafter(np.float32(width - 0.5), np.float32(0))
    moved = Resampling((8, width), (8, 1000)).points(np.array([[last, 0]], np.float32))
    assert Window(0, 0, 8, 1000).contains(moved).all()


@given(factor=st.integers(1, 4), shape=st.tuples(st.integers(1, 24), st.integers(1, 24)))
def test_a_mask_made_finer_by_a_whole_number_returns_to_the_voxel(factor, shape):
    mask = np.random.default_rng(2).random(shape) < 0.5
    seen = np.kron(mask, np.ones((factor, factor), bool))
    # A voxel's own pixels weigh at least 3/4 along each axis, so 9/16 together: also one that stands alone returns.
    back = Resampling(seen.shape, shape).apply(seen) >= 0.5
    np.testing.assert_array_equal(back, mask)


@pytest.mark.parametrize("factor", [0.5, 0.6, 1.7, 2.0, 3.0])
@pytest.mark.parametrize("side", [63, 64])
def test_discs_return_within_half_a_coarse_pixel(factor, side):
    """What a model would see of a disc, cut at one half and brought back, is the disc up to its rim."""
    y, x = np.indices((side, side))
    distance = np.hypot(y - side / 2, x - side / 3) - 12
    there = Resampling.between((side, side), (factor, factor), (1.0, 1.0))
    back = there.inverse.apply(there.apply(distance <= 0)) >= 0.5
    wrong = np.abs(distance[back != (distance <= 0)])
    assert wrong.max(initial=0) <= max(1, 1 / factor) * 0.75
    rows, columns = np.nonzero(back)
    assert np.hypot(rows.mean() - side / 2, columns.mean() - side / 3) < 0.1


def test_equal_sizes_are_left_alone_and_axes_are_apart():
    assert Resampling.between((100, 60), (8, 8), (8, 8)) is None
    assert Resampling.between((4096, 4096), (8, 8.07), (8, 8)) is None  # less than one per cent
    assert Resampling.between((100, 60), (4, 8), (8, 8)) == Resampling((100, 60), (50, 60))
    assert Resampling.between((101, 61), (4, 4), (8, 8)) == Resampling((101, 61), (50, 30))
    assert Resampling.between((3, 3), (1, 1), (100, 100)) == Resampling((3, 3), (1, 1))
    assert Resampling((4, 6), (2, 3)).area == 0.25


@settings(max_examples=40)
@given(source=SHAPES, target=SHAPES, data=st.data())
def test_ids_are_those_of_the_pixel_that_a_centre_lies_in(source, target, data):
    ids = np.arange(source[0] * source[1]).reshape(source)
    resampling = Resampling(source, target)
    y, x = (data.draw(st.integers(0, n - 1)) for n in target)
    window = Window(y, x, target[0] - y, target[1] - x)
    needed = resampling.needed(window)
    found = resampling.nearest(ids[needed.slices], window)
    row, column = ((at + 0.5) * before / after for at, before, after in zip((y, x), source, target, strict=True))
    assert found[0, 0] == ids[int(row), int(column)]
    np.testing.assert_array_equal(found, resampling.nearest(ids)[window.slices])


def test_ids_made_finer_by_a_whole_number_return():
    ids = np.random.default_rng(0).integers(0, 9, (7, 5))
    np.testing.assert_array_equal(Resampling((21, 15), (7, 5)).nearest(Resampling((7, 5), (21, 15)).nearest(ids)), ids)

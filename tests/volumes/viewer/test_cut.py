"""Which slices and pixels are shown, and how they are made smaller."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dabench.errors import ConfigError
from dabench.types import Window
from dabench.volumes.viewer.downsampling import area_mean, choose_downsampling, most_frequent

SHAPE = (100, 600, 900)


def test_all_is_shown_where_it_fits():
    cut = choose_downsampling((10, 600, 900))
    assert (cut.slices, cut.of, cut.factor, cut.window) == (tuple(range(10)), 10, 1, Window(0, 0, 600, 900))


def test_slices_are_thinned_evenly_with_both_ends():
    cut = choose_downsampling(SHAPE, most=5)
    assert (cut.slices, cut.of) == ((0, 25, 50, 74, 99), 100)
    assert choose_downsampling(SHAPE, slices=range(10, 20), every=4).slices == (10, 14, 18)
    assert choose_downsampling(SHAPE, most=1).slices == (0,)


@pytest.mark.parametrize(("side", "factor"), [(900, 1), (899, 2), (300, 3), (1, 900)])
def test_the_factor_is_whole_and_the_slice_fits(side, factor):
    assert choose_downsampling(SHAPE, side=side).factor == factor


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"slices": range(90, 101)}, "slices 90 to 100: the volume has 100"),
        ({"slices": range(-1, 4)}, "slices -1 to 3"),
        ({"slices": range(4, 4)}, "the volume has 100"),
        ({"window": Window(0, 800, 10, 101)}, "--window 0,800,10,101 leaves slices of 600 rows and 900 columns"),
        ({"window": Window(-1, 0, 10, 10)}, "y and x from 0 on"),
        ({"window": Window(0, 0, 0, 10)}, "at least 1"),
        ({"every": 0}, "--every 0"),
        ({"most": 0}, "--max 0"),
        ({"side": 0}, "--side 0"),
    ],
)
def test_what_leaves_the_volume_is_refused(wrong, said):
    with pytest.raises(ConfigError, match=said):
        choose_downsampling(SHAPE, **wrong)


def test_means_of_squares_and_of_what_is_left_at_the_edges():
    image = np.array([[0, 2, 10], [4, 6, 20], [8, 8, 40]], np.uint8)
    assert area_mean(image, 2).tolist() == [[3, 15], [8, 40]]
    assert area_mean(image, 1).tolist() == image.tolist()


def test_the_most_frequent_label_and_of_equally_frequent_ones_the_largest():
    labels = np.array([[1, 1, 0, 0], [1, 5, 9, 9], [0, 0, 0, 2], [0, 0, 2, 0]], np.uint32)
    assert most_frequent(labels, 2).tolist() == [[1, 9], [0, 2]]


@given(
    arrays(np.uint16, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3)), st.integers(1, 4)
)
def test_reduction_equals_counting_square_by_square(labels, factor):
    height, width = (-(-length // factor) for length in labels.shape)
    padded = np.pad(labels, [(0, -length % factor) for length in labels.shape], mode="edge")
    small, means = most_frequent(labels, factor), area_mean(labels, factor)
    assert small.dtype == labels.dtype
    for y in range(height):
        for x in range(width):
            inside = (slice(y * factor, (y + 1) * factor), slice(x * factor, (x + 1) * factor))
            counts = np.bincount(padded[inside].ravel(), minlength=4)
            assert small[y, x] == max(np.flatnonzero(counts == counts.max()))
            assert means[y, x] == pytest.approx(labels[inside].mean())


def test_bands_of_rows_join_without_a_seam(monkeypatch):
    labels = np.random.default_rng(0).integers(0, 4, (37, 23), dtype=np.uint8)
    whole = most_frequent(labels, 3)
    monkeypatch.setattr("dabench.volumes.viewer.downsampling._BAND", 1)
    assert (most_frequent(labels, 3) == whole).all()

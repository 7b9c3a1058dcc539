"""Padding: what it is, against a literal rule, and what it is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label

from dabench.ops.padding import padding


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(1, 255, shape).astype(np.uint8)


def literal(image, run):
    """Regions of one grey, one by one: do they fill a stretch of an edge, or a patch of the grid?"""
    found = np.zeros(image.shape, bool)
    height, width = image.shape
    for grey in np.unique(image):
        regions, count = label(image == grey, np.ones((3, 3)))
        for number in range(1, count + 1):
            own = regions == number
            edges = [own[0], own[-1], own[:, 0], own[:, -1]]
            stretch = any("1" * run in "".join(map(str, edge.astype(int))) for edge in edges)
            corners = [(y, x) for y in range(0, height - run + 1, run) for x in range(0, width - run + 1, run)]
            if stretch or any(own[y : y + run, x : x + run].all() for y, x in corners):
                found |= own
    return found


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(2, 4), st.integers(0, 2**16))
def test_the_literal_rule(height, width, run, seed):
    image = np.random.default_rng(seed).integers(0, 2, (height, width))
    found = padding(image, run)
    np.testing.assert_array_equal(np.zeros(image.shape, bool) if found is None else found, literal(image, run))


@pytest.mark.parametrize("grey", [0, 255])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_frame_is_found_to_the_pixel(grey, dtype):
    image = np.full((300, 400), grey, dtype)
    image[3:290, 70:390] = noise((287, 320))
    found = padding(image)
    expected = np.ones(image.shape, bool)
    expected[3:290, 70:390] = False
    inside = image == grey  # tissue may hold single pixels of the frame's grey; beside it they belong to it
    np.testing.assert_array_equal(found & ~inside, np.zeros_like(found))
    np.testing.assert_array_equal(found[expected], np.ones(expected.sum(), bool))
    assert found[expected == False].mean() < 1e-3  # noqa: E712 - an array


def test_tissue_has_none():
    assert padding(noise((300, 400))) is None
    assert padding(np.zeros((63, 63))) is None  # too small for a stretch
    black = noise((300, 400))
    black[100:160, 100:200] = 0  # a black body inside, no patch of the grid in it
    assert padding(black) is None


def test_all_of_one_grey_is_padding():
    assert padding(np.full((70, 20), 7)).all()

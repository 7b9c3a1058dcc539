"""Padding: what it is, against a literal rule, the same in any part of a slice, and what it is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dabench.ops import padding as module
from dabench.ops.padding import padding


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(1, 255, shape).astype(np.uint8)


def literal(image, side):
    """Patch by patch, as the docstring says it."""
    height, width = image.shape
    found = np.zeros(image.shape, bool)
    for top in range(0, height - side + 1, side):
        for left in range(0, width - side + 1, side):
            patch = image[top : top + side, left : left + side]
            greys = [patch.ravel()]
            greys += [patch[0]] if top == 0 else []
            greys += [patch[:, 0]] if left == 0 else []
            _spread(found, image, greys, top, left, side)
    for left in range(0, width - side + 1, side):  # the last row and column of pixels, in patches that may be cut
        _spread(found, image, [image[-1, left : left + side]], (height - 1) // side * side, left, side)
    for top in range(0, height - side + 1, side):
        _spread(found, image, [image[top : top + side, -1]], top, (width - 1) // side * side, side)
    return found


def _spread(found, image, lines, top, left, side):
    for line in lines:
        if len(np.unique(line)) == 1:
            around = slice(max(0, top - side), top + 2 * side), slice(max(0, left - side), left + 2 * side)
            found[around] |= image[around] == line[0]


@settings(deadline=None, max_examples=80)
@given(st.integers(3, 14), st.integers(3, 14), st.integers(0, 2**16), st.sampled_from([0.5, 0.9]))
def test_the_literal_rule(height, width, seed, share):
    rng = np.random.default_rng(seed)
    image = np.where(rng.random((height, width)) < share, 0, rng.integers(0, 3, (height, width)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SIDE", 3)
        found = padding(image)
    np.testing.assert_array_equal(np.zeros(image.shape, bool) if found is None else found, literal(image, 3))


@pytest.mark.parametrize("grey", [0, 255])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("corner", [(3, 70), (0, 0), (64, 128), (50, 1)], ids=str)
def test_a_frame_is_found_to_the_pixel(grey, dtype, corner):
    y, x = corner
    image = np.full((300, 400), grey, dtype)
    image[y : y + 230, x : x + 260] = noise((230, 260)).clip(1, 254)
    expected = np.ones(image.shape, bool)
    expected[y : y + 230, x : x + 260] = False
    np.testing.assert_array_equal(padding(image), expected)


def test_tissue_has_none():
    assert padding(noise((300, 400))) is None
    assert padding(np.zeros((63, 300))) is None  # too small for a patch
    black = noise((300, 400))
    black[100:160, 100:200] = 0  # a black body inside, no patch of the grid in it
    assert padding(black) is None


def test_all_of_one_grey_is_padding():
    assert padding(np.full((70, 130), 7)).all()

"""Tiles and patches: every pixel of a slice belongs to exactly one asked patch where sizes divide."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dabench.ops.patches import owned_patches, patch_windows, tile_windows
from dabench.types import Window


@given(st.integers(20, 150), st.integers(20, 150), st.integers(12, 60))
@settings(max_examples=50, deadline=None)
def test_tiles_cover_the_slice(height: int, width: int, size: int) -> None:
    seen = np.zeros((height, width), bool)
    for tile in tile_windows(height, width, size):
        assert (tile.height, tile.width) == (size, size)
        seen[tile.slices] = True
    assert seen.all()


@given(st.integers(5, 80), st.integers(5, 80), st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_patches_cover_a_tile_once(height: int, width: int, side: int) -> None:
    counts = np.zeros((height, width), int)
    for patch in patch_windows(Window(0, 0, height, width), side):
        counts[patch.slices] += 1
    assert (counts == 1).all()


@given(st.integers(2, 9), st.integers(2, 9), st.integers(1, 3))
@settings(max_examples=50, deadline=None)
def test_where_patches_divide_the_slice_each_part_is_owned_once(rows: int, columns: int, side: int) -> None:
    height, width, size = 8 * rows, 8 * columns, 8 * side
    counts = np.zeros((height, width), int)
    for patches in owned_patches(height, width, size, side):
        for patch in patches:
            counts[patch.slices] += 1
    assert counts.max() <= 1
    assert (counts == 1).all() or min(height, width) < size


def test_paper_grid_is_nine_patches_of_128() -> None:
    patches = patch_windows(Window(0, 0, 384, 384), 3)
    assert len(patches) == 9
    assert {(p.height, p.width) for p in patches} == {(128, 128)}


def test_patches_of_one_tile_over_a_smaller_slice_stay_inside() -> None:
    [patches] = owned_patches(70, 130, 192, 3)
    assert patches == [Window(0, 0, 64, 64), Window(0, 64, 64, 64)]

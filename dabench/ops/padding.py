"""Padding: the frame of one grey around tissue, where a scan ends or its alignment has moved a slice."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dabench.types import Array

#: Side of the patches that a slice is looked at in, from its first pixel on. Noise sees to it that so many pixels of
#: tissue are never equal.
SIDE = 64
#: Which edges of an image are edges of its slice: top, bottom, left, right.
Edges = tuple[bool, bool, bool, bool]


def padding(image: Array, edges: Edges = (True, True, True, True)) -> Array | None:
    """Finds the padding of a slice, or of a part of it that begins on the grid of patches.

    Padding begins in patches of one grey, and where a patch's pixels on the slice's edge are of one grey; it is all
    pixels of that grey in such a patch and the eight around it. So whether a pixel is padding depends on nothing
    farther than two patches away, and a part of a slice is judged as the whole.

    Args:
        image: (H, W), of any real type, as stored: greys that were clipped to one value are no padding.
        edges: which edges of the image are edges of the slice.

    Returns:
        (H, W) bool, True where there is padding; None where there is none.
    """
    rows, columns = image.shape[0] // SIDE, image.shape[1] // SIDE  # of whole patches: others begin no padding
    if not rows or not columns:
        return None
    begins = [_blank(image, rows, columns), *_on_edges(image, rows, columns, edges)]
    if not any(found.any() for found, _ in begins):
        return None
    result = np.zeros(image.shape, bool)
    everywhere = [_grown(found, grey, image.shape) for found, grey in begins if found.any()]
    near = np.logical_or.reduce([_dilated(found) for found, _ in everywhere])
    for row, column in np.argwhere(near):
        patch = slice(row * SIDE, (row + 1) * SIDE), slice(column * SIDE, (column + 1) * SIDE)
        for grey in _greys_around(everywhere, row, column):
            result[patch] |= image[patch] == grey
    return result


_Begin = tuple["Array", "Array"]


def _blank(image: Array, rows: int, columns: int) -> _Begin:
    """Patches of one grey, ``(rows, columns)`` bool, and that grey."""
    patches = image[: rows * SIDE, : columns * SIDE].reshape(rows, SIDE, columns, SIDE)
    lowest = patches.min(axis=(1, 3))
    return lowest == patches.max(axis=(1, 3)), lowest


def _on_edges(image: Array, rows: int, columns: int, edges: Edges) -> list[_Begin]:
    """The same for the pixels of patches that lie on an edge of the slice, an edge a time."""
    found = []
    for is_edge, axis, last in zip(edges, (0, 0, 1, 1), (False, True, False, True), strict=True):
        if is_edge:
            line = image.take(image.shape[axis] - 1 if last else 0, axis)
            count = columns if axis == 0 else rows
            pieces = line[: count * SIDE].reshape(count, SIDE)
            shape = -(-image.shape[0] // SIDE), -(-image.shape[1] // SIDE)
            begins, grey = np.zeros(shape, bool), np.zeros(shape, image.dtype)
            place = (-1 if last else 0, slice(count)) if axis == 0 else (slice(count), -1 if last else 0)
            begins[place], grey[place] = pieces.min(axis=1) == pieces.max(axis=1), pieces[:, 0]
            found.append((begins, grey))
    return found


def _grown(found: Array, grey: Array, shape: tuple[int, ...]) -> _Begin:
    """With the patches that the slice's end cuts, in which nothing begins."""
    missing = [(0, -(-n // SIDE) - have) for n, have in zip(shape, found.shape, strict=True)]
    return np.pad(found, missing), np.pad(grey, missing)


def _dilated(found: Array) -> Array:
    """Patches that are, or touch, one of these."""
    padded = np.pad(found, 1)
    height, width = found.shape
    shifted = [padded[y : y + height, x : x + width] for y, x in product(range(3), range(3))]
    grown: Array = np.logical_or.reduce(shifted)
    return grown


def _greys_around(begins: list[_Begin], row: int, column: int) -> set[object]:
    """Greys of the padding that begins in a patch or around it."""
    around = slice(max(0, row - 1), row + 2), slice(max(0, column - 1), column + 2)
    return {value for found, grey in begins for value in grey[around][found[around]].tolist()}

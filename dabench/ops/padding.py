"""Padding: the frame of one grey around tissue, where a scan ends or its alignment has moved a slice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dabench.ops.components import label_components

if TYPE_CHECKING:
    from dabench.types import Array

#: Pixels of one grey in a row, on the edge of an image, that make padding: noise sees to it that tissue never has them.
RUN = 64


def padding(image: Array, run: int = RUN) -> Array | None:
    """Finds the padding of an image.

    Padding is a connected region of exactly one grey that fills ``run`` pixels in a row of an edge of the image, or a
    patch of ``run`` x ``run`` pixels on the grid of such patches.

    Args:
        image: (H, W), of any real type.
        run: least length in pixels.

    Returns:
        (H, W) bool, True where there is padding; None where there is none.
    """
    seeds = np.concatenate([*_edges(image, run), _patches(image, run)])
    if not len(seeds):
        return None
    y, x = seeds.T
    greys, found = image[y, x], np.zeros(image.shape, bool)
    for grey in np.unique(greys):
        same = label_components(image == grey)
        chosen = np.zeros(same.max() + 1, bool)
        chosen[same[y, x][greys == grey]] = True
        found |= chosen[same]
    return found


def _edges(image: Array, run: int) -> list[Array]:
    """First pixels, (N, 2) as y, x, of stretches of one grey on the four edges."""
    starts: list[Array] = []
    for axis, line in ((0, 0), (0, image.shape[0] - 1), (1, 0), (1, image.shape[1] - 1)):
        along = _stretches(image.take(line, axis), run)
        fixed = np.full_like(along, line)
        starts.append(np.stack((along, fixed) if axis else (fixed, along), axis=1))
    return starts


def _stretches(line: Array, run: int) -> Array:
    """Where in a line ``run`` equal values begin."""
    if len(line) < run:
        return np.zeros(0, np.int64)
    equal = np.concatenate([[0], np.cumsum(line[1:] == line[:-1])])
    return np.flatnonzero(equal[run - 1 :] - equal[: len(equal) - run + 1] == run - 1)


def _patches(image: Array, run: int) -> Array:
    """First pixels, (N, 2) as y, x, of patches of one grey."""
    rows, columns = image.shape[0] // run, image.shape[1] // run
    patches = image[: rows * run, : columns * run].reshape(rows, run, columns, run)
    if not patches.size:
        return np.zeros((0, 2), np.int64)
    blank = patches.min(axis=(1, 3)) == patches.max(axis=(1, 3))
    return np.argwhere(blank) * run

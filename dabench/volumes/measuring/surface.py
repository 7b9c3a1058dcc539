"""Surfaces from 2 x 2 x 2 cells: the area of marching cubes, added up cell by cell without making a mesh.

Marching cubes at level 0.5 decides each cell from its own eight voxels, so an object's area is a sum over 256 kinds of
cells (in a slice: its outline is a sum over 16 kinds of 2 x 2 cells). The areas of the kinds are taken once from
scikit-image's mesh of each; so the sum is the area of scikit-image's mesh of the whole object.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from dabench.types import Array

Voxel = tuple[float, float, float]
#: Areas are added up as whole multiples of the largest one over this: sums do not depend on the order of boxes.
STEPS = 2**28


@lru_cache(maxsize=8)
def cell_areas(voxel: Voxel) -> Array:
    """Area in nm² within a cell, by the code of its corners, ``(256,)``; bit ``4 z + 2 y + x`` is set in the object."""
    import skimage.measure

    # scikit-image's functions have no types.
    mesh: Any = skimage.measure.marching_cubes
    area: Any = skimage.measure.mesh_surface_area
    areas = np.zeros(256)
    for code in range(1, 255):
        corners = (code >> np.arange(8) & 1).reshape(2, 2, 2).astype(np.float32)
        vertices, faces, _, _ = mesh(corners, 0.5, spacing=voxel)
        areas[code] = area(vertices, faces)
    return areas


@lru_cache(maxsize=8)
def cell_lengths(voxel: Voxel) -> Array:
    """Length of the outline in nm within a 2 x 2 cell of a slice (marching squares), ``(16,)``; bit ``2 y + x``.

    One corner inside, or one outside, is cut off by a diagonal; two that lie side by side are cut by a straight line,
    two that lie across by two diagonals.
    """
    _, height, width = voxel
    diagonal = math.hypot(height, width) / 2
    lengths = np.full(16, diagonal)
    lengths[[0, 15]] = 0
    lengths[[0b0011, 0b1100]], lengths[[0b0101, 0b1010]] = width, height
    lengths[[0b0110, 0b1001]] = 2 * diagonal
    return lengths


def units(table: Array) -> tuple[Array, float]:
    """A table in whole steps, int64, and what a step is worth."""
    step = float(table.max()) / STEPS
    return np.rint(table / step).astype(np.int64), step


def rim_cells(ids: Array, dims: int) -> tuple[Array, Array, Array]:
    """The cells at the rim of objects.

    Args:
        ids: ``(Z, Y, X)`` whole numbers, 0 and below is background.
        dims: 3: cells of 2 x 2 x 2 voxels; 2: cells of 2 x 2 pixels in each slice.

    Returns:
        index of the cell's first slice, id and code (see the tables), each ``(M,)``; a cell in which several objects
        meet occurs once for each of them.
    """
    corners, slices = _mixed(ids, dims)
    highest = corners.max(axis=1)
    there = highest > 0
    corners, slices, highest = corners[there], slices[there], highest[there]
    single = ((corners == highest[:, None]) | (corners <= 0)).all(axis=1)
    found = [(slices[single], highest[single], _codes(corners[single], highest[single]))]
    several = np.flatnonzero(~single)
    for corner in range(corners.shape[1] if several.size else 0):
        own = corners[several, corner]
        new = (own > 0) & (corners[several, :corner] != own[:, None]).all(axis=1)
        at = several[new]
        found.append((slices[at], own[new], _codes(corners[at], own[new])))
    place, whose, code = (np.concatenate(part) for part in zip(*found, strict=True))
    return place, whose, code


def _mixed(ids: Array, dims: int) -> tuple[Array, Array]:
    """Corners ``(M, 8 or 4)`` of the cells that are not all one id, and their slices."""
    x = ids[:, :, 1:] != ids[:, :, :-1]
    mixed = x[:, 1:] | x[:, :-1]
    mixed |= (ids[:, 1:] != ids[:, :-1])[:, :, 1:]
    if dims == 3:
        mixed = mixed[1:] | mixed[:-1]
        mixed |= (ids[1:] != ids[:-1])[:, 1:, 1:]
    z, y, x = np.nonzero(mixed)
    _, height, width = ids.shape
    first = (z * height + y) * width + x
    square = np.array([0, 1, width, width + 1])
    offsets = square if dims == 2 else np.concatenate([square, square + height * width])
    corners: Array = ids.reshape(-1)[first[:, None] + offsets]
    return corners, z


def _codes(corners: Array, own: Array) -> Array:
    codes: Array = np.packbits(corners == own[:, None], axis=1, bitorder="little")[:, 0]
    return codes

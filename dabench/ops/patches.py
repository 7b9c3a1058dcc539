"""Tiles that cover a slice, and the grid of patches inside them (Prefer-DAS IV.E: L x L patches an image)."""

from __future__ import annotations

import numpy as np

from dabench.types import Array, Window


def tile_windows(height: int, width: int, size: int) -> list[Window]:
    """Square tiles that cover a slice, row by row; the last of a row or column is moved inside the slice.

    A slice smaller than a tile gets one tile that reaches over its edge.
    """
    return [Window(y, x, size, size) for y in _origins(height, size) for x in _origins(width, size)]


def _origins(length: int, size: int) -> list[int]:
    if length <= size:
        return [0]
    return [*range(0, length - size, size), length - size]


def patch_windows(tile: Window, side: int) -> list[Window]:
    """``side`` x ``side`` patches of a tile, row by row, in the slice's coordinates; sizes differ by a pixel."""
    rows = [round(i * tile.height / side) for i in range(side + 1)]
    columns = [round(i * tile.width / side) for i in range(side + 1)]
    return [
        Window(tile.y + rows[i], tile.x + columns[j], rows[i + 1] - rows[i], columns[j + 1] - columns[j])
        for i in range(side)
        for j in range(side)
    ]


def owned_patches(height: int, width: int, size: int, side: int) -> list[list[Window]]:
    """Patches of each tile of `tile_windows` that belong to it: whole ones whose centre no earlier tile covers.

    So every part of a slice is asked about once, although the last tiles overlap their neighbours.
    """
    tiles = tile_windows(height, width, size)
    owned = []
    for number, tile in enumerate(tiles):
        earlier = tiles[:number]
        owned.append(
            [
                patch
                for patch in patch_windows(tile, side)
                if patch.y + patch.height <= height
                and patch.x + patch.width <= width
                and not any(_holds_centre(other, patch) for other in earlier)
            ]
        )
    return owned


def _holds_centre(tile: Window, patch: Window) -> bool:
    y, x = patch.y + patch.height / 2, patch.x + patch.width / 2
    return tile.y <= y < tile.y + tile.height and tile.x <= x < tile.x + tile.width


def cut(plane: Array, window: Window, *, fill: int | None = None) -> Array:
    """Pixels of a window; where it reaches over the slice's lower or right edge, reflected (or ``fill``)."""
    inside = plane[window.slices]
    short = [(0, window.height - inside.shape[0]), (0, window.width - inside.shape[1])]
    if not any(after for _, after in short):
        return inside
    if fill is not None:
        return np.pad(inside, short, constant_values=fill)
    return np.pad(inside, short, mode="symmetric")

"""Objects of tiles becoming objects of a slice: named apart, cut to the core of their tile, joined with neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dabench.errors import PluginError
from dabench.ops.joining import groups, matching
from dabench.ops.metrics import renumbered

if TYPE_CHECKING:
    from dabench.inference.tile_grid import TileGrid
    from dabench.types import Array, Window


class JoinedInstances:
    """The objects of one slice, or of a part of it, from tiles that come row by row.

    Two neighbouring tiles see the same pixels twice where they overlap; where they lie side by side, they face each
    other in two lines of pixels. Their objects are the same one where `dabench.ops.joining.matching` says so of these.
    Of a tile only what neighbours still need is kept, two rows of tiles at most.
    """

    def __init__(self, grid: TileGrid) -> None:
        """Start an empty map of the grid's window."""
        self._grid, self._count = grid, 0
        self._names = np.zeros((grid.window.height, grid.window.width), np.int32)
        self._pairs = [np.zeros((0, 2), np.int64)]
        self._tiles: dict[tuple[int, int], Array] = {}
        self._before = tuple(_before([at for _, at in lying]) for lying in (grid.rows, grid.columns))

    def add(self, window: Window, ids: Array) -> None:
        """Take the ids ``(S, S)`` of one tile, after those above and left of it.

        Raises:
            PluginError: ids that are no whole numbers, or below 0.
        """
        if ids.dtype.kind not in "iu" or ids.min(initial=0) < 0:
            raise PluginError(f"a predictor gave instances of {ids.dtype}, from {ids.min()}: ids are whole numbers >= 0.")
        height, width = self._grid.shape
        own = renumbered(ids[: height - window.y, : width - window.x]).astype(np.int32)
        own[own > 0] += self._count
        self._count = max(self._count, int(own.max(initial=0)))
        self._compare(window, own)
        self._tiles[window.y, window.x] = own
        self._write(window, own)

    def ids(self) -> Array:
        """``(H, W)`` int32 after the last tile: 0 is background, objects are 1..N in scan order."""
        if not self._names.any():
            return self._names
        group = groups(self._count, np.concatenate(self._pairs) - 1) + 1
        distinct, first = np.unique(self._names, return_index=True)
        in_order = distinct[np.argsort(first)]
        objects, seen = np.unique(group[in_order[in_order > 0] - 1], return_index=True)
        names = np.zeros(self._count + 1, np.int32)
        names[objects[np.argsort(seen)]] = np.arange(1, objects.size + 1)
        found: Array = names[np.concatenate([[0], group])[self._names]]
        return found

    def _compare(self, window: Window, own: Array) -> None:
        """Find the objects that this tile shares with those above and left of it; forget rows further up."""
        above, left = self._before[0].get(window.y), self._before[1].get(window.x)
        for place in [place for place in self._tiles if place[0] not in (window.y, above)]:
            del self._tiles[place]
        for axis, place in ((0, (above, window.x)), (1, (window.y, left))):
            other = self._tiles.get(place)  # type: ignore[call-overload]
            if other is not None:
                step = window.y - place[0] if axis == 0 else window.x - place[1]  # type: ignore[operator]
                depth = max(1, other.shape[axis] - step)
                one, two = (np.moveaxis(tile, axis, 0) for tile in (other, own))
                self._pairs.append(matching(one[-depth:], two[:depth]))

    def _write(self, window: Window, own: Array) -> None:
        """Put the core of a tile where it lies in the wanted window."""
        core, wanted = self._grid.core(window), self._grid.window
        top, left = max(core.y, wanted.y), max(core.x, wanted.x)
        bottom = min(core.y + core.height, wanted.y + wanted.height)
        right = min(core.x + core.width, wanted.x + wanted.width)
        part = own[top - window.y : bottom - window.y, left - window.x : right - window.x]
        self._names[top - wanted.y : bottom - wanted.y, left - wanted.x : right - wanted.x] = part


def _before(places: list[int]) -> dict[int, int]:
    """The place before each but the first."""
    return dict(zip(places[1:], places, strict=False))

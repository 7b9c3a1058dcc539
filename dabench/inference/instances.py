"""Objects of tiles becoming objects of a slice: named apart, cut to the core of their tile, joined with neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dabench.errors import PluginError
from dabench.ops.joining import groups, matching
from dabench.ops.metrics import renumbered
from dabench.ops.run_lengths import runs_of

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
            raise PluginError(
                f"a predictor gave instances of {ids.dtype}, from {ids.min()}: ids are whole numbers >= 0."
            )
        height, width = self._grid.shape
        own = renumbered(ids[: height - window.y, : width - window.x]).astype(np.int32)
        own[own > 0] += self._count
        self._count = max(self._count, int(own.max(initial=0)))
        self._compare(window, own)
        self._tiles[window.y, window.x] = own
        self._write(window, own)

    def ids(self) -> Array:
        """``(H, W)`` int32 after the last tile: 0 is background, objects are 1..N in scan order."""
        if not self._count:
            return self._names
        group = np.concatenate([[0], groups(self._count, np.concatenate(self._pairs) - 1) + 1])
        objects, seen = np.unique(group[runs_of(self._names).ids], return_index=True)
        numbers = np.zeros(self._count + 1, np.int32)
        numbers[objects[np.argsort(seen)]] = np.arange(1, objects.size + 1)
        found: Array = numbers[group][self._names]
        return found

    def _compare(self, window: Window, own: Array) -> None:
        """Find the objects that a tile shares with those above and left of it; forget rows further up."""
        above, left = self._before[0].get(window.y), self._before[1].get(window.x)
        self._tiles = {place: ids for place, ids in self._tiles.items() if place[0] in (window.y, above)}
        if above is not None and (above, window.x) in self._tiles:
            self._match(self._tiles[above, window.x], own, window.y - above)
        if left is not None and (window.y, left) in self._tiles:
            self._match(self._tiles[window.y, left].T, own.T, window.x - left)

    def _match(self, before: Array, own: Array, step: int) -> None:
        """Pair the objects of two tiles of which the second begins ``step`` rows later."""
        shared = max(1, len(before) - step)
        self._pairs.append(matching(before[-shared:], own[:shared]))

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

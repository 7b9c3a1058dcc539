"""Objects of tiles becoming objects of a slice: named apart, cut to the core of their tile, joined with neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import fastremap
import numpy as np

from dabench.errors import PluginError
from dabench.ops.joining import groups, matching
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
        self._tiles: dict[tuple[int, int], _Tile] = {}
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
        own, _ = fastremap.renumber(np.ascontiguousarray(ids[: height - window.y, : width - window.x]))
        tile = _Tile(own, self._count)
        self._count += int(own.max(initial=0))
        self._compare(window, tile)
        self._tiles[window.y, window.x] = tile
        self._write(window, tile)

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

    def _compare(self, window: Window, tile: _Tile) -> None:
        """Find the objects that a tile shares with those above and left of it; forget rows further up."""
        above, left = self._before[0].get(window.y), self._before[1].get(window.x)
        self._tiles = {place: kept for place, kept in self._tiles.items() if place[0] in (window.y, above)}
        if above is not None and (before := self._tiles.get((above, window.x))):
            self._pairs.append(_shared(before, before.ids, tile, tile.ids, window.y - above))
        if left is not None and (before := self._tiles.get((window.y, left))):
            self._pairs.append(_shared(before, before.ids.T, tile, tile.ids.T, window.x - left))

    def _write(self, window: Window, tile: _Tile) -> None:
        """Put the core of a tile where it lies in the wanted window."""
        core, wanted = self._grid.core(window), self._grid.window
        top, left = max(core.y, wanted.y), max(core.x, wanted.x)
        bottom = min(core.y + core.height, wanted.y + wanted.height)
        right = min(core.x + core.width, wanted.x + wanted.width)
        part = tile.ids[top - window.y : bottom - window.y, left - window.x : right - window.x]
        place = np.s_[top - wanted.y : bottom - wanted.y, left - wanted.x : right - wanted.x]
        self._names[place] = np.where(part, part + np.int32(tile.count), 0)


@dataclass(frozen=True)
class _Tile:
    """Ids 1..N of one tile, in the smallest type; ``count`` objects of the slice have their names before its own."""

    ids: Array
    count: int


def _shared(before: _Tile, one: Array, tile: _Tile, two: Array, step: int) -> Array:
    """Pairs of names of two tiles of which the second begins ``step`` rows later: in what both see, or face."""
    rows = max(1, len(one) - step)
    pairs: Array = matching(one[-rows:], two[:rows]) + np.array([before.count, tile.count])
    return pairs


def _before(places: list[int]) -> dict[int, int]:
    """The place before each but the first."""
    return dict(zip(places[1:], places, strict=False))

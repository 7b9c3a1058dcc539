"""Which tiles of a slice's grid a part of the slice needs: the grid is the whole slice's, however it is cut."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from dabench.errors import ConfigError
from dabench.inference.tiles import Profile, origins
from dabench.types import Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dabench.types import Array


@dataclass(frozen=True)
class Tiling:
    """How one slice is cut: side of a tile in pixels, inference profile, tiles a forward pass."""

    tile: int
    profile: Profile
    batch_size: int = 8

    def __post_init__(self) -> None:
        """Refuse sizes that cannot be."""
        if self.tile < 1 or self.batch_size < 1:
            raise ConfigError(f"tile {self.tile} and batch size {self.batch_size} must be at least 1.")


@dataclass(frozen=True)
class TileGrid:
    """The tiles that touch a window of a slice, on the grid that `windows` gives for the whole slice.

    Attributes:
        shape: (H, W) of the slice.
        window: the part of it that is wanted.
        tiling: how the slice is cut.
    """

    shape: tuple[int, int]
    window: Window
    tiling: Tiling

    @classmethod
    def whole(cls, shape: tuple[int, int], tiling: Tiling) -> TileGrid:
        """All tiles of a slice."""
        return cls(shape, Window(0, 0, *shape), tiling)

    @cached_property
    def rows(self) -> list[tuple[int, int]]:
        """(number, first pixel) of the rows of tiles that touch the window."""
        return self._touching(self.shape[0], self.window.y, self.window.height)

    @cached_property
    def columns(self) -> list[tuple[int, int]]:
        """(number, first pixel) of the columns of tiles that touch the window."""
        return self._touching(self.shape[1], self.window.x, self.window.width)

    def __len__(self) -> int:
        """Number of tiles."""
        return len(self.rows) * len(self.columns)

    @property
    def seen(self) -> Window:
        """The part of the slice that the tiles look at: the window with its margin."""
        (top, bottom), (left, right) = (self._ends(axis) for axis in (0, 1))
        return Window(top, left, bottom - top, right - left)

    def weights(self) -> tuple[Array, Array]:
        """Sum of the weights, float64, of the tiles that own each row and each column of the window.

        The weights of the tiles that own a pixel add up to the product of its two sums.
        """
        window = self.window
        return self._sum(self.rows, window.y, window.height), self._sum(self.columns, window.x, window.width)

    def groups(self) -> Iterator[list[Window]]:
        """The tiles, row by row, parted as the batches of the whole slice are.

        Sums in floating point depend on their order; this one is the same for any part of a slice.
        """
        tile, batch = self.tiling.tile, self.tiling.batch_size
        across = len(self._origins(self.shape[1]))
        numbered = (
            ((i * across + j) // batch, Window(y, x, tile, tile)) for i, y in self.rows for j, x in self.columns
        )
        for _, group in groupby(numbered, key=lambda pair: pair[0]):
            yield [window for _, window in group]

    def owned(self, window: Window) -> Window:
        """The pixels of a tile that its prediction is for: all; without overlap, those of no tile before it."""
        if self.tiling.profile.overlap:
            return window
        y, x = self._first(window.y), self._first(window.x)
        return Window(y, x, window.y + window.height - y, window.x + window.width - x)

    def core(self, window: Window) -> Window:
        """The pixels of a tile that no other tile's objects name: up to the middle of what it shares with the next."""
        if not self.tiling.profile.overlap:
            return self.owned(window)
        (top, bottom), (left, right) = self._middle(0, window.y), self._middle(1, window.x)
        return Window(top, left, bottom - top, right - left)

    def _middle(self, axis: int, at: int) -> tuple[int, int]:
        firsts, tile = self._origins(self.shape[axis]), self.tiling.tile
        n = firsts.index(at)
        begin = (firsts[n - 1] + tile + at) // 2 if n else at
        end = (at + tile + firsts[n + 1]) // 2 if n + 1 < len(firsts) else at + tile
        return begin, end

    def _first(self, at: int) -> int:
        """First pixel that a tile owns along an axis: only the last tile, flush with the end, begins off the grid."""
        tile = self.tiling.tile
        return at if self.tiling.profile.overlap else -(-at // tile) * tile

    def _origins(self, length: int) -> list[int]:
        tile = self.tiling.tile
        return origins(max(length, tile), tile, self.tiling.profile.step(tile))

    def _touching(self, length: int, first: int, size: int) -> list[tuple[int, int]]:
        tile = self.tiling.tile
        return [(n, at) for n, at in enumerate(self._origins(length)) if at < first + size and at + tile > first]

    def _sum(self, touching: list[tuple[int, int]], first: int, size: int) -> Array:
        total, weights = np.zeros(size), self.tiling.profile.weights(self.tiling.tile)
        for _, at in touching:
            start, stop = max(first, self._first(at)), min(first + size, at + self.tiling.tile)
            total[start - first : stop - first] += weights[start - at : stop - at]
        return total

    def _ends(self, axis: int) -> tuple[int, int]:
        touching = (self.rows, self.columns)[axis]
        return touching[0][1], min(self.shape[axis], touching[-1][1] + self.tiling.tile)

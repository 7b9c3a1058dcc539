"""Sums over voxels by object, in whole numbers: exact, and the same in whatever boxes they are taken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dabench.errors import DataError
from dabench.ops.run_lengths import RunLengths
from dabench.types import Array, Block

#: Pairs of axes whose products are summed.
PRODUCTS = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
#: Columns of `Sums.added`: voxels, the three coordinates, six products, steps of surface.
_VOXELS, _COORDINATES, _PRODUCTS, _SURFACE = 0, slice(1, 4), slice(4, 10), 10
_COLUMNS = 11
_FAR = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Sums:
    """Sums of K objects.

    Args:
        keys: ``(K, 2)`` int64 (slice, id), sorted and distinct; the slice is 0 where an object is more than its cuts.
        added: ``(K, 11)`` int64: voxels, sums of z, y, x and of their products, steps of surface.
        low: ``(K, 3)`` int64, the least z, y, x.
        high: ``(K, 3)`` int64, the greatest.
    """

    keys: Array
    added: Array
    low: Array
    high: Array

    @property
    def voxels(self) -> Array:
        """``(K,)`` voxels of each."""
        voxels: Array = self.added[:, _VOXELS]
        return voxels

    @property
    def surface(self) -> Array:
        """``(K,)`` steps of surface of each."""
        surface: Array = self.added[:, _SURFACE]
        return surface

    def central(self) -> tuple[Array, Array]:
        """Mean ``(K, 3)`` in voxels and covariance ``(K, 3, 3)`` in voxels² of the voxels' centres."""
        # About each object's own first corner, still in whole numbers: no digits are lost far from the origin.
        n, low = self.voxels, self.low
        own = self.added[:, _COORDINATES] - n[:, None] * low
        mean = own / n[:, None]
        covariance = np.zeros((n.size, 3, 3))
        for k, (i, j) in enumerate(PRODUCTS):
            products = self.added[:, _PRODUCTS][:, k] - low[:, i] * own[:, j] - low[:, j] * own[:, i]
            products -= n * low[:, i] * low[:, j]
            covariance[:, i, j] = covariance[:, j, i] = products / n - mean[:, i] * mean[:, j]
        return mean + low, covariance

    def whole(self) -> Sums:
        """The same objects, with their cuts on different slices added up."""
        keys = self.keys.copy()
        keys[:, 0] = 0
        return added_up(keys, self.added, self.low, self.high)


def sums_of_runs(runs: RunLengths, block: Block) -> Sums:
    """Sums of the cuts of objects in a box, by (slice, id).

    Raises:
        DataError: an id that no signed 64-bit number holds.
    """
    if runs.ids.dtype == np.uint64 and runs.ids.max(initial=0) > _FAR:
        raise DataError(
            f"slices {block.z} to {block.z + block.depth - 1}: id {runs.ids.max()} is above {_FAR}.",
            "Renumber the objects from 1.",
        )
    z, y = np.divmod(runs.row, block.height)
    z, y, x, n = z + block.z, y + block.y, runs.start + block.x, runs.length
    last = x + n - 1
    sum_x = n * (x + last) // 2
    sum_xx = n * x * x + x * n * (n - 1) + (n - 1) * n * (2 * n - 1) // 6
    columns = [n, n * z, n * y, sum_x, n * z * z, n * y * y, sum_xx, y * sum_x, z * sum_x, n * z * y, np.zeros_like(n)]
    keys = np.stack([z, runs.ids.astype(np.int64)], axis=1)
    return added_up(keys, np.stack(columns, axis=1), np.stack([z, y, x], axis=1), np.stack([z, y, last], axis=1))


def surface_sums(slices: Array, ids: Array, steps: Array) -> Sums:
    """Sums that hold surfaces only."""
    added = np.zeros((ids.size, _COLUMNS), np.int64)
    added[:, _SURFACE] = steps
    keys = np.stack([slices, ids.astype(np.int64)], axis=1)
    nowhere = np.full((ids.size, 3), _FAR)
    return added_up(keys, added, nowhere, -nowhere)


def added_up(keys: Array, added: Array, low: Array, high: Array) -> Sums:
    """Rows with the same key as one."""
    if not len(keys):
        return Sums(keys, added, low, high)
    order = np.lexsort((keys[:, 0], keys[:, 1]))
    keys = keys[order]
    new = np.ones(len(keys), bool)
    new[1:] = (keys[1:] != keys[:-1]).any(axis=1)
    at = np.flatnonzero(new)
    return Sums(
        keys[at],
        np.add.reduceat(added[order], at),
        np.minimum.reduceat(low[order], at),
        np.maximum.reduceat(high[order], at),
    )


class Ledger:
    """Sums of boxes as they come, added up whenever as many rows have come as there were."""

    def __init__(self) -> None:
        """Start empty."""
        self._parts = [Sums(*(np.zeros((0, n), np.int64) for n in (2, _COLUMNS, 3, 3)))]
        self._fresh = self._settled = 0

    def add(self, sums: Sums) -> None:
        """Take the sums of one box."""
        self._parts.append(sums)
        self._fresh += len(sums.keys)
        if self._fresh > max(self._settled, 2**15):
            self.total()

    def total(self) -> Sums:
        """The sums of all boxes so far."""
        parts = ((p.keys, p.added, p.low, p.high) for p in self._parts)
        total = added_up(*(np.concatenate(part) for part in zip(*parts, strict=True)))
        self._parts, self._fresh, self._settled = [total], 0, len(total.keys)
        return total

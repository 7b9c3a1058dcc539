"""Objects that are cut by borders: which pieces on two sides of a border touch, and what they make together."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dabench.ops.metrics import overlap_table
from dabench.ops.run_lengths import RunLengths

#: Neighbours of a voxel -> along how many axes at once two neighbours may differ.
REACH = {6: 1, 18: 2, 26: 3, 4: 1, 8: 2}
_NO_PAIRS = np.zeros((0, 2), np.int64)


def touching(one: RunLengths, other: RunLengths, reach: int, *, rows: bool = True) -> npt.NDArray[np.int64]:
    """Pairs of ids that touch where two planes lie face to face.

    Args:
        one: runs of a plane ``(H, W)``.
        other: runs of the plane behind it, of the same size.
        reach: the number of the plane's two axes along which a voxel and its neighbour behind it may differ by one: 0
            with 6 neighbours in 3-D, 1 with 18, 2 with 26.
        rows: whether the two may lie in different rows at all; false where the rows are slices that are labelled apart.

    Returns:
        ``(K, 2)`` int64, distinct pairs in order.
    """
    found = [_overlapping(one, other, dy, int(reach > abs(dy))) for dy in ((-1, 0, 1) if reach and rows else (0,))]
    return distinct(np.concatenate(found))


def distinct(pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The different ones of ``(K, 2)`` pairs, sorted."""
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    new = np.ones(len(pairs), bool)
    new[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    return pairs[new]


def groups(count: int, pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """Which pieces belong together.

    Args:
        count: number of pieces.
        pairs: ``(K, 2)`` pieces, counted from 0, that touch.

    Returns:
        ``(count,)`` int32: each piece's group, counted from 0.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(len(pairs), bool)
    graph = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    group: npt.NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return group


def matching(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Objects that two labellings of the same pixels have in common.

    Two are the same where each is the one that the other overlaps most, by at least half of the smaller: no object has
    two partners, so that objects that touch stay apart.

    Args:
        one: ids ``(H, W)``, whole numbers >= 0, 0 = background.
        other: ids of the same shape.

    Returns:
        ``(K, 2)`` int64: pairs of ids, in the order of the first.

    Example:
        >>> import numpy as np
        >>> matching(np.array([[1, 1, 1, 2, 2]]), np.array([[5, 5, 6, 6, 6]])).tolist()
        [[1, 5], [2, 6]]
    """
    table = overlap_table(one, other)
    smaller = np.minimum(table.true_area[table.true], table.predicted_area[table.predicted])
    same = _largest(table.true, table.pixels) & _largest(table.predicted, table.pixels) & (2 * table.pixels >= smaller)
    first, second = np.unique(one[one > 0]), np.unique(other[other > 0])
    return np.stack([first[table.true[same]], second[table.predicted[same]]], axis=1).astype(np.int64)


def _largest(group: npt.NDArray[np.int64], pixels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which entries are the largest of their group; of equal ones the first."""
    order = np.lexsort((-pixels, group))
    found = np.zeros(group.size, bool)
    found[order[np.unique(group[order], return_index=True)[1]]] = True
    return found


class SliceLinks:
    """Objects of slices that come in order, joined to objects that go through slices (`matching` on slices in turn).

    An object goes on in at most one object of the next slice: where it forks, the largest overlap goes on.
    """

    def __init__(self, count: int = 0) -> None:
        """Start before a first slice; ``count`` names are taken."""
        self.count = count
        #: Ids of the slice before, and what they are called.
        self._before: tuple[npt.NDArray[Any], npt.NDArray[np.int64]] | None = None

    def names(self, ids: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """What the objects of the next slice are called.

        Args:
            ids: ``(H, W)`` whole numbers 0..N, 0 = background.

        Returns:
            ``(N + 1,)`` int64, the name of each id, 0 first; new names go on from the last ones.
        """
        names = np.zeros(int(ids.max(initial=0)) + 1, np.int64)
        if self._before is not None:
            before, own = matching(self._before[0], ids).T
            names[own] = self._before[1][before]
        new = np.flatnonzero(names[1:] == 0) + 1
        names[new] = self.count + 1 + np.arange(new.size)
        self.count += new.size
        self._before = ids, names
        return names


def _overlapping(one: RunLengths, other: RunLengths, dy: int, dx: int) -> npt.NDArray[np.int64]:
    """Pairs of ids whose runs overlap when those of ``one`` move by ``dy`` rows and grow by ``dx`` on both sides.

    All rows lie on one line, two pixels apart so that a run that grew never reaches another row. Runs of a plane are
    disjoint and in order, so those that overlap a given one are neighbours in the list, found by bisection.
    """
    stride = one.width + 2
    begin = (one.row + dy) * stride + one.start
    begins = other.row * stride + other.start
    low = np.searchsorted(begins + other.length, begin - dx, side="right")
    high = np.searchsorted(begins, begin + one.length + dx, side="left")
    count = np.maximum(high - low, 0)
    if not count.any():
        return _NO_PAIRS
    left = np.repeat(np.arange(count.size), count)
    right = np.arange(left.size) - np.repeat(np.cumsum(count) - count, count) + np.repeat(low, count)
    return np.stack([one.ids[left], other.ids[right]], axis=1).astype(np.int64)


__all__ = ["REACH", "SliceLinks", "distinct", "groups", "matching", "touching"]

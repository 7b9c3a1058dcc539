"""Objects that are cut by borders: which pieces on two sides of a border touch, and what they make together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dabench.ops.run_lengths import RunLengths

#: Neighbours of a voxel -> along how many axes at once two neighbours may differ.
REACH = {6: 1, 18: 2, 26: 3, 4: 1, 8: 2}
_NO_PAIRS = np.zeros((0, 2), np.int64)


def touching(one: RunLengths, other: RunLengths, reach: int, *, rows: bool = True) -> npt.NDArray[np.int64]:
    """Pairs of ids that touch where two planes lie face to face.

    Args:
        one: runs of a plane ``(H, W)``.
        other: runs of the plane behind it, of the same size.
        reach: along how many of the plane's two axes a voxel and its neighbour behind it may differ by one: 0 with 6
            neighbours in 3-D, 1 with 18, 2 with 26.
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


__all__ = ["REACH", "distinct", "groups", "touching"]

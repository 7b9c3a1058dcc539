"""True against predicted objects of a volume that comes in parts: pairs of ids are counted, and all metrics follow.

`dabench.ops.metrics` scores one slice at a time. Here the counts of many slices are added up by id first, so objects
are compared whole, and no more than the counts is kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dabench.ops.metrics import Counts, Overlap
from dabench.ops.run_lengths import Ids, stretches


@dataclass(frozen=True)
class Pairs:
    """How many voxels lie in each true and each predicted object at once.

    ``true``, ``predicted`` and ``voxels`` are ``(K,)`` int64, sorted by (true, predicted), each pair of ids once; id 0
    is background, pairs of background with background are left out.
    """

    true: Counts
    predicted: Counts
    voxels: Counts

    def renamed(self, names: Counts) -> Pairs:
        """The pairs after predicted id ``i`` became ``names[i]``; ids that became the same are added up."""
        return _added(self.true, names[self.predicted], self.voxels)

    def overlap(self) -> Overlap:
        """The table that metrics read; objects are in the order of their ids."""
        true_ids, true_of = np.unique(self.true, return_inverse=True)
        predicted_ids, predicted_of = np.unique(self.predicted, return_inverse=True)
        both = (self.true > 0) & (self.predicted > 0)
        shift = [int(ids.size > 0 and ids[0] == 0) for ids in (true_ids, predicted_ids)]
        return Overlap(
            _sums(true_of, self.voxels, true_ids.size)[shift[0] :],
            _sums(predicted_of, self.voxels, predicted_ids.size)[shift[1] :],
            true_of[both] - shift[0],
            predicted_of[both] - shift[1],
            self.voxels[both],
        )


def count_pairs(true: Ids, predicted: Ids) -> Pairs:
    """Count the pairs of ids of one part.

    Args:
        true: whole-number ids of any shape, 0 and below is background.
        predicted: the same, of the same shape.
    """
    starts, lengths = stretches(true, predicted)
    ids = [np.maximum(side.reshape(-1)[starts].astype(np.int64), 0) for side in (true, predicted)]
    there = (ids[0] > 0) | (ids[1] > 0)
    return _added(ids[0][there], ids[1][there], lengths[there])


def add_pairs(parts: Iterable[Pairs]) -> Pairs:
    """The pairs of all parts together."""
    nothing = np.zeros(0, np.int64)
    sides = zip(*((p.true, p.predicted, p.voxels) for p in parts), strict=True)
    true, predicted, voxels = [np.concatenate([nothing, *side]) for side in sides] or [nothing] * 3
    return _added(true, predicted, voxels)


def average_precision(overlap: Overlap, iou: float) -> float:
    """COCO's average precision of one class, a predicted object's size being its confidence.

    As the evaluation code of the MitoEM challenge does where no scores are given: predictions in order of their size,
    a hit where the IoU with a true object is at least ``iou``, and the mean over the recalls 0, 0.01 … 1 of the best
    precision at that recall or above (0 where the recall is never reached). Two things are made definite: a true object
    is found once (two predictions can only claim it at an IoU of exactly 0.5), and predictions of equal size are
    counted together, so that their order does not matter. Recalls are compared as whole numbers.

    Args:
        overlap: the objects.
        iou: the least IoU of a hit, 0.5 or more.

    Returns:
        A number in [0, 1]; NaN without any object.

    Raises:
        ValueError: ``iou`` is below 0.5, where matches would be ambiguous.
    """
    if iou < 0.5:
        raise ValueError(f"average precision at IoU {iou}: matches are unambiguous from 0.5 on")
    if overlap.empty:
        return math.nan
    true, size = overlap.true_area.size, overlap.predicted_area
    if not true or not size.size:
        return 0.0
    order = np.argsort(-size, kind="stable")
    hits = np.cumsum(_hits(overlap, iou)[order])
    last = np.flatnonzero(np.diff(size[order], append=-1))
    precision = hits[last] / (last + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    reached = np.searchsorted(100 * hits[last], true * np.arange(101), side="left")
    return float(np.append(envelope, 0.0)[reached].mean())


def _hits(overlap: Overlap, iou: float) -> Counts:
    """``(P,)`` 1 where a predicted object is a hit: the first of its pairs, and the first of the true object's."""
    close = np.flatnonzero(overlap.iou >= iou)
    for side in (overlap.predicted, overlap.true):
        close = close[np.unique(side[close], return_index=True)[1]]
    hits = np.zeros(overlap.predicted_area.size, np.int64)
    hits[overlap.predicted[close]] = 1
    return hits


def _added(true: Counts, predicted: Counts, voxels: Counts) -> Pairs:
    if not voxels.size:
        return Pairs(true, predicted, voxels)
    order = np.lexsort((predicted, true))
    true, predicted, voxels = true[order], predicted[order], voxels[order]
    new = np.ones(voxels.size, bool)
    new[1:] = (true[1:] != true[:-1]) | (predicted[1:] != predicted[:-1])
    at = np.flatnonzero(new)
    return Pairs(true[at], predicted[at], np.add.reduceat(voxels, at))


def _sums(of: Counts, voxels: Counts, count: int) -> Counts:
    sums = np.zeros(count, np.int64)
    np.add.at(sums, of, voxels)
    return sums


__all__ = ["Pairs", "add_pairs", "average_precision", "count_pairs"]

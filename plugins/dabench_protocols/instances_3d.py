"""`instances-3d@1`: whole objects in three dimensions, from slices that come one by one.

Nothing but counts is kept: voxels a pair of (true, predicted) ids, and the runs of slices whose neighbour has not come
yet. Formulae and edge cases: docs/protocol.md.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from dabench.ops.components import label_components
from dabench.ops.joining import groups, touching
from dabench.ops.matching import Pairs, add_pairs, average_precision, count_pairs
from dabench.ops.metrics import Overlap, dice
from dabench.ops.run_lengths import RunLengths, runs_of
from dabench.plugin import DataError, EvaluationProtocol, SliceScore

if TYPE_CHECKING:
    from dabench.types import Array

#: Neighbours of a voxel in the slice beside it: all nine.
_REACH = 2


def scores_of(overlap: Overlap) -> dict[str, float]:
    """All metrics of a set of objects; NaN where there is none on either side."""
    iou = overlap.iou[overlap.iou > 0.5]
    objects = overlap.true_area.size + overlap.predicted_area.size
    rq = 2 * iou.size / objects if objects else math.nan
    sq = float(iou.mean()) if iou.size else 0.0 if objects else math.nan
    return {
        "ap_75": average_precision(overlap, 0.75),
        "ap_50": average_precision(overlap, 0.5),
        "pq": rq * sq,
        "sq": sq,
        "rq": rq,
        "dice": dice(overlap),
    }


class Instances3d(EvaluationProtocol):
    """True ids against predicted ids, or against the 26-connected components of a predicted mask."""

    metrics = ("ap_75", "ap_50", "pq", "sq", "rq", "dice")
    wants_instances = True
    takes_instances = True
    through_slices = True

    def __init__(self) -> None:
        """Start without slices."""
        self._pairs = _Sum()
        self._components = _Components()
        self._kind = ""
        self._n = self._left_out = 0

    def update(self, z: int, prediction: Array, label: Array) -> SliceScore:
        """Count one slice; its row scores the slice's own cuts: objects as they appear on it.

        Raises:
            ValueError: a slice came twice, or masks and ids are mixed.
            DataError: an id that no signed 64-bit number holds.
        """
        kind = "mask" if prediction.dtype == bool else "ids"
        if self._kind not in ("", kind):
            raise ValueError(f"slice {z}: {kind}, after slices of {self._kind}")
        self._kind = kind
        truth, predicted = _known(z, prediction, label)
        own = label_components(predicted) if kind == "mask" else predicted
        pairs = count_pairs(truth, own)
        overlap = pairs.overlap()
        shift = self._components.add(z, runs_of(own)) if kind == "mask" else 0
        self._pairs.add(Pairs(pairs.true, np.where(pairs.predicted, pairs.predicted + shift, 0), pairs.voxels))
        if overlap.empty:
            self._left_out += 1
            return SliceScore(z, {}, "empty on both sides")
        self._n += 1
        sizes = {"n_true": overlap.true_area.size, "n_pred": overlap.predicted_area.size}
        return SliceScore(z, {**scores_of(overlap), **sizes})

    def result(self) -> dict[str, float]:
        """The metrics of the whole objects; NaN when every slice was empty on both sides."""
        pairs = self._pairs.total()
        if self._kind == "mask":
            pairs = pairs.renamed(self._components.names())
        return {**scores_of(pairs.overlap()), "n": float(self._n), "left_out": float(self._left_out)}


class _Sum:
    """Pairs that are added up whenever as many have come as there were."""

    def __init__(self) -> None:
        self._parts: list[Pairs] = []
        self._fresh = self._settled = 0

    def add(self, pairs: Pairs) -> None:
        self._parts.append(pairs)
        self._fresh += pairs.voxels.size
        if self._fresh > max(self._settled, 2**16):
            self.total()

    def total(self) -> Pairs:
        self._parts = [add_pairs(self._parts)]
        self._fresh, self._settled = 0, self._parts[0].voxels.size
        return self._parts[0]


class _Components:
    """Joins the components of slices that lie side by side, in whatever order they come."""

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[RunLengths, int]] = {}
        self._seen: set[int] = set()
        self._contacts = [np.zeros((0, 2), np.int64)]
        self._count = 0

    def add(self, z: int, runs: RunLengths) -> int:
        """Take the components 1..N of slice ``z``; their numbers over all slices begin behind what is returned."""
        if z in self._seen:
            raise ValueError(f"slice {z} came twice")
        shift = self._count
        self._count += int(runs.ids.max(initial=0))
        self._seen.add(z)
        self._waiting[z] = runs, shift
        for beside in (z - 1, z + 1):
            if beside in self._waiting:
                other, other_shift = self._waiting[beside]
                self._contacts.append(touching(runs, other, _REACH) + np.array([shift, other_shift]))
        for done in (z - 1, z, z + 1):
            if {done - 1, done, done + 1} <= self._seen:
                self._waiting.pop(done, None)
        return shift

    def names(self) -> Array:
        """The object (1..) of every component; that of 0, the background, is 0."""
        contacts = np.concatenate(self._contacts)
        self._contacts = [contacts]
        return np.concatenate([[0], groups(self._count, contacts - 1).astype(np.int64) + 1])


def _known(z: int, prediction: Array, label: Array) -> tuple[Array, Array]:
    """Truth and prediction, with voxels of negative true ids background on both sides."""
    for side, ids in (("true", label), ("predicted", prediction)):
        if ids.dtype == np.uint64 and ids.max(initial=0) > np.iinfo(np.int64).max:
            raise DataError(f"slice {z}: {side} id {ids.max()} is above {np.iinfo(np.int64).max}.", "Renumber them.")
    if label.dtype.kind == "i" and label.min(initial=0) < 0:
        ignored = label < 0
        label, prediction = np.where(ignored, 0, label), np.where(ignored, prediction.dtype.type(0), prediction)
    return label, prediction

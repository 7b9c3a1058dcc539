"""Dice, AJI and PQ of one slice, all from one table of which objects overlap by how many pixels.

The literature's code builds a full-size mask per object, which costs O(objects x pixels). The same numbers follow from
counting pairs of ids once, O(pixels): every metric below reads an `Overlap` and never a pixel.

Conventions: object ids are whole numbers, 0 is background; a slice that is empty on both sides has no score (NaN here,
the protocols leave it out); empty on one side scores 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dabench.ops.components import SMALL_OBJECT

Counts = npt.NDArray[np.int64]
#: Above this many cells a table of pairs is sorted instead of counted densely (64 MiB).
_DENSE_CELLS = 2**23


@dataclass(frozen=True)
class Overlap:
    """The contingency table of T true and P predicted objects, without its empty cells.

    true_area ``(T,)`` and predicted_area ``(P,)`` are pixels an object; pair k says that true object ``true[k]`` and
    predicted object ``predicted[k]`` (both counted from 0) share ``pixels[k]`` > 0 pixels. Pairs are sorted by
    (true, predicted).
    """

    true_area: Counts
    predicted_area: Counts
    true: Counts
    predicted: Counts
    pixels: Counts

    @property
    def empty(self) -> bool:
        """Whether there is no object on either side."""
        return not (self.true_area.size or self.predicted_area.size)

    @property
    def union(self) -> Counts:
        """``(K,)`` pixels of the union of each pair."""
        return self.true_area[self.true] + self.predicted_area[self.predicted] - self.pixels

    @property
    def iou(self) -> npt.NDArray[np.float64]:
        """``(K,)`` intersection over union of each pair, in (0, 1]."""
        return self.pixels / self.union

    def without_small(self, largest: int = SMALL_OBJECT) -> Overlap:
        """The table after predicted objects of at most ``largest`` pixels are dropped (15 in `das-2d@1`)."""
        keep = self.predicted_area > largest
        renumbered = np.cumsum(keep) - 1
        pairs = keep[self.predicted]
        return Overlap(
            self.true_area,
            self.predicted_area[keep],
            self.true[pairs],
            renumbered[self.predicted[pairs]],
            self.pixels[pairs],
        )


def overlap_table(true_ids: npt.NDArray[Any], predicted_ids: npt.NDArray[Any]) -> Overlap:
    """Count, in one pass, how many pixels each true object shares with each predicted one.

    Args:
        true_ids: ``(H, W)`` whole numbers >= 0, 0 = background, as from `label_components`; ids need not be
            consecutive, an id without a pixel is no object.
        predicted_ids: the same of the prediction.

    Raises:
        ValueError: the shapes differ.
    """
    if true_ids.shape != predicted_ids.shape:
        raise ValueError(f"truth has shape {true_ids.shape}, prediction {predicted_ids.shape}")
    there = np.logical_or(true_ids, predicted_ids)
    true, predicted = true_ids[there].astype(np.int64), predicted_ids[there].astype(np.int64)
    if _cells(true, predicted) > _DENSE_CELLS:
        true, predicted = _renumber(true), _renumber(predicted)
    rows, columns, pixels = _count_pairs(true, predicted)
    row_ids, row_of = np.unique(rows, return_inverse=True)
    column_ids, column_of = np.unique(columns, return_inverse=True)
    true_area = np.bincount(row_of, pixels, row_ids.size).astype(np.int64)[row_ids > 0]
    predicted_area = np.bincount(column_of, pixels, column_ids.size).astype(np.int64)[column_ids > 0]
    both = (rows > 0) & (columns > 0)
    first_row, first_column = int(0 in row_ids), int(0 in column_ids)
    return Overlap(true_area, predicted_area, row_of[both] - first_row, column_of[both] - first_column, pixels[both])


def _cells(true: Counts, predicted: Counts) -> int:
    """Cells of a full table of these ids."""
    return (int(true.max(initial=0)) + 1) * (int(predicted.max(initial=0)) + 1)


def _renumber(ids: Counts) -> Counts:
    """The same objects with ids 1..N in the same order; 0 stays 0."""
    distinct, renumbered = np.unique(ids, return_inverse=True)
    return renumbered + (0 if 0 in distinct else 1)


def _count_pairs(true: Counts, predicted: Counts) -> tuple[Counts, Counts, Counts]:
    """Distinct pairs of ids, in order, and how often each occurs; counted in a full table unless that is too big."""
    width = int(predicted.max(initial=0)) + 1
    keys = true * width + predicted
    if _cells(true, predicted) > _DENSE_CELLS:
        distinct, counts = np.unique(keys, return_counts=True)
    else:
        dense = np.bincount(keys)
        distinct = np.flatnonzero(dense)
        counts = dense[distinct]
    rows, columns = np.divmod(distinct, width)
    return rows, columns, counts.astype(np.int64)


def dice(overlap: Overlap) -> float:
    """Dice of the foreground, ``2 |P and G| / (|P| + |G|)``: the objects' pixels, whatever object they belong to."""
    total = int(overlap.true_area.sum() + overlap.predicted_area.sum())
    return 2 * int(overlap.pixels.sum()) / total if total else float("nan")


def aji(overlap: Overlap) -> float:
    """Aggregated Jaccard index, with predictions that may be matched more than once.

    Each true object takes the predicted one of highest IoU (on a tie the lowest id, that is, the first in scan order),
    even if another true object took it already. Then ``sum intersections / (sum unions + area of true objects that
    overlap nothing + area of predicted objects that were not taken)``. The published tables of the field use this
    variant (Kumar et al. 2017 in the form of HoVer-Net's fast code), not AJI+ with one-to-one matches.
    """
    if overlap.empty:
        return float("nan")
    order = np.lexsort((overlap.predicted, -overlap.iou, overlap.true))
    matched, first = np.unique(overlap.true[order], return_index=True)
    best = order[first]
    missed = overlap.true_area.sum() - overlap.true_area[matched].sum()
    taken = np.unique(overlap.predicted[best])
    unused = overlap.predicted_area.sum() - overlap.predicted_area[taken].sum()
    return float(overlap.pixels[best].sum() / (overlap.union[best].sum() + missed + unused))


@dataclass(frozen=True)
class Panoptic:
    """Panoptic quality ``pq = dq * sq``, its detection part ``dq`` and its segmentation part ``sq``; all in [0, 1]."""

    pq: float
    dq: float
    sq: float


def panoptic(overlap: Overlap) -> Panoptic:
    """Panoptic quality over pairs with IoU > 0.5 (strictly), which are one-to-one by themselves.

    ``DQ = TP / (TP + FP/2 + FN/2)``, ``SQ = sum of IoU / (TP + 1e-6)``, ``PQ = DQ * SQ``, that is
    ``2 sum IoU / (2 TP + FP + FN)`` but for the 1e-6; IPL prints it without the factor 2 (docs/facts.md).
    """
    if overlap.empty:
        return Panoptic(*[float("nan")] * 3)
    iou = overlap.iou
    hits = iou > 0.5
    found = int(hits.sum())
    objects = overlap.true_area.size + overlap.predicted_area.size
    dq = 2 * found / objects
    sq = float(iou[hits].sum()) / (found + 1e-6)
    return Panoptic(dq * sq, dq, sq)


__all__ = ["Overlap", "Panoptic", "aji", "dice", "overlap_table", "panoptic"]

"""Runs a protocol over a stack, slice by slice, and keeps one row per slice."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dabench.errors import DataError
from dabench.files.atomic import atomic
from dabench.types import IGNORE

if TYPE_CHECKING:
    from pathlib import Path

    from dabench.interfaces import EvaluationProtocol, SliceScore, Split, Volume
    from dabench.types import Array

#: Probability from which a pixel counts as mitochondrion.
THRESHOLD = 0.5
#: By as much a stored probability may leave 0 to 1.
_ROUNDING = 0.01
#: Why a slice of which nobody labelled a pixel takes no part.
UNLABELLED = "not labelled"


@dataclass(frozen=True)
class Report:
    """What a protocol says of one stack.

    Args:
        protocol: its registered name.
        metrics: the protocol's metrics, the headline first; NaN only when no slice counts.
        n: slices that count.
        left_out: slices that do not count (empty on both sides, or not labelled).
        slices: one score per slice, in order.
    """

    protocol: str
    metrics: dict[str, float]
    n: int
    left_out: int
    slices: tuple[SliceScore, ...] = field(repr=False)

    def rows(self) -> list[dict[str, Any]]:
        """One flat row per slice: its number, the scores, and why a slice was left out."""
        return [{"slice": s.z, **s.values, "left_out": s.left_out} for s in self.slices]

    def as_json(self) -> dict[str, Any]:
        """Everything, for a program; a metric without a value is None (JSON has no NaN)."""
        metrics = {k: None if math.isnan(v) else v for k, v in self.metrics.items()}
        return {
            "protocol": self.protocol,
            "metrics": metrics,
            "n": self.n,
            "left_out": self.left_out,
            "slices": self.rows(),
        }

    def write_csv(self, path: Path) -> None:
        """Write the rows as CSV, atomically."""
        write_rows(path, self.rows())


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write per-slice rows as CSV, atomically; the reason for leaving a slice out comes last."""
    columns = [*dict.fromkeys(key for row in rows for key in row if key != "left_out"), "left_out"]
    with atomic(path) as part, part.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, columns)
        writer.writeheader()
        writer.writerows(rows)


def evaluate_slices(slices: Iterable[tuple[int, Array, Array]], protocol: EvaluationProtocol, name: str = "") -> Report:
    """Score slices as they come.

    Args:
        slices: (z, prediction, truth); prediction ``(H, W)`` bool, or ids for a protocol that takes them; truth
            ``(H, W)`` 0/1/255 or, for a protocol that wants them, instance ids.
        protocol: a fresh one; it is used up.
        name: its registered name, for the report.

    Raises:
        DataError: a prediction and its label differ in shape.
    """
    scores = []
    for z, prediction, truth in slices:
        if prediction.shape != truth.shape:
            raise DataError(
                f"slice {z}: the prediction is {_by(prediction.shape)} pixels, the label {_by(truth.shape)}."
            )
        score = protocol.update(z, prediction, truth)
        if score.left_out and (truth == (-1 if protocol.wants_instances else IGNORE)).all():
            score = replace(score, left_out=UNLABELLED)
        scores.append(score)
    result = protocol.result()
    metrics = {metric: result[metric] for metric in protocol.metrics}
    return Report(name, metrics, int(result["n"]), int(result["left_out"]), tuple(scores))


def evaluate_stacks(
    predictions: Volume,
    labels: Volume,
    protocol: EvaluationProtocol,
    *,
    name: str = "",
    slices: range | None = None,
    threshold: float | None = None,
    ids: bool = False,
) -> Report:
    """Score a stack of predictions against a stack of labels; one slice of each is in memory at a time.

    Args:
        predictions: probabilities (foreground from ``threshold`` on, 0.5 by default) or masks (see `foreground`).
        labels: 0/1/255, or instance ids for a protocol that wants them; the same shape.
        protocol: a fresh one; it is used up.
        name: its registered name, for the report.
        slices: which slices (all).
        threshold: from which value on a pixel is foreground, whatever the type of ``predictions``.
        ids: hand the predictions over as instance ids; only for a protocol that takes them (`holds_ids` tells).

    Raises:
        DataError: the shapes differ, ``slices`` go past the stack, or a prediction has NaN pixels.
    """
    _check_shapes(predictions, labels)
    wanted = range(labels.shape[0]) if slices is None else slices
    if len(wanted) == 0 or min(wanted) < 0 or max(wanted) >= labels.shape[0]:
        raise DataError(
            f"slices {wanted.start} to {wanted.stop - 1} asked for, the stack has {labels.shape[0]} "
            f"(0 to {labels.shape[0] - 1})."
        )
    if ids:
        pairs = ((z, predictions.read(z), labels.read(z)) for z in wanted)
        return evaluate_slices(pairs, protocol, name)
    return evaluate_slices(_pairs(predictions, labels, wanted, threshold), protocol, name)


def holds_ids(volume: Volume, slices: range | None = None) -> bool:
    """Whether a stack holds instance ids: whole numbers of more than two values.

    A mask is read to its end to tell; of ids, mostly the first slices.
    """
    if volume.dtype.kind not in "iu":
        return False
    seen: set[int] = set()
    for z in range(volume.shape[0]) if slices is None else slices:
        seen |= _some_values(volume.read(z))
        if len(seen) > 2:
            return True
    return False


def _some_values(ids: Array) -> set[int]:
    """Up to three different values of a slice, without sorting it."""
    lowest, highest = ids.min(initial=0), ids.max(initial=0)
    between = ids[(ids != lowest) & (ids != highest)]
    return {int(lowest), int(highest), *map(int, between[:1])} if ids.size else set()


def foreground(prediction: Array, z: int, threshold: float | None = None) -> Array:
    """One predicted slice as ``(H, W)`` bool.

    Floating point is a probability: foreground from 0.5 on. Anything else is a mask: foreground where not 0. A
    ``threshold`` is used for either.

    Raises:
        DataError: NaN, with the slice and the pixel; or without a threshold values that are no probabilities.
    """
    if prediction.dtype.kind == "f":
        if np.isnan(prediction).any():
            y, x = np.argwhere(np.isnan(prediction))[0]
            raise DataError(f"slice {z}: the prediction is NaN at row {y}, column {x}.")
        if threshold is None:
            _need_probability(prediction, z)
        threshold = THRESHOLD if threshold is None else threshold
    mask: Array = prediction != 0 if threshold is None else prediction >= threshold
    return mask


def _need_probability(prediction: Array, z: int) -> None:
    low, high = float(prediction.min()), float(prediction.max())
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        raise DataError(
            f"slice {z}: the prediction holds values from {low:g} to {high:g}, which are no probabilities.",
            "Say from which value on a pixel is foreground:  --threshold VALUE",
        )


def truth_volume(split: Split, protocol: EvaluationProtocol) -> Volume:
    """The labels of a split that a protocol wants: instance ids or 0/1/255. Raises DataError where there are none."""
    volume = split.instances if protocol.wants_instances else split.labels
    if volume is None:
        what = "instance ids" if protocol.wants_instances else "labels"
        raise DataError(
            f"domain {split.domain!r}, split {split.name!r}: its card has no {what}: nothing to score against.",
            "Use a protocol of binary labels (das-2d@1)."
            if split.labels is not None
            else f"Predict and measure without scores, or add labels:  dabench data add {split.domain} --labels …",
        )
    return volume


def _pairs(
    predictions: Volume, labels: Volume, slices: range, threshold: float | None
) -> Iterator[tuple[int, Array, Array]]:
    for z in slices:
        yield z, foreground(predictions.read(z), z, threshold), labels.read(z)


def _check_shapes(predictions: Volume, labels: Volume) -> None:
    if predictions.shape != labels.shape:
        raise DataError(
            f"the prediction has {_by(predictions.shape)} (slices x rows x columns), the labels {_by(labels.shape)}.",
            "Both stacks must have the same shape; nothing is resampled or cut silently.",
        )


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(str(length) for length in shape)

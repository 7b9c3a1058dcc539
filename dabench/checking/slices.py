"""Scores again: from the rows per slice, and from the stored prediction against the labels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from dabench.annotation.truth import VolumeTruth
from dabench.errors import DataError
from dabench.evaluation.scoring import Report, evaluate_slices, truth_volume
from dabench.interfaces import EvaluationProtocol, Split
from dabench.runs.predict import instances_of
from dabench.tracking.events import Scored
from dabench.tracking.scores import SCORES, csv_name, read_scores, rows_of_old_run
from dabench.types import IGNORE, Array

#: Scores that differ by more are different.
TOLERANCE = 1e-6
#: TIFF's numbers for no compression and for deflate, all that a run writes.
_PLAIN = (1, 8, 32946)

Row = dict[str, Any]


def close(one: Any, two: Any) -> bool:
    """Whether two numbers are the same up to `TOLERANCE`; nothing is close to NaN or to what is no number."""
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (one, two))
    return numbers and abs(one - two) <= TOLERANCE


def averages(protocol: EvaluationProtocol) -> bool:
    """Whether a protocol's metrics are the means of its rows, found by trying: two slices of unequal size and score."""
    small, large = np.zeros((32, 32), np.uint8), np.zeros((32, 32), np.uint8)
    small[4:12, 4:12], large[2:30, 2:30] = 1, 1
    half = small.astype(bool)
    half[:, :8] = False
    rows = [protocol.update(0, half, small).values, protocol.update(1, large.astype(bool), large).values]
    result = protocol.result()
    return all(
        all(name in row for row in rows) and close(result[name], (rows[0][name] + rows[1][name]) / 2)
        for name in protocol.metrics
    )


def compare_table(run_dir: Path, run: str, scores: Sequence[Scored]) -> Iterator[str]:
    """Where ``scores.parquet`` differs from the journal and the rows per slice. Raises DataError for a damaged one."""
    said, found = rows_of_old_run(run_dir, run, scores), read_scores(run_dir / SCORES)
    expected, there = ({row[:-1]: row.value for row in rows} for rows in (said, found))
    if len(there) != len(found):
        yield f"{SCORES} has {len(found) - len(there)} duplicate rows"
    for place in sorted({*expected, *there}, key=repr):
        value, table = expected.get(place), there.get(place)
        if repr(value) != repr(table):  # NaN is the same as NaN
            _, stage, *_, points, z, metric = place
            where = f"{stage}, {points:.4g} of test points" + ("" if z is None else f", slice {z}")
            yield f"{SCORES}, {where}: {metric} is {_number(table)}; journal and CSVs say {_number(value)}"


def compare_rows(scored: Scored, rows: list[Row], mean: bool, name: str = "") -> Iterator[str]:
    """What is wrong between a score in the journal and its rows in the file ``name``.

    ``mean``: the protocol averages over slices.
    """
    name = name or csv_name(scored)
    counted = [row for row in rows if not row["left_out"]]
    if [row["slice"] for row in rows] != list(range(len(rows))):
        yield f"{name}: expected each of the slices 0 to {len(rows) - 1} once"
    if (scored.n, scored.left_out) != (len(counted), len(rows) - len(counted)):
        yield (
            f"{name} has {len(counted)} slices and {len(rows) - len(counted)} left out; "
            f"the journal says {scored.n} and {scored.left_out}"
        )
    for metric, said in scored.metrics.items() if mean else ():
        values = [row[metric] for row in counted if metric in row]
        value = math.fsum(values) / len(values) if values else math.nan
        if not close(said, value):
            yield f"{scored.stage}: {metric} is {_number(said)} in the journal, but the mean of {name} is {value:.6f}"


def compare_report(scored: Scored, rows: list[Row] | None, report: Report, name: str = "") -> Iterator[str]:
    """What is wrong between the score in the journal, its rows and what was computed again from the prediction."""
    known = {name: value for name, value in report.metrics.items() if not math.isnan(value)}
    for metric in sorted({*known, *scored.metrics}):
        said, value = scored.metrics.get(metric), known.get(metric)
        if not close(said, value):
            yield f"{metric} is {_number(said)} in the journal; computed from the prediction it is {_number(value)}"
    if (scored.n, scored.left_out) != (report.n, report.left_out):
        yield (
            f"the journal counts {scored.n} slices and leaves out {scored.left_out}; "
            f"computed from the prediction there are {report.n} and {report.left_out}"
        )
    if rows is not None:
        yield from _compare_slices(name or csv_name(scored), rows, report)


def _compare_slices(name: str, rows: list[Row], report: Report) -> Iterator[str]:
    if len(rows) != len(report.slices):
        yield f"{name} has {len(rows)} slices, but the prediction has {len(report.slices)}"
    for row, score in zip(rows, report.slices, strict=False):
        if (row["left_out"] != "") != (score.left_out != ""):
            yield f"{name}, slice {score.z}: the file and the prediction disagree on whether it is left out"
        for column in sorted({*row, *score.values} - {"slice", "left_out"}):
            said, value = row.get(column), score.values.get(column)
            if not close(said, None if value is None else float(value)):
                yield f"{name}, slice {score.z}: {column} is {_number(said)}, but should be {_number(value)}"


def rescore(path: Path, split: Split, protocol: EvaluationProtocol, name: str) -> Report:
    """Score a stored prediction against a split's labels. Raises DataError for a file that is not its prediction."""
    truth = truth_volume(split, protocol)
    ids = protocol.takes_instances and instances_of(path).is_file()
    stored = _pages(instances_of(path), truth.shape, np.uint32) if ids else _masks(path, truth.shape)
    pairs = ((z, predicted, truth.read(z)) for z, predicted in enumerate(stored))
    return evaluate_slices(pairs, protocol, name)


def is_truth(path: Path, split: Split) -> bool:
    """Whether a stored prediction is the split's labels on every pixel that counts: no model draws like that."""
    assert split.labels is not None
    labels = VolumeTruth(split.labels)
    pairs = ((mask, labels.labels(z)) for z, mask in enumerate(_masks(path, split.labels.shape)))
    return all(bool((mask == (label == 1))[label != IGNORE].all()) for mask, label in pairs)


def _masks(path: Path, shape: tuple[int, int, int]) -> Iterator[Array]:
    """Masks ``(H, W)`` bool."""
    return (page > 0 for page in _pages(path, shape, np.uint8))


def _pages(path: Path, shape: tuple[int, int, int], dtype: type) -> Iterator[Array]:
    """Slices ``(H, W)``; sizes are compared before a pixel is unpacked, since the file may be a stranger's."""
    where = f"predictions/{path.name}"
    try:
        with tifffile.TiffFile(path) as stack:
            if len(stack.pages) != shape[0]:
                raise DataError(f"{where} has {len(stack.pages)} slices, but the test split has {shape[0]}.")
            for z, page in enumerate(stack.pages):
                if page.shape != shape[1:] or page.dtype != dtype or page.compression not in _PLAIN:
                    raise DataError(
                        f"{where}, slice {z} is {page.shape} {page.dtype}, compression {page.compression:d}; "
                        f"a prediction is {shape[1:]} {np.dtype(dtype)}, deflated."
                    )
                yield page.asarray()
    except DataError:
        raise
    except Exception as error:  # a damaged file: tifffile and its codecs raise anything
        raise DataError(f"{where} cannot be read: {type(error).__name__}: {error}") from None


def _number(value: Any) -> str:
    return "missing" if value is None else f"{value:.6f}" if isinstance(value, float) else repr(value)

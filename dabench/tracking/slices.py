"""Scores of a run's last stage along the slices of the target's test split."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dabench.errors import DataError
from dabench.tracking.record import RunRecord

Slices = NDArray[np.float64]


def slice_scores(run: RunRecord, names: Iterable[str], points: int = 0) -> dict[str, Slices]:
    """Metrics under the run's own protocol and profile, in order of slices, NaN where a slice was left out.

    A metric that is not the mean of its slices (a pooled one), or that the run does not have, is left out.

    Args:
        run: a run directory, read.
        names: metrics without a group: ``dice``.
        points: per cent of the test centres that were given as prompts.

    Raises:
        DataError: a damaged file.
    """
    if not run.stages:
        return {}
    path = run.path / "per_slice" / f"{run.stages[-1].stage}-{run.tags.get('protocol', '')}-points{points}.csv"
    group = f"target_test/points_{points}" if points else "target_test"
    wanted = [name for name in names if f"{group}/{name}" in run.metrics]
    if not (wanted and path.is_file()):
        return {}
    return {n: v for n, v in _columns(path, wanted).items() if _is_mean(v, run.metrics[f"{group}/{n}"])}


def _columns(path: Path, names: Iterable[str]) -> dict[str, Slices]:
    """The named columns of a per-slice file; an empty field is NaN."""
    with path.open(newline="", encoding="utf-8") as handle:
        lines = list(csv.reader(handle))
    header, rows = (lines[0], lines[1:]) if lines else ([], [])
    columns = {name: header.index(name) for name in names if name in header}
    try:
        return {name: np.array([float(row[i] or "nan") for row in rows]) for name, i in columns.items()}
    except (ValueError, IndexError) as error:
        where = "/".join(path.parts[-3:])
        raise DataError(f"{where} is damaged ({error}).", "Run the cell again.") from None


def _is_mean(values: Slices, value: float) -> bool:
    known = values[~np.isnan(values)]
    return known.size > 0 and math.isclose(float(known.mean()), value, rel_tol=1e-6, abs_tol=1e-9)

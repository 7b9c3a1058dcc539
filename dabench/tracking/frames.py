"""Scores of many runs as one DataFrame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dabench.tracking.record import RunRecord

if TYPE_CHECKING:
    from pandas import DataFrame

#: What tells cells apart, as columns before those of the scores.
CELL_COLUMNS = ("suite", "task", "data", "method", "po", "preset", "seed", "status", "origin")


def results_table(runs: Iterable[RunRecord], *, slices: bool = True) -> DataFrame:
    """Every score of some runs, one row each: `CELL_COLUMNS`, then run, stage, split … value (docs/tracking.md).

    Args:
        runs: as `read_run` gives them; one without scores has no row.
        slices: rows of single slices too; without them ``slice`` is null everywhere.

    Returns:
        ``seed`` and ``slice`` are nullable Int64, ``test_points`` and ``value`` float64, all others strings ("" for
        what a run does not say).

    Raises:
        DataError: a damaged table.
    """
    import pandas as pd

    from dabench.tracking.scores import ScoreRow

    lines = [(*_cell(run), *row) for run in runs for row in run.table if slices or row.slice is None]
    table = pd.DataFrame(lines, columns=[*CELL_COLUMNS, *ScoreRow._fields])
    table["seed"] = pd.to_numeric(table["seed"], errors="coerce")
    return table.astype({"seed": "Int64", "slice": "Int64", "test_points": "float64", "value": "float64"})


def _cell(run: RunRecord) -> tuple[str, ...]:
    own = {"suite": run.suite, "status": run.status, "origin": run.origin}
    return tuple(own.get(name, run.tags.get(name, "")) for name in CELL_COLUMNS)

"""One row per cell: what identifies it, what it scored, what it cost. From a run directory or from an MLflow store."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dabench.checking.verdicts import UNVERIFIED
from dabench.errors import DataError
from dabench.leaderboard.metric import Metric
from dabench.tracking.events import UNFINISHED
from dabench.tracking.mlflow_reader import StoredCell, read_cells
from dabench.tracking.record import HERE, Costs, RunRecord, slice_scores
from dabench.tracking.recorded import read_recorded
from dabench.tracking.run_reader import read_run
from dabench.tracking.scores import ScoreKey

if TYPE_CHECKING:
    from dabench.tracking.record import Slices

_PICTURES = (".png", ".jpg")


@dataclass(frozen=True)
class Row:
    """One cell of the index.

    ``scores`` are by metric: at the headline share of test points (``dice``), and at others (``points_15/dice``);
    ``slices`` has the same per slice of the test split, in order, NaN where the protocol left a slice out. ``metrics``
    are all of docs/tracking.md. ``path`` is the run directory, ``panels`` are pictures in it. ``ended`` is ISO-8601.
    ``checked`` is what is known of it (`dabench.leaderboard.checked`), ``doubt`` is what is wrong, and ``record`` names
    the run as it was read.
    """

    cell_id: str
    status: str
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    scores: Mapping[Metric, float]
    costs: Costs = field(default_factory=Costs)
    reason: str = ""
    origin: str = HERE
    ended: str = ""
    path: str = ""
    panels: tuple[str, ...] = ()
    checked: str = UNVERIFIED
    doubt: str = ""
    record: str = ""
    slices: Mapping[Metric, Slices] = field(default_factory=dict, repr=False, compare=False)


def row_of(run: RunRecord) -> Row:
    """The row of a run directory. Raises DataError for tags, per-slice scores or an origin that cannot be read."""
    tags = {**run.tags, **_settings(run.params)}
    if not tags.get("seed", "0").isdecimal():
        raise DataError(f"{run.path.name}/journal.jsonl: seed {tags['seed']!r} is not a number.", "Run the cell again.")
    headline = _headline(run.params)
    scores = scores_of(run.cell_scores, headline)
    panels = sorted(p for p in (run.path / "panels").rglob("*") if p.suffix in _PICTURES)
    return Row(
        cell_id=run.cell_id,
        status=run.status,
        tags={**tags, **_outcome(run.cell_id, run.status, run.reason, run.origin)},
        metrics=dict(run.metrics),
        scores=scores,
        costs=run.costs,
        reason=run.reason,
        origin=run.origin,
        ended=run.ended,
        path=str(run.path),
        panels=tuple(str(p) for p in panels),
        slices=_slices(run, headline),
    )


def rows_from_mlflow(uri: str) -> tuple[list[Row], list[str]]:
    """Rows from any MLflow store, and what could not be read of it.

    Where a run's artifacts lie on this machine they are a run directory without predictions, and are read like one;
    elsewhere there are no per-slice scores and no panels. Raises TrackingError for a store that cannot be used.
    """
    rows: dict[tuple[str, str], Row] = {}
    damaged = []
    for cell in read_cells(uri):
        try:
            row = _stored(cell) if cell.artifacts is None else row_of(read_run(cell.artifacts))
        except DataError as error:
            damaged.append(str(error))
            row = _stored(cell)
        key = row.cell_id, row.origin  # a cell of two suites is stored twice
        rows[key] = max(rows.get(key, row), row, key=order)
    return sorted(rows.values(), key=order), damaged


def rows_of_recorded(path: Path) -> list[Row]:
    """Rows from a file of recorded results, without slices and panels. Raises DataError."""
    return sorted((replace(row_of(run), path="") for run in read_recorded(path)), key=order)


def order(row: Row) -> tuple[str, ...]:
    """The order of rows wherever it could matter: none of it depends on how they were found."""
    return (row.cell_id, row.origin, row.ended, row.path)


def scores_of(scores: Mapping[ScoreKey, float], headline: float) -> dict[Metric, float]:
    """Scores by a board's metrics in their order; those at the share of test points that ranks have no variant."""
    found = {Metric.of(key, headline): value for key, value in scores.items()}
    return {metric: found[metric] for metric in sorted(found, key=lambda metric: metric.order)}


# ------------------------------------------------------------------------------------------------------ from a folder
def _settings(params: Mapping[str, Any]) -> dict[str, str]:
    """Settings that decide a result and are no tags: they tell entries apart and may be filtered on."""
    budget = params.get("budget")
    draw = budget.get("seed", 0) if isinstance(budget, Mapping) else 0
    return {
        "test_points": "recorded" if params.get("test_points_file") else f"{_headline(params):g}",
        "draw": str(draw),
        "precision": str(params.get("precision", "auto")),
    }


def _headline(params: Mapping[str, Any]) -> float:
    """The share of test points that ranks: the first that was asked for."""
    return float((params.get("test_points") or [0.0])[0])


def _outcome(cell_id: str, status: str, reason: str, origin: str) -> dict[str, str]:
    return {"cell_id": cell_id, "status": status, "origin": origin} | ({"reason": reason} if reason else {})


def _slices(run: RunRecord, headline: float) -> dict[Metric, Slices]:
    """Per-slice scores of the last stage by a board's metrics."""
    found: dict[Metric, Slices] = {}
    for share in sorted({key.test_points for key in run.cell_scores}):
        names = [key.metric for key in run.cell_scores if key.test_points == share]
        along = slice_scores(run, names, share)
        found |= {Metric.of(ScoreKey(share, name), headline): values for name, values in along.items()}
    return found


# -------------------------------------------------------------------------------------------------------- from MLflow
def _stored(cell: StoredCell) -> Row:
    """The row of a run that only an MLflow store knows."""
    settings = dict(_nested(cell.params))
    tags = {name: value for name, value in cell.tags.items() if name != "kind"} | _settings(settings)
    return Row(
        cell_id=tags["cell_id"],
        status=tags.get("status", UNFINISHED),
        tags={"origin": HERE, **tags},
        metrics=cell.metrics,
        scores=scores_of(cell.scores, _headline(settings)),
        costs=cell.costs,
        reason=tags.get("reason", ""),
        origin=tags.get("origin", HERE),
        ended=cell.ended,
    )


def _nested(params: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """What `_settings` looks at, out of MLflow's flat settings."""
    yield "budget", {"seed": params.get("budget.seed", 0)}
    if "precision" in params:
        yield "precision", params["precision"]
    if "test_points" in params:
        yield "test_points", json.loads(params["test_points"])
    if params.get("test_points_file", "null") != "null":
        yield "test_points_file", params["test_points_file"]

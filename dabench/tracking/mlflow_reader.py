"""Reads cells back out of an MLflow store: any that a sync has filled, local or on a server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from dabench.errors import DabenchError
from dabench.files.workspace import sqlite_path
from dabench.tracking.journal import JOURNAL
from dabench.tracking.mlflow_store import connect, paged, redact
from dabench.tracking.record import Costs
from dabench.tracking.scores import ScoreKey
from dabench.tracking.sqlite_file import TrackingError, tables_of
from dabench.tracking.translate import CELL, DIGEST_TAG, KIND_TAG, PREFIX, RESULTS_TAG

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass(frozen=True)
class StoredCell:
    """One cell as a store has it: tags without prefix, the last value of each metric, flat settings.

    ``scores`` are those that the cell is ranked by; a store that an earlier version has filled does not tell them.
    ``artifacts`` is the folder of its artifacts where that lies on this machine and holds the run's journal.
    """

    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    scores: Mapping[ScoreKey, float]
    costs: Costs
    params: Mapping[str, str]
    ended: str
    artifacts: Path | None


def read_cells(uri: str) -> Iterator[StoredCell]:
    """Every complete cell of a store; summaries and half-written runs are passed over.

    Raises TrackingError for a store that is not there or cannot be used.
    """
    path = sqlite_path(uri)
    if path is not None and not path.is_file():
        raise TrackingError(
            f"MLflow store {uri}: there is no file {path}.", f"Fill it: dabench results sync --to {uri}"
        )
    try:
        if path is not None:
            tables_of(path)
        client = connect(uri)
        experiments = [experiment.experiment_id for experiment in paged(client.search_experiments)]
        for run in paged(client.search_runs, experiments) if experiments else ():
            tags = run.data.tags
            if DIGEST_TAG in tags and tags.get(KIND_TAG, CELL) == CELL:
                yield _cell(run)
    except DabenchError:
        raise
    except Exception as error:
        first = str(error).strip().splitlines()[:1]
        raise TrackingError(
            f"MLflow store {redact(uri)} cannot be read: {type(error).__name__}: {''.join(first)[:300]}",
            "Check the address, and that its server is running.",
        ) from error


def _cell(run: Run) -> StoredCell:
    tags = {k.removeprefix(PREFIX): v for k, v in run.data.tags.items() if k.startswith(PREFIX)}
    metrics = {k: float(v) for k, v in run.data.metrics.items() if not k.startswith("train/")}
    results = json.loads(tags.get(RESULTS_TAG.removeprefix(PREFIX), "{}"))
    return StoredCell(
        {k: v for k, v in tags.items() if f"{PREFIX}{k}" not in (DIGEST_TAG, RESULTS_TAG)},
        metrics,
        {ScoreKey(share, metric): value for share, metric, value in results.get("scores", ())},
        Costs(**results.get("costs", {})),
        dict(run.data.params),
        _time(run.info.end_time),
        _local(run.info.artifact_uri),
    )


def _time(milliseconds: Any) -> str:
    """MLflow's time in the journal's form; "" for a run that did not end."""
    if not milliseconds:
        return ""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")


def _local(uri: str) -> Path | None:
    parsed = urlparse(uri)
    if parsed.scheme not in ("", "file"):
        return None
    folder = Path(unquote(parsed.path))
    return folder if (folder / JOURNAL).is_file() else None

"""Replays run directories into an MLflow store. The store may be new, remote, half-written or lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dabench.errors import DataError
from dabench.files.workspace import Workspace
from dabench.tracking.record import RunRecord
from dabench.tracking.run_reader import read_runs
from dabench.tracking.translate import signature

#: The row of each cell, by suite.
Rows = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class SyncReport:
    """What a replay did: cells written again, cells that the store had already, and what was wrong with the others.

    A cell of two suites is listed twice. ``summaries`` says how many were written.
    """

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    damaged: tuple[str, ...]
    summaries: int = 0


def sync(
    workspace: Workspace,
    uri: str | None = None,
    on_run: Callable[[RunRecord], None] | None = None,
    rows: Rows | None = None,
    warn: Callable[[str], None] | None = None,
) -> SyncReport:
    """Bring a store up to date with all runs of a workspace.

    Args:
        workspace: where the runs are.
        uri: any MLflow store; None is the workspace's own.
        on_run: called before each run is written, for progress.
        rows: of the workspace's suites; without them there are no summaries.
        warn: told of what was mended in the store; by default a warning of Python's.
    """
    from dabench.tracking.mlflow_writer import MlflowWriter, experiment_name

    found = list(read_runs(workspace.runs))
    runs = [placed for run in found if isinstance(run, RunRecord) for placed in _places(run, rows or {})]
    writer = MlflowWriter(uri or workspace.tracking_uri, warn=warn)
    stored = {suite: writer.stored(experiment_name(suite)) for suite in sorted({run.suite for run in runs})}
    written, unchanged = [], []
    for run in runs:
        earlier = stored[run.suite].get(run.key, [])
        if [e.digest for e in earlier] == [signature(run)]:
            unchanged.append(run.key)
            continue
        if on_run:
            on_run(run)
        writer.write(run)
        written.append(run.key)
    suites = {suite: cells for suite, cells in (rows or {}).items() if suite in stored}
    summaries = sum(writer.summarise(suite, _of_suite(runs, cells, suite)) for suite, cells in suites.items())
    return SyncReport(
        tuple(written),
        tuple(unchanged),
        tuple(str(e) for e in found if isinstance(e, DataError)),
        summaries,
    )


def _places(run: RunRecord, rows: Rows) -> Iterator[RunRecord]:
    """The run as each suite has it whose cell it is; its journal names only the one that it ran for."""
    suites = [suite for suite, cells in rows.items() if run.cell_id in cells]
    for suite in suites:
        yield replace(run, tags={**run.tags, "suite": suite, "row": rows[suite][run.cell_id]})
    if run.suite not in suites:
        yield run


def _of_suite(runs: Sequence[RunRecord], rows: Mapping[str, str], suite: str) -> list[RunRecord]:
    """The runs of a suite in the order of its rows."""
    order = {cell_id: number for number, cell_id in enumerate(rows)}
    mine = [run for run in runs if run.suite == suite and run.cell_id in order]
    return sorted(mine, key=lambda run: order[run.cell_id])

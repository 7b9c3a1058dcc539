"""Replays run directories into an MLflow store. The store may be new, remote, half-written or lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dabench.errors import DataError
from dabench.tracking.record import RunRecord, read_runs
from dabench.tracking.translate import signature
from dabench.workspace import Workspace


@dataclass(frozen=True)
class SyncReport:
    """What a replay did: cells written anew, cells that the store had already, and what was wrong with the others."""

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    damaged: tuple[str, ...]


def sync(workspace: Workspace, uri: str | None = None, on_run: Callable[[RunRecord], None] | None = None) -> SyncReport:
    """Bring a store up to date with all runs of a workspace.

    Args:
        workspace: where the runs are.
        uri: any MLflow store; None is the workspace's own.
        on_run: called before each run is written, for progress.
    """
    from dabench.tracking.mlflow_writer import MlflowWriter, experiment_name

    found = list(read_runs(workspace.runs))
    runs = [run for run in found if isinstance(run, RunRecord)]
    writer = MlflowWriter(uri or workspace.tracking_uri)
    stored = {name: writer.stored(name) for name in sorted({experiment_name(run) for run in runs})}
    written, unchanged = [], []
    for run in runs:
        earlier = stored[experiment_name(run)].get(run.cell_id, [])
        if [e.digest for e in earlier] == [signature(run)]:
            unchanged.append(run.cell_id)
            continue
        if on_run:
            on_run(run)
        writer.write(run)
        written.append(run.cell_id)
    return SyncReport(tuple(written), tuple(unchanged), tuple(str(e) for e in found if isinstance(e, DataError)))

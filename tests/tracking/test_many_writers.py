"""Eight processes write to one SQLite store at the same time."""

from __future__ import annotations

import multiprocessing
import multiprocessing.synchronize
import sqlite3
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from made_up_suite import TASKS, write_cell
from mlflow.tracking import MlflowClient

from dabench.files.workspace import sqlite_path
from dabench.tracking.mlflow_writer import MlflowWriter
from dabench.tracking.replay import sync
from dabench.tracking.run_reader import read_run

WRITERS = 8
RUNS = 2


def write_runs(uri: str, folders: list[Path]) -> list[str]:
    """What one worker does: everybody starts together, and each run is written twice, as after a retry."""
    writer = MlflowWriter(uri)
    started.wait(60)
    return [writer.write(read_run(folder)) for folder in folders for _ in range(2)]


started: multiprocessing.synchronize.Barrier


def get_ready(barrier: multiprocessing.synchronize.Barrier) -> None:
    global started
    started = barrier


@pytest.mark.slow
def test_eight_workers_fill_one_sqlite_store(workspace):
    own = [
        [workspace.runs / write_cell(workspace.runs, "points", list(TASKS)[n % 2], RUNS * n + k) for k in range(RUNS)]
        for n in range(WRITERS)
    ]
    common = workspace.runs / write_cell(workspace.runs, "source only", "human2stem", 0)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["dabench.tracking.mlflow_writer", "mlflow.tracking"])
    with ProcessPoolExecutor(WRITERS, context, get_ready, (context.Barrier(WRITERS),)) as pool:
        jobs = [pool.submit(write_runs, workspace.tracking_uri, [*folders, common]) for folders in own]
        ids = [job.result(120) for job in jobs]

    client = MlflowClient(workspace.tracking_uri)
    experiment = client.get_experiment_by_name("dabench/made-up").experiment_id
    runs = client.search_runs([experiment])
    assert Counter(run.data.tags["dabench.cell_id"] for run in runs) == Counter(
        p.name for p in workspace.runs.iterdir()
    )
    assert len(runs) == WRITERS * RUNS + 1
    assert {run_id for some in ids for run_id in some} == {run.info.run_id for run in runs}
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert all(run.data.metrics.keys() >= {"target_test/dice", "train/only/loss"} for run in runs)
    assert sqlite3.connect(sqlite_path(workspace.tracking_uri)).execute("pragma integrity_check").fetchone() == ("ok",)
    assert sync(workspace).written == (), "nothing is missing, half-written or different"

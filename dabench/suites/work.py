"""What the jobs of a suite do, in whatever process: plan it, train stages, score cells, report lost ones."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from dabench.components.registry import Registry
from dabench.errors import ConfigError
from dabench.execution.jobs import Site
from dabench.files.workspace import Workspace
from dabench.runs.config import validate_config
from dabench.runs.plan import make_plan
from dabench.runs.runner import Runner
from dabench.suites.graph import StartedSuite, write_started
from dabench.suites.planning import make_graph
from dabench.suites.spec import load_suite
from dabench.suites.submitting import recorded_of
from dabench.tracking.events import Altered

#: JSON values by name.
Values = Mapping[str, Any]


def plan(
    root: Path, file: str, settings: Values, axes: Values, threads: int, record: str = "", rows: Sequence[str] = ()
) -> None:
    """Plan a suite where its jobs will run: keys follow from the machine, and the one that submits may be another."""
    started = time.time()
    registry, workspace = Registry.load(), Workspace(root)
    suite = load_suite(file, registry).changed(settings, axes).with_rows(rows)
    graph = make_graph(suite, registry, workspace, threads, recorded_of(Path(record) if record else None))
    write_started(workspace, StartedSuite(graph, "slurm", started))


def train(
    root: Path, suite: str, config: Values, keys: Sequence[str], threads: int, stage: int, altered: Values | None = None
) -> Values:
    """Finish the stages of a cell up to the ``stage``-th; their parents are there."""
    runner = _runner(root, suite, config, keys, threads, altered or {})
    runner.train_until(stage)
    return {"altered": _found(runner)}


def score(
    root: Path, suite: str, config: Values, keys: Sequence[str], threads: int, altered: Values | None = None
) -> Values:
    """Predict with the trained stages of a cell, and score; ``skipped`` where its method says that it cannot run."""
    runner = _runner(root, suite, config, keys, threads, altered or {})
    record = runner.execute()
    return {"status": record.status, "reason": record.reason, "altered": _found(runner)}


def give_up(
    root: Path, suite: str, config: Values, keys: Sequence[str], threads: int, status: str, reason: str
) -> None:
    """Have the cell's journal say how it ended, where its own process could not."""
    del keys
    registry, workspace = Registry.load(), Workspace(root)
    made = make_plan(validate_config(config), registry, workspace, threads=threads)
    Runner(made, registry, workspace, suite=suite).give_up(status, reason)


def _runner(root: Path, suite: str, config: Values, keys: Sequence[str], threads: int, altered: Values) -> Runner:
    torch.set_num_threads(threads)
    registry, workspace = Registry.load(), Workspace(root)
    made = make_plan(validate_config(config), registry, workspace)
    if [s.key for s in made.stages] != list(keys):
        raise ConfigError(
            f"{made.config.cell_id}: stages would have other keys on this machine than where the suite was started.",
            "Code, torch, data and precision must be the same; for the precision: --set precision=float32",
        )
    known = {**_told(workspace, suite, keys), **altered}
    events = [Altered(**known[key]) for key in keys if key in known]
    return Runner(made, registry, workspace, suite=suite, altered=events)


def _told(workspace: Workspace, suite: str, keys: Sequence[str]) -> dict[str, Any]:
    """What the jobs of these stages found altered; they may have ended after this one was submitted."""
    site = Site(workspace.root, workspace.suite(suite))
    states = [state for key in keys if (state := site.state(f"stage-{key}")) is not None]
    return {name: event for state in states for name, event in state.value.get("altered", {}).items()}


def _found(runner: Runner) -> dict[str, Any]:
    """What the job found altered and made again, by the stage's key or the file's name."""
    keys = {stage.spec.name: stage.key for stage in runner.plan.stages}
    return {keys.get(event.work, event.work): asdict(event) for event in runner.observer.found}

"""Works a suite off: jobs in the order of their needs, a status for every cell, one writer to MLflow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from dabench.components.registry import Registry
from dabench.errors import DataError
from dabench.execution.executor import Executor
from dabench.execution.jobs import Job, Outcome
from dabench.files.workspace import Workspace
from dabench.interfaces.observer import Observer
from dabench.runs.plan import make_plan
from dabench.runs.runner import Runner
from dabench.suites.graph import CellNode, SuiteGraph, make_graph
from dabench.suites.spec import Suite, expand
from dabench.suites.suite_record import cell_rows, threads_of, write_suite_record
from dabench.tracking.events import Altered
from dabench.tracking.record import RunRecord
from dabench.tracking.run_reader import read_run

#: Statuses that make a suite's exit code 1.
BAD = ("failed", "oom", "killed")


@dataclass(frozen=True)
class CellStatus:
    """One row of a report: the cell and how it stands now (a run's status, ``missing``, ``excluded`` or ``new``)."""

    node: CellNode
    status: str
    reason: str = ""

    @property
    def cell_id(self) -> str:
        """The cell's id, which names its run directory."""
        return self.node.cell.config.cell_id


@dataclass(frozen=True)
class SuiteReport:
    """Every cell of a suite with its status, and the suite's graph as it stands now."""

    suite: Suite
    graph: SuiteGraph
    cells: tuple[CellStatus, ...]

    @property
    def failed(self) -> tuple[CellStatus, ...]:
        """Cells that make the exit code 1."""
        return tuple(c for c in self.cells if c.status in BAD)

    def counts(self) -> dict[str, int]:
        """Cells by status."""
        return dict(Counter(cell.status for cell in self.cells))

    @property
    def exit_code(self) -> int:
        """Of a command that ran it: 1 if a cell failed, 3 if files are missing, else 0."""
        return 1 if self.failed else 3 if "missing" in self.counts() else 0

    def as_json(self) -> dict[str, Any]:
        """Every cell with its place, status and reason, for a program."""
        seconds = self.graph.seconds()
        cells = [
            {"row": c.node.cell.row, **c.node.cell.place, "cell_id": c.cell_id, "status": c.status, "reason": c.reason}
            for c in self.cells
        ]
        return {
            "suite": self.suite.name,
            "counts": self.counts(),
            "training_seconds": None if seconds is None else {"shared": seconds[0], "alone": seconds[1]},
            "cells": cells,
        }


class Track(Protocol):
    """Carries a suite to a tracking store. Called in the scheduler's process alone, so that a store has one writer."""

    def write(self, run: RunRecord) -> object:
        """A cell has finished; its tags name the suite and the row."""

    def summarise(self, suite: str, runs: Sequence[RunRecord]) -> object:
        """Nothing is left to do; these are all runs of the suite's rows, from earlier starts too."""


def run_suite(
    suite: Suite,
    registry: Registry,
    workspace: Workspace,
    executor: Executor,
    *,
    retries: int = 0,
    track: Track | None = None,
    observer: Observer | None = None,
    graph: SuiteGraph | None = None,
) -> SuiteReport:
    """Run what of a suite is not done; a cell that fails never stops the others. Run again, it continues.

    Args:
        suite: what to run.
        registry: of this process; workers load their own.
        workspace: where runs and stages lie.
        executor: where jobs run; closed by the caller.
        retries: how often a job whose process was killed is tried again.
        track: told of every finished cell, and at the end of all of them.
        observer: told when jobs begin and end, and when a cell's run directory is complete.
        graph: of this suite, where it was made before.
    """
    cells = expand(suite)
    graph = graph or make_graph(suite.name, cells, registry, workspace, executor.threads)
    write_suite_record(workspace, suite, cells, executor.threads)
    seen = observer or Observer()
    work = _Work(suite, graph, registry, workspace, executor, retries, track, seen)
    seen.begun(suite.name, len(work.jobs))
    work.done_before()
    work.drain()
    work.summarise()
    return report(suite, registry, workspace)


def report(suite: Suite, registry: Registry, workspace: Workspace) -> SuiteReport:
    """How every cell of a suite stands now, with the threads of its last start; runs nothing."""
    graph = make_graph(suite.name, expand(suite), registry, workspace, threads_of(workspace, suite.name))
    return SuiteReport(suite, graph, tuple(CellStatus(n, *_status(n)) for n in graph.cells))


def _status(node: CellNode) -> tuple[str, str]:
    names = {"done": "ok", "skips": "skipped"}
    return names.get(node.state, node.state), node.reason


@dataclass
class _Work:
    """The state of one run of a suite: which jobs wait, run, and are done."""

    suite: Suite
    graph: SuiteGraph
    registry: Registry
    workspace: Workspace
    executor: Executor
    retries: int
    track: Track | None
    observer: Observer
    jobs: dict[str, Job] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    running: dict[str, Job] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    #: What jobs found altered, by the stage's key: the cells that read the stage have it on record.
    altered: dict[str, Altered] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """All jobs wait."""
        self.rows = cell_rows(self.workspace, self.suite.name)
        self.jobs = self.graph.jobs()
        self.waiting = dict(self.jobs)

    def done_before(self) -> None:
        """Cells that need nothing still belong in the suite's experiment."""
        for node in self.graph.cells:
            if node.state in ("done", "skipped"):
                self._carry(node.cell.config.cell_id)

    def drain(self) -> None:
        """Submit what can start, wait for what ends, until nothing is left."""
        while self.waiting or self.running:
            for job in self._startable():
                self.observer.begun(job.label, 0)
                known = tuple(self.altered[key] for key in job.keys if key in self.altered)
                self.executor.submit(replace(job, altered=known))
                self.running[job.id] = self.waiting.pop(job.id)
            for outcome in self.executor.wait():
                self._take(self.running.pop(outcome.job), outcome)

    def _startable(self) -> Iterable[Job]:
        """Jobs whose needs are done, while the executor has room. Cells go first: their results are wanted soonest."""
        ready = [j for j in self.waiting.values() if self.done.issuperset(j.needs)]
        for job in sorted(ready, key=lambda j: j.stage is not None):
            if self.executor.room(job):
                yield job

    def _take(self, job: Job, outcome: Outcome) -> None:
        self.altered |= outcome.altered
        for event in outcome.altered.values():
            self.observer.ended(event.work, "altered", reason=event.reason)
        self.observer.ended(job.label, outcome.status, {"seconds": outcome.seconds}, outcome.reason)
        self.tries[job.id] = self.tries.get(job.id, 0) + 1
        if outcome.status == "killed" and self.tries[job.id] <= self.retries:
            self.waiting[job.id] = job
        elif outcome.status in ("ok", "skipped"):
            self.done.add(job.id)
            if job.stage is None:
                self._carry(str(job.id.removeprefix("cell-")))
        else:
            self._give_up(job, outcome)

    def _give_up(self, job: Job, outcome: Outcome) -> None:
        """A failed job takes all that need it with it: each of their cells says why."""
        lost = {job.id}
        for other in self.jobs.values():  # in an order in which needs come first
            if lost.intersection(other.needs):
                lost.add(other.id)
        for name in lost:
            self.waiting.pop(name, None)
            cell = self.jobs[name]
            if cell.stage is None:
                reason = outcome.reason if name == job.id else f"{job.label}: {outcome.reason}"
                self._record(cell, outcome.status, reason)

    def _record(self, job: Job, status: str, reason: str) -> None:
        """Have the cell's journal say how it ended, where its own process could not."""
        config = next(n.cell.config for n in self.graph.cells if job.id == f"cell-{n.cell.config.cell_id}")
        runner = Runner(
            make_plan(config, self.registry, self.workspace, threads=self.executor.threads),
            self.registry,
            self.workspace,
            suite=self.suite.name,
        )
        runner.give_up(status, reason)
        self._carry(config.cell_id)

    def _carry(self, cell_id: str) -> None:
        run = read_run(self.workspace.runs / cell_id)
        self.observer.ended(cell_id, run.status)
        if self.track is not None:
            self.track.write(self._placed(run))

    def summarise(self) -> None:
        """Have the store say what the suite's cells say together."""
        if self.track is None:
            return
        runs = []
        for cell_id in self.rows:
            with suppress(DataError):  # not run, or an earlier run that is damaged; `report` says so
                runs.append(self._placed(read_run(self.workspace.runs / cell_id)))
        if runs:
            self.track.summarise(self.suite.name, runs)

    def _placed(self, run: RunRecord) -> RunRecord:
        """A cell may belong to several suites: its journal names the one that it ran for."""
        return replace(run, tags={**run.tags, "suite": self.suite.name, "row": self.rows[run.cell_id]})

"""Works a suite off: jobs in the order of their needs, a status for every cell, one writer to MLflow."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from dabench.errors import DataError
from dabench.execution.executor import Executor
from dabench.execution.jobs import Job, JobState, Resources
from dabench.execution.schedule import Schedule
from dabench.files.workspace import Workspace
from dabench.interfaces.observer import Observer
from dabench.suites.graph import LOST, RECORDED, CellNode, SuiteGraph
from dabench.suites.spec import Suite
from dabench.suites.suite_record import cell_rows, write_suite_record
from dabench.tracking.lock import is_held
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
    graph: SuiteGraph,
    workspace: Workspace,
    executor: Executor,
    *,
    asked: Resources | None = None,
    retries: int = 0,
    planned: float = 0.0,
    track: Track | None = None,
    finished: Callable[[RunRecord], object] | None = None,
    observer: Observer | None = None,
) -> SuiteReport:
    """Run what of a suite is not done; a cell that fails never stops the others. Run again, it continues.

    Nothing here plans, trains or predicts: jobs do, wherever the executor runs them.

    Args:
        graph: of the suite, planned for this workspace.
        workspace: where runs and stages lie.
        executor: where jobs run; closed by the caller.
        asked: what every job takes.
        retries: how often a job whose process was killed is tried again.
        planned: when the graph was made (seconds of the clock), for jobs that outlived an earlier start.
        track: told of every finished cell, and at the end of all of them.
        finished: told of every cell that has ended well or was skipped, those of earlier starts too, before ``track``.
        observer: told when jobs begin and end, and when a cell's run directory is complete.
    """
    write_suite_record(workspace, graph.suite, [node.cell for node in graph.cells], graph.threads)
    work = _Work(graph, workspace, track, finished, observer or Observer())
    jobs = graph.jobs(asked)
    schedule = Schedule(executor, jobs, retries, work.begun, lambda job: job.id in work.nodes)
    work.observer.begun(graph.suite.name, len(jobs))
    schedule.adopt(planned)
    work.done_before()
    for job, state, lost in schedule.ends():
        for word in work.ended(job, state, lost):
            schedule.add(word)
    work.summarise()
    _drop_memory(graph, workspace)
    return standing(graph, workspace)


def _drop_memory(graph: SuiteGraph, workspace: Workspace) -> None:
    """Delete what siblings of these stages shared while they trained, unless something trains in the workspace."""
    if not any(is_held(path) for path in workspace.stages.glob("*.lock")):
        for key in graph.stages:
            shutil.rmtree(workspace.stages / key / "memory", ignore_errors=True)


def standing(graph: SuiteGraph, workspace: Workspace) -> SuiteReport:
    """How the cells of a planned suite stand by their journals; plans nothing."""
    cells = tuple(CellStatus(node, *_standing(node, workspace)) for node in graph.cells)
    return SuiteReport(graph.suite, graph.now(workspace), cells)


def _standing(node: CellNode, workspace: Workspace) -> tuple[str, str]:
    if node.state in ("missing", "excluded", RECORDED):
        return node.state, node.reason
    try:
        run = read_run(workspace.runs / node.cell.config.cell_id)
    except DataError:
        return "new", ""
    return run.status, "" if run.status == "ok" else run.reason


@dataclass
class _Work:
    """What a run of a suite tells, and to whom."""

    graph: SuiteGraph
    workspace: Workspace
    track: Track | None
    finished: Callable[[RunRecord], object] | None
    observer: Observer
    #: What jobs found altered, by the stage's key: the cells that read the stage have it on record.
    altered: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Know each cell's row and job."""
        self.rows = cell_rows(self.workspace, self.graph.suite.name)
        self.nodes = {node.job: node for node in self.graph.cells}

    def done_before(self) -> None:
        """Cells that need nothing still belong in the suite's experiment."""
        for node in self.graph.cells:
            if node.state in ("done", "skipped"):
                self._carry(node)

    def begun(self, job: Job) -> Job:
        """A job starts: it is told what earlier ones found altered in the stages that it reads."""
        if _is_word(job):
            return job
        self.observer.begun(job.label, 0)
        known = {key: self.altered[key] for key in job.arguments["keys"] if key in self.altered}
        return replace(job, arguments={**job.arguments, "altered": known}) if known else job

    def ended(self, job: Job, state: JobState, lost: Sequence[Job]) -> list[Job]:
        """A job has ended; further ones that have to say so in cells' journals, where it did not end well."""
        if _is_word(job):
            with suppress(DataError):  # the word did not get through: the cell is unfinished
                self._carry(self.nodes[job.id.removeprefix(LOST)])
            return []
        self.altered |= state.value.get("altered", {})
        for event in state.value.get("altered", {}).values():
            self.observer.ended(event["work"], "altered", reason=event["reason"])
        status, reason = state.value.get("status", state.status), state.value.get("reason", state.reason)
        self.observer.ended(job.label, status, {"seconds": state.seconds}, reason)
        if state.status == "ok" and job.id in self.nodes:
            self._carry(self.nodes[job.id])
        return [] if state.status == "ok" else list(self._words(job, state, lost))

    def _words(self, job: Job, state: JobState, lost: Sequence[Job]) -> Iterator[Job]:
        """A failed job takes all that need it with it: each of their cells says why."""
        for one in (job, *lost):
            if one.id in self.nodes:
                reason = state.reason if one is job else f"{job.label}: {state.reason}"
                yield self.graph.lost(self.nodes[one.id], state.status, reason)

    def _carry(self, node: CellNode) -> None:
        run = read_run(self.workspace.runs / node.cell.config.cell_id)
        self.observer.ended(run.cell_id, run.status)
        if self.finished is not None and run.status in ("ok", "skipped"):
            self.finished(self._placed(run))
        if self.track is not None:
            self.track.write(self._placed(run))

    def summarise(self) -> None:
        """Have the store say what the suite's cells say together."""
        if self.track is None:
            return
        runs = []
        for cell_id in self.rows:
            with suppress(DataError):  # not run, or an earlier run that is damaged; the report says so
                runs.append(self._placed(read_run(self.workspace.runs / cell_id)))
        if runs:
            self.track.summarise(self.graph.suite.name, runs)

    def _placed(self, run: RunRecord) -> RunRecord:
        """A cell may belong to several suites: its journal names the one that it ran for."""
        return replace(run, tags={**run.tags, "suite": self.graph.suite.name, "row": self.rows[run.cell_id]})


def _is_word(job: Job) -> bool:
    return job.id.startswith(LOST)

"""Works a suite off: jobs in the order of their needs, a status for every cell, one writer to MLflow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from dabench.errors import DataError
from dabench.execution.executor import Executor
from dabench.execution.jobs import Job, JobState, Resources
from dabench.files.workspace import Workspace
from dabench.interfaces.observer import Observer
from dabench.suites.graph import CellNode, SuiteGraph
from dabench.suites.spec import Suite
from dabench.suites.suite_record import cell_rows, write_suite_record
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
        observer: told when jobs begin and end, and when a cell's run directory is complete.
    """
    write_suite_record(workspace, graph.suite, [node.cell for node in graph.cells], graph.threads)
    work = _Work(graph, workspace, executor, retries, track, observer or Observer(), graph.jobs(asked))
    work.observer.begun(graph.suite.name, len(work.jobs))
    work.adopt(planned)
    work.done_before()
    work.drain()
    work.summarise()
    return standing(graph, workspace)


def standing(graph: SuiteGraph, workspace: Workspace) -> SuiteReport:
    """How the cells of a planned suite stand by their journals; plans nothing."""
    cells = tuple(CellStatus(node, *_standing(node, workspace)) for node in graph.cells)
    return SuiteReport(graph.suite, graph.now(workspace), cells)


def _standing(node: CellNode, workspace: Workspace) -> tuple[str, str]:
    if node.state in ("missing", "excluded"):
        return node.state, node.reason
    try:
        run = read_run(workspace.runs / node.cell.config.cell_id)
    except DataError:
        return "new", ""
    return run.status, "" if run.status == "ok" else run.reason


@dataclass
class _Work:
    """The state of one run of a suite: which jobs wait, run, and are done."""

    graph: SuiteGraph
    workspace: Workspace
    executor: Executor
    retries: int
    track: Track | None
    observer: Observer
    jobs: dict[str, Job]
    done: set[str] = field(default_factory=set)
    running: set[str] = field(default_factory=set)
    tries: dict[str, int] = field(default_factory=dict)
    #: What jobs found altered, by the stage's key: the cells that read the stage have it on record.
    altered: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """All jobs wait."""
        self.rows = cell_rows(self.workspace, self.graph.suite.name)
        self.nodes = {node.job: node for node in self.graph.cells}
        self.waiting = dict(self.jobs)

    def adopt(self, planned: float) -> None:
        """Take back jobs that outlived who submitted them; of all others nothing is known."""
        self.running = self.executor.adopt(self.jobs, planned)
        for state in self.executor.site.states():
            if state.job not in self.running:
                self.executor.site.forget(state.job)
        for job in self.running:
            self.observer.begun(self.waiting.pop(job).label, 0)

    def done_before(self) -> None:
        """Cells that need nothing still belong in the suite's experiment."""
        for node in self.graph.cells:
            if node.state in ("done", "skipped"):
                self._carry(node)

    def drain(self) -> None:
        """Submit what can start, wait for what ends, until nothing is left."""
        while self.waiting or self.running:
            chosen = self._startable()
            for job in chosen:
                del self.waiting[job.id]
                self.running.add(job.id)
                if not _is_word(job.id):
                    self.observer.begun(job.label, 0)
            if chosen:
                self.executor.submit(chosen)
            for state in self.executor.wait():
                self.running.discard(state.job)
                self._take(self.jobs[state.job], state)

    def _startable(self) -> list[Job]:
        """Jobs whose needs are done, or in order before them, while the executor has room.

        Cells go first where that is the order in which they start: their results are wanted soonest.
        """
        begun, chosen = self.done | (self.running if self.executor.orders else set()), list[Job]()
        jobs = list(self.waiting.values())
        for job in jobs if self.executor.orders else sorted(jobs, key=lambda j: j.id not in self.nodes):
            if begun.issuperset(job.needs) and self.executor.room(job, chosen):
                chosen.append(self._knowing(job))
                begun |= {job.id} if self.executor.orders else set()
        return chosen

    def _knowing(self, job: Job) -> Job:
        """The job with what earlier ones found altered in the stages that it reads."""
        known = {key: self.altered[key] for key in job.arguments["keys"] if key in self.altered}
        if not known or _is_word(job.id):
            return job
        return replace(job, arguments={**job.arguments, "altered": known})

    def _take(self, job: Job, state: JobState) -> None:
        if _is_word(job.id):
            with suppress(DataError):  # the word did not get through: the cell is unfinished
                self._carry(self.nodes[job.id.removeprefix(_WORD)])
            return
        self.altered |= state.value.get("altered", {})
        for event in state.value.get("altered", {}).values():
            self.observer.ended(event["work"], "altered", reason=event["reason"])
        status, reason = state.value.get("status", state.status), state.value.get("reason", state.reason)
        self.observer.ended(job.label, status, {"seconds": state.seconds}, reason)
        self.tries[job.id] = self.tries.get(job.id, 0) + 1
        if state.status == "killed" and self.tries[job.id] <= self.retries:
            self._again(job)
        elif state.status == "ok":
            self.done.add(job.id)
            if job.id in self.nodes:
                self._carry(self.nodes[job.id])
        else:
            self._give_up(job, state)

    def _after(self, job: Job) -> list[str]:
        """The job and all that need it."""
        found = [job.id]
        for other in self.jobs.values():  # in an order in which needs come first
            if set(found).intersection(other.needs):
                found.append(other.id)
        return found

    def _withdraw(self, jobs: Iterable[str]) -> None:
        """Take back jobs that were submitted after one that did not end well."""
        submitted = self.running.intersection(jobs)
        if submitted:
            self.executor.cancel(submitted)
        self.running -= submitted

    def _again(self, job: Job) -> None:
        lost = self._after(job)
        self._withdraw(lost)
        self.waiting = {**{name: self.jobs[name] for name in lost}, **self.waiting}

    def _give_up(self, job: Job, state: JobState) -> None:
        """A failed job takes all that need it with it: each of their cells says why."""
        lost = self._after(job)
        self._withdraw(lost)
        for name in lost:
            self.waiting.pop(name, None)
            if name in self.nodes:
                reason = state.reason if name == job.id else f"{job.label}: {state.reason}"
                word = self.graph.lost(self.nodes[name], state.status, reason)
                self.jobs[word.id] = self.waiting[word.id] = word

    def _carry(self, node: CellNode) -> None:
        run = read_run(self.workspace.runs / node.cell.config.cell_id)
        self.observer.ended(run.cell_id, run.status)
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


#: How the ids of jobs begin that have a journal say how a cell ended.
_WORD = "lost-"


def _is_word(job: str) -> bool:
    return job.startswith(_WORD)

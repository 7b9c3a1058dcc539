"""A suite from what a user asked for to a start: planned here, or on a node by a cluster's job. Imports no torch."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dabench.components.registry import Registry
from dabench.errors import ConfigError, DabenchError
from dabench.execution.executor import Executor
from dabench.execution.jobs import Job, JobState, Site
from dabench.execution.schedule import Schedule
from dabench.execution.settings import ExecutorSettings
from dabench.files.workspace import Workspace
from dabench.files.yaml import read_yaml
from dabench.suites.graph import StartedSuite, SuiteGraph, read_started, write_started
from dabench.suites.schedule import SuiteReport, standing
from dabench.suites.spec import Suite, load_suite
from dabench.suites.suite_record import write_suite_record
from dabench.tracking.record import RunRecord

#: The job that plans a suite on a node.
_PLAN = "plan"


@dataclass(frozen=True)
class Asked:
    """A suite by its file or registered name, and what a user changes in it (`Suite.changed`).

    ``record`` is a file of recorded results whose cells count as done; it need not be there yet. ``rows`` are the rows
    that are asked for (`Suite.with_rows`), () for all.
    """

    file: str
    settings: Mapping[str, Any]
    axes: Mapping[str, list[Any]]
    record: Path | None = None
    rows: Sequence[str] = ()

    @property
    def name(self) -> str:
        """The suite's name; plugins are not loaded for it."""
        path = Path(self.file)
        return str(read_yaml(path).get("name", path.stem)) if path.is_file() else self.file

    @property
    def changed(self) -> bool:
        """Whether it is not the suite as its file says it."""
        return bool(self.settings or self.axes or self.rows)

    def load(self) -> tuple[Suite, Registry, Workspace]:
        """The suite, with all plugins, and where it runs."""
        registry = Registry.load()
        suite = load_suite(self.file, registry).changed(self.settings, self.axes).with_rows(self.rows)
        return suite, registry, Workspace.find()


def recorded_of(record: Path | None) -> list[RunRecord]:
    """The runs of a file of recorded results; none where it is not there yet."""
    from dabench.tracking.recorded import read_recorded

    return read_recorded(record) if record is not None and record.is_file() else []


def site_of(asked: Asked) -> Site:
    """Where the jobs of a suite say how they stand."""
    workspace = Workspace.find()
    return Site.here(workspace.root, workspace.suite(asked.name))


@dataclass(frozen=True)
class Start:
    """A planned suite and the executor that is to run it."""

    graph: SuiteGraph
    workspace: Workspace
    executor: Executor
    planned: float

    @classmethod
    @contextmanager
    def here(
        cls,
        suite: Suite,
        registry: Registry,
        workspace: Workspace,
        where: ExecutorSettings,
        record: Path | None = None,
    ) -> Iterator[Start]:
        """Plan on this machine."""
        from dabench.suites.planning import make_graph

        planned = time.time()
        graph = make_graph(suite, registry, workspace, where.threads, recorded_of(record))
        with where.make(workspace.root, workspace.suite(suite.name)) as executor:
            write_started(workspace, StartedSuite(graph, where.executor, planned))
            yield cls(graph, workspace, executor, planned)

    def submit(self, where: ExecutorSettings) -> None:
        """Hand all jobs that are not there yet to the cluster, as far as it takes them. Raises ConfigError."""
        if not self.executor.orders:
            raise ConfigError("--detach: with this executor, jobs stop when the command ends.", "Use --executor slurm.")
        write_suite_record(self.workspace, self.graph.suite, [n.cell for n in self.graph.cells], self.graph.threads)
        schedule = Schedule(self.executor, self.graph.jobs(where.resources))
        schedule.adopt(self.planned)
        schedule.submit()


@contextmanager
def started(asked: Asked, where: ExecutorSettings) -> Iterator[Start]:
    """Plan a suite: here, or for Slurm on a node of the kind that trains, so that this machine needs neither.

    Raises:
        DabenchError: it cannot be planned; the message is the node's.
    """
    if where.executor != "slurm":
        with Start.here(*asked.load(), where, asked.record) as start:
            yield start
        return
    workspace = Workspace.find()
    with where.make(workspace.root, workspace.suite(asked.name)) as executor:
        yield plan_there(asked, where, workspace, executor)


def plan_there(asked: Asked, where: ExecutorSettings, workspace: Workspace, executor: Executor) -> Start:
    """Have a job plan the suite, and wait for it. Raises DabenchError with what it said."""
    path = Path(asked.file)
    file = str(path.absolute()) if path.is_file() else asked.file
    arguments = {"file": file, "settings": dict(asked.settings), "axes": dict(asked.axes), "threads": where.threads}
    arguments |= {"record": str(asked.record.absolute())} if asked.record else {}
    arguments |= {"rows": list(asked.rows)} if asked.rows else {}
    job = Job(_PLAN, "dabench.suites.work:plan", arguments, f"plan {asked.name}", where.resources)
    ((_, state, _),) = Schedule(executor, {job.id: job}).ends()
    started = read_started(workspace, asked.name)
    if state.status != "ok" or started is None:
        raise DabenchError(f"planning on a node: {state.reason}", f"What it printed: {executor.site.log(_PLAN)}")
    return Start(started.graph, workspace, executor, started.planned)


# -------------------------------------------------------------------------------------------------------------- status
@dataclass(frozen=True)
class Running:
    """A job that waits or runs: where, and for how long as people read it."""

    job: str
    label: str
    state: str
    where: str
    time: str


def status_of(asked: Asked) -> SuiteReport:
    """How every cell stands: by the plan of a node where one made it, else by a new one. Runs nothing."""
    workspace = Workspace.find()
    found = read_started(workspace, asked.name)
    if found is not None and found.executor == "slurm" and not asked.changed:
        return standing(found.graph, workspace)
    from dabench.suites.planning import report

    return report(*asked.load(), recorded_of(asked.record))


def running(asked: Asked) -> list[Running]:
    """Jobs of a suite that wait or run, in Slurm or as processes, and those that did not end well."""
    from dabench.execution.slurm_queue import submitted

    site = site_of(asked)
    states = {state.job: state for state in site.states()}
    queued = submitted(site)
    labels = _labels(asked) if queued else {}
    found = [Running(job, labels.get(job, job), q.state.lower(), q.nodes, q.time) for job, q in queued.items()]
    return found + [_told(s) for s in states.values() if s.job not in queued and s.status != "ok" and _may_be(s)]


def _labels(asked: Asked) -> dict[str, str]:
    started = read_started(Workspace.find(), asked.name)
    return {} if started is None else {job.id: job.label for job in started.graph.jobs().values()}


def _told(state: JobState) -> Running:
    seconds = round(state.seconds if state.ended else time.time() - state.started)
    clock = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return Running(state.job, state.label or state.job, state.status, f"{state.host} ({state.pid})", clock)


def _may_be(state: JobState) -> bool:
    """Whether a job that says it runs may do so: of another machine's processes nothing is known."""
    return state.ended or state.host != socket.gethostname() or Path(f"/proc/{state.pid}").exists()

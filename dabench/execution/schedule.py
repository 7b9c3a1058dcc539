"""Jobs in the order of their needs, tried again where they were killed: what every user of an executor does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from dabench.execution.executor import Executor
from dabench.execution.jobs import Job, JobState


@dataclass
class Schedule:
    """The state of jobs that an executor works off.

    Attributes:
        executor: runs them; closed by its maker.
        jobs: by id, in an order in which they can be done; `add` brings more.
        retries: how often a job whose process was killed is tried again.
        told: called with a job when it is submitted, and again when it is tried again; its last word on the job.
        first: jobs that start before others where several could.
    """

    executor: Executor
    jobs: dict[str, Job]
    retries: int = 0
    told: Callable[[Job], Job] = lambda job: job
    first: Callable[[Job], bool] = lambda _: False
    waiting: dict[str, Job] = field(init=False)
    running: set[str] = field(init=False, default_factory=set)
    done: set[str] = field(init=False, default_factory=set)
    tries: Counter[str] = field(init=False, default_factory=Counter)

    def __post_init__(self) -> None:
        """All jobs wait."""
        self.waiting = dict(self.jobs)

    def adopt(self, since: float = 0.0) -> None:
        """Take back jobs that outlived who submitted them (`Executor.adopt`); of all others nothing is known."""
        self.running = self.executor.adopt(self.jobs, since)
        for state in self.executor.site.states():
            if state.job not in self.running:
                self.executor.site.forget(state.job)
        for job in self.running:
            self.told(self.waiting.pop(job))

    def add(self, job: Job) -> None:
        """One more job, that nothing needs."""
        self.jobs[job.id] = self.waiting[job.id] = job

    def submit(self) -> None:
        """Hand over what can start."""
        chosen = self._startable()
        for job in chosen:
            del self.waiting[job.id]
            self.running.add(job.id)
        if chosen:
            self.executor.submit([self.told(job) for job in chosen])

    def ends(self) -> Iterator[tuple[Job, JobState, list[Job]]]:
        """Work off until nothing is left: every job's end, with those that cannot be done after it.

        A job that is tried again has not ended.
        """
        while self.waiting or self.running:
            self.submit()
            for state in self.executor.wait():
                job = self.jobs[state.job]
                if job.id not in self.running:  # withdrawn with one that ended at the same time
                    continue
                self.running.discard(job.id)
                self.tries[job.id] += state.status != "lost"
                if state.status == "ok":
                    self.done.add(job.id)
                    yield job, state, []
                elif state.status == "lost" or (state.status == "killed" and self.tries[job.id] <= self.retries):
                    self.waiting = {name: self.jobs[name] for name in [job.id, *self._withdrawn(job)]} | self.waiting
                else:
                    yield job, state, [self.jobs[name] for name in self._withdrawn(job)]

    def _startable(self) -> list[Job]:
        """Jobs whose needs are done, or come before them in the executor's order, while there is room."""
        orders, chosen = self.executor.orders, list[Job]()
        begun = self.done | self.running if orders else set(self.done)
        jobs = list(self.waiting.values())
        for job in jobs if orders else sorted(jobs, key=lambda j: not self.first(j)):
            if begun.issuperset(job.needs) and self.executor.room(job, chosen):
                chosen.append(job)
                begun |= {job.id} if orders else set()
        return chosen

    def _withdrawn(self, ended: Job) -> list[str]:
        """Take back all jobs that need one which did not end well, submitted or not."""
        lost = _after(ended.id, self.jobs.values())
        if submitted := self.running.intersection(lost):
            self.executor.cancel(submitted)
        self.running -= submitted
        for name in lost:
            self.waiting.pop(name, None)
        return lost


def _after(first: str, jobs: Iterable[Job]) -> list[str]:
    """Jobs that need one, themselves or through others."""
    found = [first]
    for job in jobs:  # in an order in which needs come first
        if set(found).intersection(job.needs):
            found.append(job.id)
    return found[1:]

"""The contract of executors: they run jobs somewhere, several at a time, and say how each ended."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from types import TracebackType
from typing import Self

from dabench.execution.jobs import Job, JobState, Site


class Executor(ABC):
    """Runs jobs of one site. Who has jobs asks first whether there is room, submits them, and waits.

    Its own death loses nothing: a job is safe to be killed at any moment and made again, and those that outlive the
    process are taken back by `adopt`.
    """

    #: Where jobs run, and say how they stand.
    site: Site
    #: Whether it may be handed jobs whose needs are not done, and sees to their order itself.
    orders = False

    @abstractmethod
    def room(self, job: Job, beside: Sequence[Job] = ()) -> bool:
        """Whether this job would be started now, beside others that are about to be. An idle one has room for any."""

    @abstractmethod
    def submit(self, jobs: Sequence[Job]) -> None:
        """Start jobs; returns at once."""

    @abstractmethod
    def wait(self) -> list[JobState]:
        """Block until at least one submitted job has ended; how those that did have ended."""

    @abstractmethod
    def cancel(self, jobs: Collection[str]) -> None:
        """Stop submitted jobs; `wait` does not tell of them."""

    def adopt(self, jobs: Mapping[str, Job], since: float = 0.0) -> set[str]:
        """Take back which of these jobs an earlier process submitted, so that `wait` tells of them.

        Jobs that it submitted and that are no longer asked for are stopped. ``since`` is when the jobs were found to be
        needed: what ended after it counts.
        """
        del jobs, since
        return set()

    @abstractmethod
    def close(self) -> None:
        """Leave. What needs this process stops, and continues from its checkpoint another time."""

    def __enter__(self) -> Self:
        """The executor itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave nothing that needs this process."""
        self.close()

"""The contract of executors: they run jobs somewhere, several at a time, and say how each ended."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from dabench.execution.jobs import Job, Outcome


class Executor(ABC):
    """Runs jobs. The scheduler hands it only jobs whose needs are done, and asks first whether there is room."""

    #: Threads of each job; they decide the last digits of what it trains.
    threads: int = 1

    @abstractmethod
    def room(self, job: Job) -> bool:
        """Whether `submit` would start this job now. An idle executor has room for any job."""

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Start a job; returns at once."""

    @abstractmethod
    def wait(self) -> list[Outcome]:
        """Block until at least one submitted job has ended; how those that did have ended."""

    @abstractmethod
    def close(self) -> None:
        """Stop whatever still runs. Half-trained stages keep their checkpoints."""

    def __enter__(self) -> Self:
        """The executor itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave nothing running."""
        self.close()

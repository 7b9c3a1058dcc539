"""Executors of chunks: this process, several on this machine, or (ray_executor.py) several machines."""

from __future__ import annotations

import multiprocessing
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TYPE_CHECKING

from dabench.errors import DabenchError
from dabench.volumes.prediction.worker import Assignment, ChunkResult, Worker, use_threads

if TYPE_CHECKING:
    from dabench.interfaces import Predictor
    from dabench.types import Array, Block

#: A chunk with its number.
Task = tuple[int, "Block"]


class ChunkExecutor(ABC):
    """Predicts chunks in any order. Only the caller writes, so no two results meet in a file."""

    @abstractmethod
    def run(self, assignment: Assignment, tasks: Iterable[Task]) -> Iterator[ChunkResult]:
        """Predict every chunk once; a bounded number of results waits to be taken."""

    def close(self) -> None:
        """Let go of what was taken: processes, a cluster."""


class InProcessExecutor(ChunkExecutor):
    """This process, with the model that it has; on a GPU the next chunk is read meanwhile."""

    def __init__(self, predictor: Predictor | None = None) -> None:
        """Take a loaded model, or none to load it."""
        self._predictor = predictor

    def run(self, assignment: Assignment, tasks: Iterable[Task]) -> Iterator[ChunkResult]:
        """See `ChunkExecutor.run`."""
        worker = Worker(assignment, self._predictor)
        if assignment.device == "cpu":  # reading would take the cores that predict
            yield from (worker.predict(number, block) for number, block in tasks)
            return
        with ThreadPoolExecutor(1) as reader:
            ahead: deque[tuple[int, Block, Future[Array]]] = deque()
            remaining = iter(tasks)
            while True:
                for number, block in islice(remaining, 2 - len(ahead)):
                    ahead.append((number, block, reader.submit(worker.read, block)))
                if not ahead:
                    return
                number, block, pixels = ahead.popleft()
                yield worker.predict(number, block, pixels.result())


class ProcessExecutor(ChunkExecutor):
    """Several processes on this machine, each with the model and its share of the cores."""

    def __init__(self, jobs: int, threads: int = 1) -> None:
        """Say how many, and how many cores each takes."""
        self._jobs, self._threads = jobs, threads

    def run(self, assignment: Assignment, tasks: Iterable[Task]) -> Iterator[ChunkResult]:
        """See `ChunkExecutor.run`. Raises DabenchError when a process is killed."""
        context = multiprocessing.get_context("spawn")
        begin = (assignment, self._threads)
        with ProcessPoolExecutor(self._jobs, context, _begin, begin) as pool:
            remaining, running = iter(tasks), deque[Future[ChunkResult]]()
            try:
                while True:
                    for task in islice(remaining, self._jobs + 1 - len(running)):
                        running.append(pool.submit(_predict, task))
                    if not running:
                        return
                    yield running.popleft().result()
            except BrokenProcessPool:
                raise DabenchError(
                    "a process of the prediction was killed, perhaps for want of memory.",
                    "Start the same command again to continue, with fewer --jobs or a smaller --chunk.",
                ) from None
            finally:
                pool.shutdown(cancel_futures=True)


_worker: list[Worker] = []


def _begin(assignment: Assignment, threads: int) -> None:
    use_threads(threads)
    _worker[:] = [Worker(assignment)]


def _predict(task: Task) -> ChunkResult:
    return _worker[0].predict(*task)

"""Where chunks are predicted: in this process, or in jobs of an executor that leave each chunk as a file."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dabench.errors import DabenchError
from dabench.execution.executor import Executor
from dabench.execution.jobs import Job, Resources
from dabench.execution.schedule import Schedule
from dabench.files.atomic import atomic
from dabench.types import Block
from dabench.volumes.prediction.shares import ASSIGNMENT, pixels, result, share_jobs
from dabench.volumes.prediction.worker import Assignment, ChunkReader, ChunkResult, Worker, use_threads

if TYPE_CHECKING:
    from dabench.interfaces import Predictor
    from dabench.types import Array

#: A chunk with its number.
Task = tuple[int, Block]
#: Predicts every chunk once, in any order. Only the caller writes the output, so no two results meet in a file.
Predicts = Callable[[Assignment, Iterable[Task]], Iterator[ChunkResult]]


def predict_here(
    assignment: Assignment, tasks: Iterable[Task], predictor: Predictor | None = None
) -> Iterator[ChunkResult]:
    """In this process, with the model that it has or loads; on a GPU the next chunk is read meanwhile."""
    worker = Worker(assignment, predictor)
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
            number, block, read = ahead.popleft()
            yield worker.predict(number, block, read.result())


def predict_rest(root: Path, predictor: Predictor) -> Predicts:
    """Take what jobs have left in the output's folder, and predict the rest in this process."""

    def predicts(assignment: Assignment, tasks: Iterable[Task]) -> Iterator[ChunkResult]:
        blocks = dict(tasks)
        rest = [(n, block) for n, block in blocks.items() if not result(root, n).is_file()]
        yield from results(root, blocks)
        yield from predict_here(assignment, rest, predictor) if rest else ()

    return predicts


@dataclass(frozen=True)
class ByJobs:
    """By jobs of an executor, whose site's root is the folder of the output in the making.

    Attributes:
        executor: runs them; closed by its maker.
        resources: what a job takes.
        shares: jobs in all; 0: one a chunk.
        retries: how often a job whose process was killed is tried again.
        sent: machines share no files: every chunk's pixels are read here and sent.
    """

    executor: Executor
    resources: Resources
    shares: int = 0
    retries: int = 0
    sent: bool = False

    def __call__(self, assignment: Assignment, tasks: Iterable[Task]) -> Iterator[ChunkResult]:
        """See `Predicts`. Raises DabenchError when a chunk fails, or is killed on every try."""
        root, blocks = self.executor.site.root, dict(tasks)
        write_assignment(root, assignment, blocks)
        yield from results(root, blocks)
        open_ = {number: block for number, block in blocks.items() if not result(root, number).is_file()}
        jobs = {job.id: job for job in share_jobs(sorted(open_), self.shares or len(open_), self.resources, self.sent)}
        reader = ChunkReader(assignment) if self.sent else None
        schedule = Schedule(self.executor, jobs, self.retries, lambda job: _read_for(job, root, reader, blocks))
        for job, state, _ in schedule.ends():
            numbers = job.arguments["numbers"]
            for number in numbers:
                pixels(root, number).unlink(missing_ok=True)
            yield from results(root, {number: blocks[number] for number in numbers})
            if state.status != "ok":
                raise DabenchError(
                    f"chunks {numbers}: {state.reason}",
                    f"Log: {self.executor.site.log(job.id)}. The same command continues; --chunk takes less memory.",
                )


def write_assignment(root: Path, assignment: Assignment, blocks: Mapping[int, Block]) -> None:
    """What all jobs of an output in the making are told; each start writes it again, so it is always its own."""
    with atomic(root / ASSIGNMENT) as part:
        part.write_bytes(pickle.dumps((assignment, dict(blocks))))


def predict_chunks(root: Path, numbers: Sequence[int], threads: int) -> None:
    """A job: predict those of the chunks that are not there yet, each to a file."""
    use_threads(threads)
    assignment, blocks = pickle.loads((root / ASSIGNMENT).read_bytes())
    for number in numbers:
        if number in blocks and not result(root, number).is_file():
            path = pixels(root, number)
            sent = np.load(path) if path.is_file() else None
            _save(result(root, number), _worker(assignment).predict(number, blocks[number], sent))


def results(root: Path, blocks: Mapping[int, Block]) -> Iterator[ChunkResult]:
    """Those of the chunks that jobs have left; each is deleted when the next one is asked for."""
    for number, block in blocks.items():
        path = result(root, number)
        if path.is_file():
            with np.load(path) as found:
                ids = found.get("instances")
                tiles, seconds = int(found["tiles"]), float(found["seconds"])
                yield ChunkResult(number, block, found["probability"], found["mask"], tiles, seconds, ids)
            path.unlink()


def _save(path: Path, found: ChunkResult) -> None:
    arrays: dict[str, Any] = {name: getattr(found, name) for name in ("probability", "mask", "tiles", "seconds")}
    arrays |= {} if found.instances is None else {"instances": found.instances}
    with atomic(path) as part, part.open("wb") as handle:
        np.savez(handle, **arrays)


def _read_for(job: Job, root: Path, reader: ChunkReader | None, blocks: Mapping[int, Block]) -> Job:
    """Have the pixels of a job's chunks where it finds them, if it does not see the images."""
    if reader is not None:
        for number in job.arguments["numbers"]:
            with atomic(pixels(root, number)) as part, part.open("wb") as handle:
                np.save(handle, reader.read(blocks[number]))
    return job


_kept: dict[str, Worker] = {}


def _worker(assignment: Assignment) -> Worker:
    """A process of a cluster keeps the model for the next job of the same prediction."""
    if assignment.name not in _kept:
        _kept.clear()
        _kept[assignment.name] = Worker(assignment)
    return _kept[assignment.name]

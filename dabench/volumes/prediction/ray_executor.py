"""Chunks as Ray tasks on a running cluster, or on one started here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Literal

from dabench.errors import DabenchError
from dabench.execution.ray_executor import RayResources, connect
from dabench.volumes.prediction.executors import ChunkExecutor, Task
from dabench.volumes.prediction.worker import Assignment, ChunkReader, ChunkResult, Worker, use_threads


class RayChunks(ChunkExecutor):
    """Chunks on several machines. One whose node or process dies is predicted again, on another if need be.

    A process keeps the model from one chunk to the next. At most twice as many chunks wait as the cluster has room for.

    Args:
        address: of a running cluster (``auto``, ``ray://head:10001``); "" starts Ray on this machine.
        jobs: chunks at a time; 0: as many as fit.
        resources: what one chunk asks for.
        share: ``files``: nodes find images and model by their paths. ``objects``: this process reads the images and
            sends every chunk its pixels; the assignment's model should then be a `ModelBytes`.
    """

    def __init__(
        self,
        address: str = "",
        jobs: int = 0,
        resources: RayResources | None = None,
        share: Literal["files", "objects"] = "files",
    ) -> None:
        """Connect. Raises ConfigError where Ray is not installed or the cluster cannot be reached."""
        self._ray = connect(address)
        self._resources = resources or RayResources(retries=10)
        self._jobs, self._share = jobs, share

    def run(self, assignment: Assignment, tasks: Iterable[Task]) -> Iterator[ChunkResult]:
        """See `ChunkExecutor.run`. Raises DabenchError when a chunk fails on every try."""
        asked, ray = self._resources, self._ray
        remote = ray.remote(_predict).options(num_cpus=asked.cpus, num_gpus=asked.gpus, max_retries=asked.retries)
        order, reader = ray.put(assignment), ChunkReader(assignment) if self._share == "objects" else None
        remaining, running = iter(tasks), list[Any]()
        try:
            while True:
                # A cluster that lost a node may have room for fewer than already wait.
                for number, block in islice(remaining, max(0, self._room() - len(running))):
                    pixels = None if reader is None else ray.put(reader.read(block))
                    running.append(remote.remote(order, number, block, pixels, max(1, int(asked.cpus))))
                if not running:
                    return
                ready, running = ray.wait(running, num_returns=1)
                yield self._take(ready[0])
        finally:
            for reference in running:
                ray.cancel(reference, force=True)

    def _room(self) -> int:
        if self._jobs:
            return self._jobs
        here = self._ray.cluster_resources()
        places = [here.get("CPU", 1) / self._resources.cpus] if self._resources.cpus else []
        places += [here.get("GPU", 0) / self._resources.gpus] if self._resources.gpus else []
        return max(1, 2 * int(min(places, default=1)))

    def _take(self, reference: Any) -> ChunkResult:
        try:
            found: ChunkResult = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, DabenchError):
                raise cause from None
            raise DabenchError(f"a chunk failed on its node: {cause!r}") from error
        except self._ray.exceptions.RayError as error:
            said = str(error).strip().splitlines() or [""]
            raise DabenchError(
                f"Ray: {type(error).__name__}: {said[0][:300]}", "Start the same command again to continue."
            ) from None
        return found

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        self._ray.shutdown()


def _predict(assignment: Assignment, number: int, block: Any, pixels: Any, threads: int) -> ChunkResult:
    """On a node, whose process keeps the model for the next chunk of the same prediction."""
    use_threads(threads)
    if assignment.name not in _kept:
        _kept.clear()
        _kept[assignment.name] = Worker(assignment)
    return _kept[assignment.name].predict(number, block, pixels)


_kept: dict[str, Worker] = {}

"""Where the jobs of a suite run and how much they may take, as an executor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dabench.errors import ConfigError, UnknownNameError
from dabench.execution.executor import Executor
from dabench.execution.jobs import Site


@dataclass(frozen=True)
class ExecutorSettings:
    """Where jobs run.

    Attributes:
        executor: ``local``, or ``ray`` for several machines.
        jobs: most at a time; None: one a core, or one a share of a GPU.
        threads: of a job; they decide the last digits of what it trains.
        per_gpu: jobs that share a GPU.
        memory: GiB for all jobs together; None: nine tenths of what is free.
        job_memory: GiB after which a job ends as out of memory; None: no limit.
        job_minutes: after which a job is ended as failed; None: no limit. Of this machine alone.
        retries: further tries of a job whose process was killed.
        address: of a Ray cluster; "" starts Ray here.
        share: Ray: nodes see the workspace (``files``), or are sent stages and runs (``objects``).
        gpus_per_job: Ray: share of a GPU that a job asks for.
    """

    executor: str = "local"
    jobs: int | None = None
    threads: int = 1
    per_gpu: int = 1
    memory: float | None = None
    job_memory: float | None = None
    retries: int = 0
    address: str = ""
    share: str = "files"
    gpus_per_job: float = 0.0
    job_minutes: float | None = None

    def make(self, workspace: Path, logs: Path) -> Executor:
        """The executor; its creator closes it.

        Args:
            workspace: where stages and runs lie.
            logs: folder for what workers on this machine print.

        Raises:
            UnknownNameError: an executor, or a way to share, that there is not.
            ConfigError: numbers with which nothing could run, or a cluster that cannot be used.
        """
        if self.executor == "local":
            from dabench.execution.local import LocalExecutor, visible_gpus

            site = Site.here(workspace, self.threads, _bytes(self.job_memory) or 0, 60 * (self.job_minutes or 0))
            return LocalExecutor(site, logs, self.jobs, visible_gpus(), self.per_gpu, _bytes(self.memory))
        if self.executor != "ray":
            raise UnknownNameError("executor", self.executor, ["local", "ray"])
        if self.job_minutes is not None:
            raise ConfigError("--job-minutes is of the executor local; Ray ends no job for the time it takes.")
        from dabench.execution.ray_executor import RayExecutor, RayResources

        if self.share not in ("files", "objects"):
            raise UnknownNameError("--share", self.share, ["files", "objects"])
        asked = RayResources(self.threads, self.gpus_per_job, max(self.retries, 3))
        return RayExecutor(Site.here(workspace, self.threads), self.address, asked, self.share)  # type: ignore[arg-type]


def _bytes(gib: float | None) -> int | None:
    return None if gib is None else round(gib * 2**30)

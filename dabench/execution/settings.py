"""Where jobs run and how much they may take, as an executor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dabench.errors import ConfigError, UnknownNameError
from dabench.execution.executor import Executor
from dabench.execution.jobs import Resources, Site


@dataclass(frozen=True)
class ExecutorSettings:
    """Where jobs run.

    Attributes:
        executor: ``local``, ``ray`` or ``slurm``.
        jobs: most at a time; None: as many as fit.
        threads: of a job; they decide the last digits of what it trains.
        per_gpu: local: jobs that share a GPU.
        memory: local: GiB for all jobs together; None: nine tenths of what is free.
        job_memory: GiB after which a job ends as out of memory; None: no limit.
        job_minutes: after which a job is ended as failed; None: no limit. Of this machine alone.
        retries: further tries of a job whose process was killed; None: 0 here, 3 on a cluster.
        address: of a Ray cluster; "" starts Ray here.
        share: ray: nodes see the same files (``files``), or are sent what they need (``objects``).
        gpus_per_job: ray, slurm: GPUs, or for ray a share of one, that a job asks for.
        partition: slurm: where jobs run; "" is the cluster's default.
        time: slurm: limit of a job, ``H:MM:SS`` or ``D-HH:MM:SS``; "": by what it is expected to take.
        slurm: other options of ``sbatch``, ``NAME=VALUE``.
    """

    executor: str = "local"
    jobs: int | None = None
    threads: int = 1
    per_gpu: int = 1
    memory: float | None = None
    job_memory: float | None = None
    retries: int | None = None
    address: str = ""
    share: str = "files"
    gpus_per_job: float = 0.0
    partition: str = ""
    time: str = ""
    slurm: tuple[str, ...] = ()
    job_minutes: float | None = None

    @property
    def tries(self) -> int:
        """Further tries of a job whose process was killed."""
        return self.retries if self.retries is not None else 0 if self.executor == "local" else 3

    @property
    def resources(self) -> Resources:
        """What every job takes, as far as settings say it."""
        return Resources(self.threads, round((self.job_memory or 0) * 2**30), self.gpus_per_job)

    def make(self, root: Path, folder: Path) -> Executor:
        """The executor; its maker closes it.

        Args:
            root: what jobs read and make lies below it.
            folder: for the states of jobs, and what they print.

        Raises:
            UnknownNameError: an executor, or a way to share, that there is not.
            ConfigError: numbers with which nothing could run, or a cluster that cannot be used.
        """
        if self.job_minutes is not None and self.executor != "local":
            raise ConfigError("--job-minutes needs --executor local.", "Use --time with Slurm; Ray has no time limit.")
        site = Site.here(root, folder, round((self.job_memory or 0) * 2**30), 60 * (self.job_minutes or 0))
        if self.executor == "local":
            from dabench.execution.local import LocalExecutor, visible_gpus

            memory = None if self.memory is None else round(self.memory * 2**30)
            return LocalExecutor(site, self.jobs, self.threads, visible_gpus(), self.per_gpu, memory)
        if self.executor == "slurm":
            from dabench.execution.slurm import SlurmExecutor, SlurmOptions

            options = SlurmOptions(self.partition, hours_of(self.time), self.jobs or 1000, _named(self.slurm))
            return SlurmExecutor(site, options)
        if self.executor != "ray":
            raise UnknownNameError("executor", self.executor, ["local", "ray", "slurm"])
        from dabench.execution.ray_executor import RayExecutor

        if self.share not in ("files", "objects"):
            raise UnknownNameError("--share", self.share, ["files", "objects"])
        return RayExecutor(site, self.address, self.jobs, max(self.tries, 3), self.share)  # type: ignore[arg-type]


def hours_of(text: str) -> float:
    """``4:00:00`` or ``1-12:00:00`` as hours; 0 for "". Raises ConfigError.

    >>> hours_of("4:30:00"), hours_of("1-12:00:00")
    (4.5, 36.0)
    """
    if not text:
        return 0.0
    days, _, clock = text.rpartition("-")
    try:
        hours, minutes, seconds = (int(part) for part in clock.split(":"))
        return 24 * int(days or 0) + hours + minutes / 60 + seconds / 3600
    except ValueError:
        raise ConfigError(f"--time {text!r}: write H:MM:SS or D-HH:MM:SS, for example --time 4:00:00.") from None


def _named(options: tuple[str, ...]) -> dict[str, str]:
    for option in options:
        if not option.partition("=")[2]:
            raise ConfigError(f"--slurm {option!r}: write NAME=VALUE, for example --slurm account=lab.")
    return dict(option.split("=", 1) for option in options)

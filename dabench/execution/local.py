"""The executor of one machine: a process per job, packed on cores, GPUs and memory."""

from __future__ import annotations

import faulthandler
import os
import re
import signal
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import connection, get_context, parent_process
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import Thread

from dabench.errors import ConfigError
from dabench.execution.executor import Executor
from dabench.execution.jobs import Job, JobState, Site, run_job

#: Seconds before its time limit at which a worker writes where it is.
_SAID = 2.0
#: Share of the memory that is free at the start which jobs may fill.
_FILL = 0.9


@dataclass
class _Running:
    job: Job
    process: ForkServerProcess
    slot: int
    started: float = field(default_factory=time.monotonic)
    late: bool = False


class LocalExecutor(Executor):
    """Jobs as processes of this machine: they die with it, and one that is killed takes nothing else down.

    Args:
        site: of every job.
        jobs: most jobs at a time; None is as many as have cores, or with GPUs one a share of a GPU.
        cores: of each job.
        gpus: ids of GPUs to use; jobs then see one each. Empty: jobs run where their arguments say.
        per_gpu: jobs that share a GPU.
        memory: bytes that all jobs together are expected to fit in; None is what is free now, less a tenth.
    """

    def __init__(
        self,
        site: Site,
        jobs: int | None = None,
        cores: int = 1,
        gpus: tuple[str, ...] = (),
        per_gpu: int = 1,
        memory: int | None = None,
    ) -> None:
        """Start nothing yet."""
        here = max(1, len(os.sched_getaffinity(0)) // max(1, cores))
        count = jobs or (len(gpus) * per_gpu if gpus else here)
        if count < 1 or per_gpu < 1:
            raise ConfigError(f"--jobs {count}, --per-gpu {per_gpu}: at least one job must run at a time.")
        self._slots = list(range(count))
        self._gpus = [g for g in gpus for _ in range(per_gpu)]
        self._memory = memory or round(_FILL * free_memory())
        self.site = site
        self._running: list[_Running] = []
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(["dabench.execution.preload"])

    def room(self, job: Job, beside: Sequence[Job] = ()) -> bool:
        """A free slot, and memory: the first job always gets in."""
        others = [*(r.job for r in self._running), *beside]
        taken = sum(other.resources.memory for other in others)
        return not others or (len(others) < len(self._slots) and taken + job.resources.memory <= self._memory)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Fork a worker for each."""
        for job in jobs:
            slot = next(s for s in self._slots if s not in {r.slot for r in self._running})
            site = self.site
            if self._gpus:
                gpu = self._gpus[slot % len(self._gpus)]
                site = replace(site, environment={**site.environment, "CUDA_VISIBLE_DEVICES": gpu})
            self.site.forget(job.id)
            process = self._context.Process(target=_worker, args=(job, site), daemon=False)
            with same_imports():
                process.start()
            self._running.append(_Running(job, process, slot))

    def wait(self) -> list[JobState]:
        """Wait for a worker's end, with or without a message; one past the time limit is ended."""
        limit = self.site.time_limit
        ends = [r.started + limit - time.monotonic() for r in self._running if limit and not r.late]
        connection.wait([r.process.sentinel for r in self._running], max(0.0, min(ends)) if ends else None)
        for late in (r for r in self._running if limit and time.monotonic() >= r.started + limit and not r.late):
            late.late = late.process.is_alive()
            late.process.kill()
        ended = [r for r in self._running if not r.process.is_alive()]
        self._running = [r for r in self._running if r not in ended]
        return [self._state(r) for r in ended]

    def _state(self, running: _Running) -> JobState:
        running.process.join()
        limit, job = self.site.time_limit, running.job.id
        if running.late:
            why = f"it did not end within {limit / 60:g} min (--job-minutes); its log says where it was"
            return self.site.say(JobState(job, "failed", why, limit))
        found = self.site.state(job)
        if found is not None and found.ended:
            return found
        code = running.process.exitcode or 0
        what = f"killed by {signal.Signals(-code).name}" if code < 0 else f"its process ended with code {code}"
        return self.site.say(JobState(job, "killed", f"{what}; probably out of memory, unless you stopped it"))

    def cancel(self, jobs: Collection[str]) -> None:
        """Kill; a checkpoint is never half-written."""
        stopped = [r for r in self._running if r.job.id in jobs]
        for running in stopped:
            running.process.kill()
        for running in stopped:
            running.process.join()
            self.site.forget(running.job.id)
        self._running = [r for r in self._running if r not in stopped]

    def close(self) -> None:
        """Kill what runs."""
        self.cancel([r.job.id for r in self._running])


@contextmanager
def same_imports() -> Iterator[None]:
    """Let a process that starts now import what this one does.

    Python looks into the current folder first where it runs a command, as the server that workers are forked from does:
    a folder named like a package (``./torch``) would hide it.
    """
    before = {name: os.environ.get(name) for name in ("PYTHONSAFEPATH", "PYTHONPATH")}
    os.environ |= {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _worker(job: Job, site: Site) -> None:
    """A worker's life: one job. It ends when the process that has the executor does."""
    Thread(target=_follow_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the suite's process decides what an interrupt means
    if site.time_limit:  # shortly before the suite's process ends this one
        log = site.log(job.id)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as stream:
            faulthandler.dump_traceback_later(max(site.time_limit - _SAID, 0.1), file=stream)
            run_job(job, site)
        return
    run_job(job, site)


def _follow_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def free_memory() -> int:
    """Bytes that programs may still take: what the system calls available, or the control group's rest if less."""
    text = Path("/proc/meminfo").read_text() if Path("/proc/meminfo").is_file() else ""
    found = re.search(r"MemAvailable:\s+(\d+) kB", text)
    free = int(found.group(1)) * 1024 if found else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # no such control group, or "max"
        return free
    return min(free, max(limit - used, 0))


def visible_gpus() -> tuple[str, ...]:
    """Ids of the GPUs that jobs can be packed on; none where torch sees none."""
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return tuple(named.split(",")[:count]) if named else tuple(str(i) for i in range(count))

"""The executor of one machine: a process per job, packed on cores, GPUs and memory."""

from __future__ import annotations

import faulthandler
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import Thread

from dabench.errors import ConfigError
from dabench.execution.executor import Executor
from dabench.execution.jobs import Job, Outcome, Site, run_job

#: Seconds before its time limit at which a worker writes where it is.
_SAID = 2.0
#: Share of the memory that is free at the start which jobs may fill.
_FILL = 0.9


@dataclass
class _Running:
    job: Job
    process: ForkServerProcess
    answer: Connection
    slot: int
    started: float = field(default_factory=time.monotonic)
    late: bool = False


class LocalExecutor(Executor):
    """Jobs as processes of this machine: they die with it, and one that is killed takes nothing else down.

    Args:
        site: workspace, threads and memory limit of every job.
        logs: folder for what workers print.
        jobs: most jobs at a time; None is one a core, or with GPUs one a share of a GPU.
        gpus: ids of GPUs to use; jobs then see one each. Empty: jobs run where their configuration says.
        per_gpu: jobs that share a GPU.
        memory: bytes that all jobs together are expected to fit in; None is what is free now, less a tenth.
    """

    def __init__(
        self,
        site: Site,
        logs: Path,
        jobs: int | None = None,
        gpus: tuple[str, ...] = (),
        per_gpu: int = 1,
        memory: int | None = None,
    ) -> None:
        """Start nothing yet."""
        count = jobs or (len(gpus) * per_gpu if gpus else len(os.sched_getaffinity(0)))
        if count < 1 or per_gpu < 1:
            raise ConfigError(f"--jobs {count}, --per-gpu {per_gpu}: at least one job has to run at a time.")
        self._slots = list(range(count))
        self._gpus = [g for g in gpus for _ in range(per_gpu)]
        self._memory = memory or round(_FILL * free_memory())
        self._site, self._logs, self.threads = site, logs, site.threads
        self._running: list[_Running] = []
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload(["dabench.execution.preload"])

    def room(self, job: Job) -> bool:
        """A free slot, and memory: the first job always gets in."""
        if not self._running:
            return True
        taken = sum(r.job.memory for r in self._running)
        return len(self._running) < len(self._slots) and taken + job.memory <= self._memory

    def submit(self, job: Job) -> None:
        """Fork a worker for the job."""
        slot = next(s for s in self._slots if s not in {r.slot for r in self._running})
        here, there = self._context.Pipe(duplex=False)
        site = self._site
        if self._gpus:
            gpu = self._gpus[slot % len(self._gpus)]
            site = replace(site, environment={**site.environment, "CUDA_VISIBLE_DEVICES": gpu})
        log = self._logs / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', job.id)}.log"
        process = self._context.Process(target=_worker, args=(job, site, log, there), daemon=False)
        with _same_imports():
            process.start()
        there.close()
        self._running.append(_Running(job, process, here, slot))

    def wait(self) -> list[Outcome]:
        """Wait for a worker's end, with or without an answer; one past the time limit is ended."""
        limit = self._site.time_limit
        ends = [r.started + limit - time.monotonic() for r in self._running if limit and not r.late]
        connection.wait([r.process.sentinel for r in self._running], max(0.0, min(ends)) if ends else None)
        for late in (r for r in self._running if limit and time.monotonic() >= r.started + limit and not r.late):
            late.late = late.process.is_alive()
            late.process.kill()
        ended = [r for r in self._running if not r.process.is_alive()]
        self._running = [r for r in self._running if r not in ended]
        return [_outcome(r, limit) for r in ended]

    def close(self) -> None:
        """Kill what runs; a checkpoint is never half-written."""
        for running in self._running:
            running.process.kill()
        for running in self._running:
            running.process.join()
        self._running = []


@contextmanager
def _same_imports() -> Iterator[None]:
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


def _outcome(ended: _Running, limit: float) -> Outcome:
    ended.process.join()
    if ended.late:
        ended.answer.close()
        why = f"it did not end within {limit / 60:g} min (--job-minutes); its log says where it was"
        return Outcome(ended.job.id, "failed", why, limit)
    code = ended.process.exitcode or 0
    try:
        found: Outcome = ended.answer.recv()
        return found
    except EOFError:
        what = f"killed by {signal.Signals(-code).name}" if code < 0 else f"its process ended with code {code}"
        return Outcome(ended.job.id, "killed", f"{what}; probably out of memory, unless you did it")
    finally:
        ended.answer.close()


def _worker(job: Job, site: Site, log: Path, answer: Connection) -> None:
    """A worker's life: output to its log, one job, one answer. It ends when the suite's process does."""
    Thread(target=_follow_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the suite's process decides what an interrupt means
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", buffering=1) as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
        sys.stdout = sys.stderr = stream
        if site.time_limit:  # shortly before the suite's process ends this one
            faulthandler.dump_traceback_later(max(site.time_limit - _SAID, 0.1), file=stream)
        answer.send(run_job(job, site))


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

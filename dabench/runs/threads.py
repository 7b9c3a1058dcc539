"""How many threads a process trains and predicts with, unless its user says so.

Threads split sums, so they are part of the keys of stages: a number that followed the load from run to run would train
stages again for nothing. So it is decided once per workspace, by its first run, and kept in ``threads.json`` by the
number of cores; another machine, or other limits, decide for themselves.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from dabench.files.atomic import write_json
from dabench.files.workspace import Workspace

#: More gain little on crops of a few hundred pixels.
MOST = 8
#: Set by users for all programs; torch follows them by itself.
VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
#: Numbers that `use_threads` gave this process: no choice of its user.
_GIVEN: set[int] = set()
_CPUS, _CGROUPS = Path("/sys/devices/system/cpu"), Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Threads:
    """A number of threads and where it comes from, in words."""

    count: int
    why: str

    def __str__(self) -> str:
        return f"{self.count} ({self.why})"


def use_threads(workspace: Workspace) -> Threads:
    """Let torch use this workspace's number of threads; decides and keeps it where nothing is kept.

    A number that the user set, by `VARIABLES` or `torch.set_num_threads`, stays.
    """
    found = threads_of(workspace)
    if not _set_by_user():
        kept, cores = _kept(workspace), str(usable_cores())
        if cores not in kept:
            write_json(_file(workspace), kept | {cores: found.count})
        torch.set_num_threads(found.count)
        _GIVEN.add(found.count)
    return found


def threads_of(workspace: Workspace) -> Threads:
    """What `use_threads` would use; changes nothing."""
    if said := _set_by_user():
        return Threads(torch.get_num_threads(), said)
    cores, free = usable_cores(), free_cores()
    most = min(cores, MOST)
    now = max(1, min(most, free))
    kept = _kept(workspace).get(str(cores))
    busy = "" if free >= most else f", free of other work: {free}"
    if kept is None or kept == now:
        return Threads(now, f"of {cores} cores{busy}")
    hint = f"OMP_NUM_THREADS={now} fits the present load, and trains stages again"
    return Threads(kept, f"of {cores} cores{busy}; as this workspace's first run decided: {hint}")


def usable_cores() -> int:
    """Physical cores that this process may use: by its affinity, and by the quota of its control group."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return max(1, min(_physical(allowed), _quota()))


def free_cores() -> int:
    """Cores of this machine that are not in use, by its load, which counts all users.

    The load of one minute or of five, whichever is less: what has just begun, or has just ended, is no habit.
    """
    return max(0, round(_physical(range(os.cpu_count() or 1)) - min(os.getloadavg()[:2])))


def _set_by_user() -> str:
    """Where a number that the user chose comes from, "" where there is none."""
    named = next((name for name in VARIABLES if os.environ.get(name)), "")
    if named:
        return named
    every = range(os.cpu_count() or 1)
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else every
    # What torch begins with is one of these, by the library that it was built with.
    own = {len(every), len(allowed), _physical(every), _physical(allowed), *_GIVEN}
    return "" if torch.get_num_threads() in own else "set in this process"


def _physical(cpus: Iterable[int]) -> int:
    """Cores among logical CPUs: those that share one count once; each counts where the system does not say."""
    return len({_siblings(cpu) for cpu in cpus})


def _siblings(cpu: int) -> str:
    try:
        return (_CPUS / f"cpu{cpu}/topology/thread_siblings_list").read_text().strip()
    except OSError:
        return str(cpu)


def _quota() -> int:
    """CPUs that the control group of a container grants (version 2, else 1), rounded up; very many without a limit."""
    try:
        limit, period = (_CGROUPS / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            limit, period = ((_CGROUPS / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        except OSError:
            return 2**30
    return 2**30 if limit == "max" or int(limit) <= 0 else -(-int(limit) // int(period))


def _file(workspace: Workspace) -> Path:
    return workspace.root / "threads.json"


def _kept(workspace: Workspace) -> dict[str, int]:
    """Numbers by cores; a damaged file is decided again."""
    try:
        found = json.loads(_file(workspace).read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {cores: n for cores, n in found.items() if isinstance(n, int) and 1 <= n <= MOST}

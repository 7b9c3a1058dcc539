"""What a command of a checkout uses, all its processes together; for benchmarks that run several checkouts in turn."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

#: Linux's prctl that makes orphans of this process's children its own.
_SUBREAPER = 36


def adopt_orphans() -> None:
    """Processes that outlive their parent (multiprocessing's fork server) become children of this one."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1)


def python(checkout: Path, *arguments: str, workspace: Path | None = None) -> dict[str, float]:
    """Run Python on a checkout's code, one thread a process, and wait for all processes that this starts.

    Returns:
        ``wall`` seconds of the command, and ``cpu`` seconds and the highest resident ``memory`` in bytes of all.

    Raises:
        SystemExit: it failed.
    """
    search = os.pathsep.join(map(str, (checkout, checkout / "plugins")))
    environment = {**os.environ, "PYTHONPATH": search, "OMP_NUM_THREADS": "1"}
    if workspace:
        environment["DABENCH_WORKSPACE"] = str(workspace)
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], env=environment, cwd=checkout, stdout=subprocess.DEVNULL)
    wall = cpu = memory = 0.0
    with suppress(ChildProcessError):  # none is left
        while True:
            pid, status, used = os.wait4(-1, 0)
            cpu, memory = cpu + used.ru_utime + used.ru_stime, max(memory, used.ru_maxrss * 1024.0)
            if pid == process.pid:
                wall = time.perf_counter() - started
                if status:
                    raise SystemExit(f"{checkout}: {' '.join(arguments)} failed")
    return {"wall": wall, "cpu": cpu, "memory": memory}


def commit(checkout: Path) -> str:
    """The short name of a checkout's commit."""
    asked = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(asked, cwd=checkout, capture_output=True, text=True, check=True).stdout.strip()

"""What jobs of these tests do: they leave lines in a file, so that what is done twice or never shows."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from dabench.execution.jobs import Job


def note(root: Path, name: str, seconds: float = 0.0) -> dict[str, Any]:
    """Say that a job began, take a while in steps that survive a kill, and say that it is done."""
    _write(root, f"begin {name}")
    steps = root / f"{name}.steps"
    while len(_read(steps)) < 10 * seconds:
        time.sleep(0.1)
        with steps.open("a") as file:
            file.write("x")
    _write(root, f"end {name}")
    return {"name": name}


def fail(root: Path, name: str) -> None:
    _write(root, f"begin {name}")
    raise ValueError(f"{name} fails")


def die(root: Path, name: str) -> None:
    """Killed at the first try, done at the second."""
    _write(root, f"begin {name}")
    if lines(root).count(f"begin {name}") < 2:
        os.kill(os.getpid(), signal.SIGKILL)
    _write(root, f"end {name}")


def job(name: str, *needs: str, function: str = "note", **arguments: Any) -> Job:
    return Job(name, f"tests.execution.work:{function}", {"name": name, **arguments}, name, needs=needs)


def graph(*jobs: Job) -> dict[str, Job]:
    return {one.id: one for one in jobs}


def lines(root: Path) -> list[str]:
    return _read(root / "lines").splitlines()


def ended(root: Path) -> list[str]:
    """Names of jobs that ended, as often as they did."""
    return sorted(line.removeprefix("end ") for line in lines(root) if line.startswith("end "))


def _write(root: Path, line: str) -> None:
    root.mkdir(parents=True, exist_ok=True)
    with (root / "lines").open("a") as file:
        file.write(f"{line}\n")


def _read(path: Path) -> str:
    return path.read_text() if path.is_file() else ""

"""What a workspace takes on disk, and what of it nothing refers to."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from dabench.files.digests import digest_file
from dabench.files.workspace import Workspace
from dabench.suites.graph import read_started
from dabench.suites.suite_record import read_suite_record, started_suites
from dabench.tracking.journal import JOURNAL
from dabench.tracking.links import same_file
from dabench.tracking.lock import is_held
from dabench.tracking.record import HERE
from dabench.tracking.run_reader import read_run

#: How a run ends that has nothing to show.
_FAILED = ("failed", "oom", "killed", "unfinished")
_DAY = 86400.0


@dataclass(frozen=True)
class Usage:
    """What one part of a workspace takes: its name, bytes, and how many runs or stages those are; 0 for others."""

    part: str
    bytes: int
    count: int = 0


@dataclass(frozen=True)
class Leftover:
    """What may go: its place, its bytes, and why nothing needs it; ``same`` is the file that it is a copy of."""

    path: Path
    bytes: int
    why: str
    same: Path | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"path": str(self.path), "bytes": self.bytes, "why": self.why}


def usage(workspace: Workspace) -> list[Usage]:
    """What takes how much: runs by suite, stages and what is made from them, MLflow, all else.

    A cell of several suites counts for the first by name. A file that has several names (MLflow's artifacts are those
    of the runs) counts once.
    """
    seen: set[tuple[int, int]] = set()
    runs = {path.name: path for path in _folders(workspace.runs)}
    found = []
    for suite in started_suites(workspace):
        cells = [cell["cell_id"] for cell in read_suite_record(workspace, suite)["cells"]]
        own = [path for name, path in runs.items() if name.partition("@")[0] in cells]
        runs = {name: path for name, path in runs.items() if path not in own}
        found.append(Usage(f"suite {suite}", _size([workspace.suite(suite), *own], seen), len(own)))
    found.append(Usage("other runs", _size(runs.values(), seen), len(runs)))
    stages = _folders(workspace.stages)
    made = [path / name for path in stages for name in ("predictions", "memory")]
    found.append(Usage("stages: predictions and memory", _size(made, seen)))
    found.append(Usage("stages: weights and the rest", _size(stages, seen), len(stages)))
    found.append(Usage("MLflow: database", _size(workspace.root.glob("mlflow.db*"), seen)))
    found.append(Usage("MLflow: artifacts of its own", _size([workspace.artifacts], seen)))
    found.append(Usage("models, weights, data and the rest", _size([workspace.root], seen)))
    return [one for one in found if one.bytes]


def leftovers(workspace: Workspace, days: float) -> list[Leftover]:
    """What nothing refers to, unchanged for so many days, the largest first. Deletes nothing.

    Never a stage of any run or of a suite's plan, and so of no model or bundle; never a run that a suite lists, that
    ended well (a board may show it) or that was imported; nothing that a process holds.

    Raises:
        DataError: a run or a suite's plan that cannot be read: what it refers to is not known.
    """
    found = chain(_stages(workspace), _memory(workspace), _failed(workspace), _copies(workspace))
    before = time.time() - days * _DAY
    return sorted((one for one in found if _changed(one.path) <= before), key=lambda one: -one.bytes)


def clean(found: Iterable[Leftover]) -> int:
    """Delete leftovers, and make second copies second names of their files; the bytes that are free then."""
    freed = 0
    for one in found:
        if is_held(_lock_of(one.path)):  # somebody began to use it meanwhile
            continue
        if one.same is None:
            shutil.rmtree(one.path)
        elif not same_file(one.same, one.path):  # this file system has no second names
            continue
        freed += one.bytes
    return freed


# ------------------------------------------------------------------------------------------------------- what may go
def _stages(workspace: Workspace) -> Iterator[Leftover]:
    used = set(_used_stages(workspace))
    for path in _folders(workspace.stages):
        if path.name not in used and not is_held(_lock_of(path)):
            half = "" if (path / "stage.json").is_file() else ", half-trained"
            yield Leftover(path, _size([path]), f"no run or suite uses this stage{half}")


def _used_stages(workspace: Workspace) -> Iterator[str]:
    for path in _journalled(workspace):
        yield from (stage.key for stage in read_run(path).stages)
    for suite in started_suites(workspace):
        started = read_started(workspace, suite)
        yield from started.graph.stages if started is not None else ()


def _memory(workspace: Workspace) -> Iterator[Leftover]:
    """What sibling stages share follows from their parent, and is made again where a new one wants it."""
    if not any(is_held(path) for path in workspace.stages.glob("*.lock")):
        for path in workspace.stages.glob("*/memory"):
            yield Leftover(path, _size([path]), "created again when a stage needs it")


def _failed(workspace: Workspace) -> Iterator[Leftover]:
    listed = {
        cell["cell_id"] for suite in started_suites(workspace) for cell in read_suite_record(workspace, suite)["cells"]
    }
    for path in _journalled(workspace):
        run = read_run(path)
        own = run.origin == HERE and run.cell_id not in listed
        if own and run.status in _FAILED and not is_held(_lock_of(path)):
            yield Leftover(path, _size([path]), f"{run.status}; no suite lists it")


def _copies(workspace: Workspace) -> Iterator[Leftover]:
    """Artifacts of MLflow that are copies of a run's files: those of workspaces of before, or copied file by file."""
    for journal in workspace.artifacts.rglob(f"artifacts/{JOURNAL}"):
        run = workspace.runs / read_run(journal.parent).key
        for path in (p for p in journal.parent.rglob("*") if p.is_file()):
            same = run / path.relative_to(journal.parent)
            if same.is_file() and not path.samefile(same) and digest_file(path) == digest_file(same):
                yield Leftover(path, path.stat().st_size, "MLflow's copy of a file of its run", same)


# ------------------------------------------------------------------------------------------------------------ files
def _journalled(workspace: Workspace) -> Iterator[Path]:
    return (path for path in _folders(workspace.runs) if (path / JOURNAL).is_file())


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


def _lock_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")


def _files(path: Path) -> Iterator[os.stat_result]:
    """Every file below a folder, or the file itself; links are not followed."""
    for one in path.rglob("*") if path.is_dir() else [path]:
        with suppress(OSError):  # deleted meanwhile
            if one.is_symlink() or one.is_file():
                yield one.lstat()


def _size(paths: Iterable[Path], seen: set[tuple[int, int]] | None = None) -> int:
    """Bytes of files, each counted once; ``seen`` are those that were counted before."""
    known = set() if seen is None else seen
    total = 0
    for stat in (stat for path in paths for stat in _files(path)):
        if (name := (stat.st_dev, stat.st_ino)) not in known:
            known.add(name)
            total += stat.st_size
    return total


def _changed(path: Path) -> float:
    """When the newest file of a folder was written, or an empty folder made."""
    return max((stat.st_mtime for stat in _files(path)), default=path.stat().st_mtime)

"""Files that are opened while a stage trains and are none of its inputs: noted where Python opens them.

Python tells of every file that it opens (PEP 578). What a C library opens by itself (HDF5, safetensors, OpenCV), and
what another process opens, is not seen: this makes label use visible, it does not prevent it.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from dabench.files.digests import digest_file
from dabench.files.workspace import Workspace
from dabench.interfaces import StageSpec
from dabench.runs.faults import home_of
from dabench.runs.plan import Plan
from dabench.tracking.events import OF_TEST

#: What is read of the system and of devices on every machine.
_SYSTEM = ("/proc", "/sys", "/dev", "/usr", "/lib", "/lib64", "/etc")
#: Code; the digest of a stage's source is about it.
_CODE = (".py", ".pyc", ".so", ".pyd", ".dll", ".dylib", ".pth")
#: What installers write of a package, which any search for plugins reads.
_METADATA = ("entry_points.txt", "METADATA", "PKG-INFO", "RECORD", "top_level.txt", "direct_url.json")
#: Bytes of a file of which the digest is taken; a larger one is named by its size.
_DIGESTED = 1 << 28
#: Flags of a file that is written, or made.
_MADE = os.O_WRONLY | os.O_TRUNC | os.O_EXCL


@dataclass
class Opened:
    """Paths that Python opened, in order, to read or to make."""

    read: dict[str, None] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)

    def note(self, path: Any, flags: Any) -> None:
        """One opened file; whatever is no path is left out."""
        if not isinstance(path, str | bytes | os.PathLike):
            return
        name = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - called for every file that is opened
        if isinstance(flags, int) and flags & _MADE:
            self.made.add(name)
        elif name not in self.made:
            self.read[name] = None


_watching: list[Opened] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _watching:
        for opened in _watching:
            opened.note(arguments[0], arguments[2])


@cache
def _add_hook() -> None:
    """Once a process: a hook cannot be taken away again."""
    sys.addaudithook(_hook)


@contextmanager
def watched() -> Iterator[Opened]:
    """Inside, every file that Python opens is noted."""
    _add_hook()
    opened = Opened()
    _watching.append(opened)
    try:
        yield opened
    finally:
        _watching.remove(opened)


def outside(opened: Opened, inputs: Iterable[Path]) -> list[Path]:
    """Files that were read and are neither inputs (or in one) nor of the interpreter, its packages or the system."""
    roots = _roots(inputs)
    found = dict.fromkeys(Path(name).resolve() for name in opened.read if Path(name).is_file())
    rest = [path for path in found if path.suffix not in _CODE and not _is_metadata(path)]
    return [path for path in rest if not roots & {str(path), *map(str, path.parents)}]


def _is_metadata(path: Path) -> bool:
    """Whether a file describes a package of the import path, which need not lie where packages are installed."""
    folder = path.parent
    known = path.name in _METADATA and folder.suffix in (".egg-info", ".dist-info")
    return known and folder.parent in {Path(place).resolve() for place in sys.path}


def _roots(inputs: Iterable[Path]) -> set[str]:
    """Resolved places below which files may be read."""
    packages: tuple[str, ...] = (*site.getsitepackages(), site.getusersitepackages(), *sysconfig.get_paths().values())
    places: tuple[str | Path, ...] = (sys.prefix, sys.base_prefix, sys.exec_prefix, *packages, *_SYSTEM, *inputs)
    return {str(Path(place).resolve()) for place in places}


def opened_beside(opened: Opened, plan: Plan, spec: StageSpec) -> list[str]:
    """Names of the files that a stage opened while it trained and that are none of its inputs."""
    task, config, data = plan.task, plan.config, Workspace.find().data
    own = {path for split in (*task.read_by(spec), task.target_train) for path in task.files_of(split)}
    given = [*config.budget.recorded().values(), *([config.test_points_file] if config.test_points_file else [])]
    weights = [plan.assembly.weights.find(name) for name in (*plan.weights, config.source_checkpoint) if name]
    stores = [*{stage.folder.path.parent for stage in plan.stages}, *(file.parent for file in weights if file)]
    test = {path.resolve() for path in task.test_files - own}
    found = outside(opened, [*own, *given, *stores, *_code(plan)])
    return [name_of(path, data) + (OF_TEST if test & {path, *path.parents} else "") for path in found]


def _code(plan: Plan) -> Iterator[Path]:
    """Where dabench and the plugins lie."""
    yield Path(__file__).parents[1]
    for status in plan.assembly.registry.plugins.values():
        if status.location:
            yield home_of(Path(status.location))


def name_of(path: Path, data: Path) -> str:
    """What a record calls a file: its place below the data, else its digest alone. No path of this machine.

    Example:
        >>> name_of(Path("/data/lucchi/test.tif"), Path("/data"))
        'data/lucchi/test.tif'
    """
    if path.is_relative_to(data.resolve()):
        return f"data/{path.relative_to(data.resolve()).as_posix()}"
    size = path.stat().st_size
    return f"sha256:{digest_file(path)[:16]}" if size <= _DIGESTED else f"a file of {size:,} bytes"

"""Files that are never half-written, and never written over what a command reads."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dabench.errors import ConfigError, DataError


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` to write; it takes the real name only when the block ends well.

    A kill or a full disk at any moment leaves either the old file or the new one, never a part of it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb") as handle:
            os.fsync(handle.fileno())
        part.replace(path)
    except Exception as error:  # libraries have errors of their own for it
        if getattr(error, "errno", None) != errno.ENOSPC and "No space left" not in str(error):
            raise
        raise _disk_full(path, part) from error
    finally:
        part.unlink(missing_ok=True)


def _disk_full(path: Path, part: Path) -> DataError:
    written = part.stat().st_size if part.exists() else 0
    free = shutil.disk_usage(path.parent).free
    return DataError(
        f"{path}: the disk is full: {written / 1e6:,.1f} MB of it could be written, {free / 1e6:,.1f} MB are free.",
        "Free some space, then start the same command again to continue. What was finished is kept.",
    )


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, keys sorted."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, default=str) + "\n")


def write_with(path: Path, save: Callable[[Path], None]) -> None:
    """Let ``save`` write a file of any kind, atomically."""
    with atomic(path) as part:
        save(part)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file that may not be there, atomically."""
    if source.is_file():
        with atomic(target) as part:
            shutil.copyfile(source, part)


def protect(inputs: Iterable[Path | None], **outputs: Path | None) -> None:
    """Raises ConfigError for an output that is an input or holds one (``scan.h5`` holds ``scan.h5/raw``).

    Outputs are named by their options. However a path is written, neither ``..`` nor a link hides what it means.
    """
    places = [path.resolve() for path in inputs if path is not None]
    read = {place for path in places for place in (path, *path.parents)}
    for option, path in outputs.items():
        if path is not None and path.is_dir():
            raise ConfigError(f"--{option.replace('_', '-')} {path}: is a folder.", "Give the name of a file.")
        if path is not None and path.resolve() in read:
            raise ConfigError(f"--{option.replace('_', '-')} {path}: this is what is read.", "Choose another name.")

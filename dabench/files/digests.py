"""SHA-256 of files and of values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dabench.files.atomic import write_text


def digest_file(path: Path) -> str:
    """SHA-256 of a file."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def digest_of(value: Any) -> str:
    """SHA-256 of any JSON-like value, independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def write_digests(path: Path, files: Iterable[Path]) -> None:
    """Write the SHA-256 of files below the folder of ``path``, as ``sha256sum`` does (``sha256sum -c`` reads it)."""
    lines = [f"{digest_file(file)}  {file.relative_to(path.parent).as_posix()}\n" for file in files]
    write_text(path, "".join(lines))


def altered(path: Path) -> list[str]:
    """Files that `write_digests` listed and that are gone or other than they were; none where there is no list."""
    if not path.is_file():
        return []
    listed = [line.split("  ", 1) for line in path.read_text(encoding="utf-8").splitlines()]
    return [name for digest, name in listed if not _is(path.parent / name, digest)]


def _is(path: Path, digest: str) -> bool:
    return path.is_file() and digest_file(path) == digest

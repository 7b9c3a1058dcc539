"""Which files a run directory is made of, and which names may be trusted as places inside of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from dabench.tracking.record import HERE, ORIGIN

#: Not in the receipt: they change after it is written, or were not there yet.
OPEN = ("receipt.json", "journal.jsonl", ORIGIN)

_NAME = r"[A-Za-z0-9][A-Za-z0-9@+._-]*"
#: Everything that a bundle carries of a run: no weights, nothing that could run.
_BELONGS = re.compile(
    r"config\.json|environment\.json|receipt\.json|journal\.jsonl"
    rf"|scores\.parquet|per_slice/{_NAME}\.csv|curves/{_NAME}\.(jsonl|png)|panels/({_NAME}/)?{_NAME}\.(png|jpg)"
    rf"|annotation/({_NAME}/)?{_NAME}|predictions/{_NAME}\.(tif|csv)"
)
_CELL = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,199}")
_ORIGIN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,38}[A-Za-z0-9])?")


def outside(name: str) -> str:
    """Why a name may not be used as a path below a folder; "" where it may."""
    if not name or any(ord(c) < 32 or ord(c) == 127 for c in name):
        return "is empty or has control characters"
    if "\\" in name:
        return "has a backslash"
    if name.startswith("/"):
        return "is an absolute path"
    if re.match(r"[A-Za-z]:", name):
        return "has a drive letter"
    if any(part in ("", ".", "..") for part in name.split("/")):
        return "leads out of its folder"
    return ""


def belongs(name: str) -> bool:
    """Whether a file of this name, relative to its run directory, is part of a bundle."""
    return bool(_BELONGS.fullmatch(name))


def is_cell_id(text: str) -> bool:
    """Whether a cell's name is one plain folder name."""
    return bool(_CELL.fullmatch(text))


def is_origin(text: str) -> bool:
    """Whether a name of an origin is short and plain: letters, digits and ``. _ -`` between them, 40 at most."""
    return bool(_ORIGIN.fullmatch(text)) and text.lower() != HERE


def folder_of(cell_id: str, origin: str) -> str:
    """The run directory's name: the cell's, and beside it one for every origin."""
    return cell_id if origin == HERE else f"{cell_id}@{origin}"


def kept_files(run_dir: Path) -> Iterator[Path]:
    """Relative paths of everything in a run directory but folders, hidden files, stages and the origin."""
    for path in sorted(run_dir.rglob("*")):
        inside = path.relative_to(run_dir)
        hidden = path.name.startswith(".") or inside.parts[0] == "stages" or str(inside) == ORIGIN
        if not hidden and (path.is_symlink() or not path.is_dir()):
            yield inside

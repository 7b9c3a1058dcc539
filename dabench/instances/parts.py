"""Which part of a prediction is meant where a command is given the whole of it."""

from __future__ import annotations

from pathlib import Path

#: Label images inside an OME-Zarr that `dabench predict` writes, best first for who counts objects.
IDS, MASK = "labels/instances", "labels/mask"


def part_of(path: Path, *wanted: str) -> Path:
    """The first of these label images that lies inside an OME-Zarr, else the path itself (any other kind of file)."""
    inside = (path / name for name in wanted) if path.is_dir() else ()
    return next((part for part in inside if part.is_dir()), path)

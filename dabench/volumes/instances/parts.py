"""A prediction from outside: which part is meant where a command is given the whole, and where in the scan it lies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

#: Label images inside an OME-Zarr that `dabench predict` writes, best first for who counts objects.
IDS, MASK = "labels/instances", "labels/mask"


def part_of(path: Path, *wanted: str) -> Path:
    """The first of these label images that lies inside an OME-Zarr, else the path itself (any other kind of file)."""
    inside = (path / name for name in wanted) if path.is_dir() else ()
    return next((part for part in inside if part.is_dir()), path)


def first_slice(path: Path) -> int:
    """The slice of the scan that is slice 0 of a prediction: where its metadata put it, in slices."""
    try:
        steps = attributes(path)["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"]
        sizes: dict[str, Any] = {step["type"]: step[step["type"]][0] for step in steps}
        return max(0, round(float(sizes.get("translation", 0)) / float(sizes["scale"])))
    except (LookupError, TypeError, ValueError, ArithmeticError):
        return 0


def has_objects_of_model(path: Path) -> bool:
    """Whether the ids inside an OME-Zarr are a model's own objects, not the components of its mask."""
    about = attributes(path).get("dabench", {})
    return isinstance(about, dict) and about.get("objects_of") == "model"


def attributes(path: Path) -> dict[str, Any]:
    """Attributes of an OME-Zarr's root, {} where there are none."""
    try:
        found = json.loads((path / "zarr.json").read_text("utf-8")).get("attributes", {})
    except (OSError, ValueError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}

"""Points as prompts of a whole volume: read in voxels or nm, checked, sorted by slice."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dabench.errors import ConfigError, DataError

if TYPE_CHECKING:
    from dabench.components.registry import Registry
    from dabench.types import Array
    from dabench.volumes.prediction.request import Request, Voxel

Points = Mapping[int, "Array"]


def read_prompts(request: Request, registry: Registry, shape: tuple[int, int, int], voxel: Voxel | None) -> Points:
    """Points by slice of the scan, each ``(N, 2)`` float32 (x, y) in voxels.

    Args:
        request: names the file and the unit; a file with columns ``z_nm y_nm x_nm`` is in nm whatever the unit says.
        registry: has the weak label ``points``, which reads files in voxels.
        shape: of the scan.
        voxel: nm (z, y, x).

    Raises:
        DataError: the file is damaged or has no point, or a point lies outside the scan.
        ConfigError: positions in nm without a voxel size.
    """
    assert request.points is not None
    if request.points_unit == "nm" or _says_nm(request.points):
        if voxel is None:
            raise ConfigError(
                f"--points {request.points}: positions in nm need a voxel size, but the scan has none.",
                "Add --voxel z,y,x (nm).",
            )
        found = _read_nanometres(request.points, voxel)
    else:
        component = registry.get("weak_label", "points").component
        answers = component.factory(component.config()).read(request.points)
        found = {a.z: np.asarray(a.points, np.float32).reshape(-1, 2) for a in answers}
    if not any(map(len, found.values())):
        raise DataError(
            f"{request.points}: contains no point that can be a prompt.",
            "A file of points has columns z,y,x (or z_nm,y_nm,x_nm) and a line per point; negative clicks do not "
            "count.",
        )
    check_inside(str(request.points), found, shape)
    return found


def _says_nm(path: Path) -> bool:
    return {"z_nm", "y_nm", "x_nm"} <= {name for record in _records(path) for name in record}


def _records(path: Path) -> list[Mapping[str, Any]]:
    """The points of a CSV or JSON file, as they are written."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot read points: {error}") from None
    return _json_points(text) if path.suffix == ".json" else list(_table(text))


def _json_points(text: str) -> list[Mapping[str, Any]]:
    """Objects in the list of points; what else a file holds is for the weak label's reader to name."""
    try:
        content = json.loads(text)
    except json.JSONDecodeError:
        return []
    points = content.get("points") if isinstance(content, dict) else None
    return [point for point in points if isinstance(point, dict)] if isinstance(points, list) else []


def _table(text: str) -> csv.DictReader[str]:
    kept = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    separator = next((s for s in ";\t" if kept and s in kept[0]), ",")
    if separator != ",":  # of a spreadsheet that writes decimal commas
        kept = [line.replace(",", ".").replace(separator, ",") for line in kept]
    return csv.DictReader(kept, skipinitialspace=True)


def _read_nanometres(path: Path, voxel: Voxel) -> dict[int, Array]:
    """Position = voxel x size: 0 nm is the centre of the first voxel, as in OME-Zarr and napari."""
    found: dict[int, list[tuple[float, float]]] = {}
    for number, row in enumerate(_records(path), 1):
        names = [f"{axis}_nm" for axis in "zyx"] if "z_nm" in row else list("zyx")
        if (row.get("kind") or "").lower() in ("negative", "background"):  # a click on what is no object is no prompt
            continue
        try:
            z, y, x = (float(row[name]) / size for name, size in zip(names, voxel, strict=True))
            found.setdefault(round(z), []).append((x, y))
        except (KeyError, TypeError, ValueError, OverflowError):
            seen = ",".join(str(value) for value in row.values())
            raise DataError(
                f"{path}, point {number}: {seen!r} is not a position in nm.", f"Columns: {', '.join(names)}."
            ) from None
    return {z: np.asarray(xy, np.float32) for z, xy in sorted(found.items())}


def check_inside(name: str, points: Points, shape: tuple[int, int, int]) -> None:
    """Raises DataError for a point that is not finite or outside of a scan; ``name`` is what its points are called."""
    depth, height, width = shape
    for z, xy in points.items():
        if not (finite := np.isfinite(xy).all(axis=1)).all():
            x, y = xy[int(np.argmin(finite))]
            raise DataError(f"{name}: y={y:g}, x={x:g} on slice {z} is not a position.", "Delete that point.")
        fits = (xy >= -0.5).all(axis=1) & (xy < np.array([width, height]) - 0.5).all(axis=1)
        if not 0 <= z < depth or not fits.all():
            x, y = xy[0 if fits.all() else int(np.argmin(fits))]
            raise DataError(
                f"{name}: the point z={z}, y={y:g}, x={x:g} (voxels) lies outside the scan of {depth} slices of "
                f"{height} x {width}.",
                "Positions count from 0; for nm use columns z_nm,y_nm,x_nm or --points-unit nm.",
            )

"""Points as prompts of a whole volume: read in voxels or nm, checked, sorted by slice."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

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
        DataError: the file is damaged, or a point lies outside the scan.
        ConfigError: positions in nm without a voxel size.
    """
    assert request.points is not None
    if request.points_unit == "nm" or _says_nm(request.points):
        if voxel is None:
            raise ConfigError(
                f"--points {request.points}: positions in nm need a voxel size, and the scan has none.",
                "Add --voxel z,y,x (nm).",
            )
        found = _read_nanometres(request.points, voxel)
    else:
        component = registry.get("weak_label", "points").component
        answers = component.factory(component.config()).read(request.points)
        found = {a.z: np.asarray(a.points, np.float32).reshape(-1, 2) for a in answers}
    check_inside(str(request.points), found, shape)
    return found


def _says_nm(path: Path) -> bool:
    return {"z_nm", "y_nm", "x_nm"} <= set(_table(path).fieldnames or ())


def _table(path: Path) -> csv.DictReader[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot read points: {error}") from None
    kept = [line for line in lines if line.strip() and not line.startswith("#")]
    separator = next((s for s in ";\t" if kept and s in kept[0]), ",")
    if separator != ",":  # of a spreadsheet that writes decimal commas
        kept = [line.replace(",", ".").replace(separator, ",") for line in kept]
    return csv.DictReader(kept, skipinitialspace=True)


def _read_nanometres(path: Path, voxel: Voxel) -> dict[int, Array]:
    """Position = voxel x size: 0 nm is the centre of the first voxel, as in OME-Zarr and napari."""
    table, found = _table(path), dict[int, list[tuple[float, float]]]()
    names = [f"{axis}_nm" for axis in "zyx"] if "z_nm" in (table.fieldnames or ()) else list("zyx")
    for number, row in enumerate(table, 1):
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
    """Raises DataError for a point outside of a scan; ``name`` is what its points are called."""
    depth, height, width = shape
    for z, xy in points.items():
        fits = (xy >= -0.5).all(axis=1) & (xy < np.array([width, height]) - 0.5).all(axis=1)
        if not 0 <= z < depth or not fits.all():
            x, y = xy[0 if fits.all() else int(np.argmin(fits))]
            raise DataError(
                f"{name}: the point z={z}, y={y:g}, x={x:g} (voxels) lies outside the scan of {depth} slices of "
                f"{height} x {width}.",
                "Positions count from 0; for nm use columns z_nm,y_nm,x_nm or --points-unit nm.",
            )

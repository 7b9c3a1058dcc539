"""From sums to measures in nm, and to files."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dabench.files.atomic import atomic
from dabench.types import Array
from dabench.volumes.measuring.sums import Sums

Shape = tuple[int, int, int]
Voxel = tuple[float, float, float]
_AXES = "zyx"


@dataclass(frozen=True)
class Measures:
    """What was measured; every column says its unit.

    Args:
        objects: columns by name, one value per object (or, with ``dims`` 2, per profile on one slice).
        slices: columns by name, one value per slice.
        shape: of the volume.
        voxel: nm (z, y, x).
        dims: 3, or 2 for profiles.
    """

    objects: dict[str, Array] = field(repr=False)
    slices: dict[str, Array] = field(repr=False)
    shape: Shape
    voxel: Voxel
    dims: int

    @property
    def count(self) -> int:
        """Objects, or profiles."""
        return int(self.objects["id"].size)

    def summary(self) -> dict[str, Any]:
        """A few numbers: count, share of the volume, and quartiles of size and shape (None without objects)."""
        volume = math.prod(self.shape)
        size = "volume_nm3" if self.dims == 3 else "area_nm2"
        named = {name: quartiles(self.objects[name]) for name in (size, "length_nm", "elongation")}
        return {
            "dims": self.dims,
            "shape": list(self.shape),
            "voxel_nm": list(self.voxel),
            "objects": self.count,
            "touching_border": int(self.objects["touches_border"].sum()),
            "volume_fraction": int(self.objects["voxels"].sum()) / volume,
            "objects_per_um3": self.count / (volume * math.prod(self.voxel) * 1e-9),
            "objects_per_slice_mean": float(self.slices["objects"].mean()),
            **named,
        }

    def write_csv(self, path: Path) -> None:
        """Write the objects as CSV, atomically."""
        _write_csv(path, self.objects)

    def write_slices(self, path: Path) -> None:
        """Write the slices as CSV, atomically."""
        _write_csv(path, self.slices)

    def write_parquet(self, path: Path) -> None:
        """Write the objects as parquet, atomically, with shape and voxel size in its metadata."""
        import pyarrow
        from pyarrow import parquet

        about = {"dabench.voxel_nm": str(list(self.voxel)), "dabench.shape": str(list(self.shape))}
        table = pyarrow.table(self.objects).replace_schema_metadata(about)
        with atomic(path) as part:
            parquet.write_table(table, part)


def quartiles(values: Array) -> dict[str, float] | None:
    """Quartiles of some values; None of nothing."""
    if not values.size:
        return None
    low, middle, high = (float(q) for q in np.quantile(values, (0.25, 0.5, 0.75)))
    return {"median": middle, "q1": low, "q3": high}


def tabulate(sums: Sums, slices: dict[str, Array], shape: Shape, voxel: Voxel, dims: int, worth: float) -> Measures:
    """Turn sums into columns; ``worth`` is nm² (in 2-D nm) a step of surface."""
    mean, covariance = sums.central()
    axes = axis_lengths(covariance, voxel, dims)
    edge = np.array(shape) - 1
    used = slice(3 - dims, 3)
    border = ((sums.low == 0) | (sums.high == edge))[:, used].any(axis=1)
    shared = {
        "length_nm": axes[:, 0],
        "width_nm": axes[:, -1],
        "elongation": axes[:, 0] / axes[:, -1],
    }
    if dims == 3:
        columns = {"id": sums.keys[:, 1], **_solid(sums, voxel, worth), **shared}
        columns |= {"middle_nm": axes[:, 1], "flatness": axes[:, 1] / axes[:, 2]}
        columns |= {"slices": sums.high[:, 0] - sums.low[:, 0] + 1}
    else:
        columns = {"slice": sums.keys[:, 0], "id": sums.keys[:, 1], **_flat(sums, voxel, worth), **shared}
    columns |= _places(mean, sums, voxel) | {"touches_border": border}
    if dims == 2:
        order = np.lexsort((columns["id"], columns["slice"]))
        columns = {name: values[order] for name, values in columns.items()}
    return Measures(columns, slices, shape, voxel, dims)


def axis_lengths(covariance: Array, voxel: Voxel, dims: int) -> Array:
    """Axes in nm, longest first, of the ellipsoid (ellipse) with the moments of each object, ``(K, dims)``.

    A solid ellipsoid with semi-axis a has variance a² / 5 along it (an ellipse a² / 4). A voxel is a little box, not a
    point: it adds side² / 12 to each variance, which makes the moments of a box exact and keeps an object on a single
    slice from having no thickness.
    """
    used = slice(3 - dims, 3)
    sides = np.array(voxel)[used]
    moments = covariance[:, used, used] * np.outer(sides, sides) + np.diag(sides**2) / 12
    values = np.linalg.eigvalsh(moments)[:, ::-1]
    lengths: Array = 2 * np.sqrt((5 if dims == 3 else 4) * values)
    return lengths


def _solid(sums: Sums, voxel: Voxel, worth: float) -> dict[str, Array]:
    volume, surface = sums.voxels * math.prod(voxel), sums.surface * worth
    return {
        "voxels": sums.voxels,
        "volume_nm3": volume,
        "surface_nm2": surface,
        "sphericity": np.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / surface,
    }


def _flat(sums: Sums, voxel: Voxel, worth: float) -> dict[str, Array]:
    area, outline = sums.voxels * (voxel[1] * voxel[2]), sums.surface * worth
    return {
        "voxels": sums.voxels,
        "area_nm2": area,
        "perimeter_nm": outline,
        "circularity": 4 * np.pi * area / outline**2,
    }


def _places(mean: Array, sums: Sums, voxel: Voxel) -> dict[str, Array]:
    """Centroid (0 is the centre of the first voxel) and bounding box (outer faces in nm; first and last voxel)."""
    columns = {f"centroid_{a}_nm": mean[:, k] * voxel[k] for k, a in enumerate(_AXES)}
    for k, a in enumerate(_AXES):
        columns[f"bbox_{a}_min_nm"] = (sums.low[:, k] - 0.5) * voxel[k]
        columns[f"bbox_{a}_max_nm"] = (sums.high[:, k] + 0.5) * voxel[k]
    for k, a in enumerate(_AXES):
        columns[f"first_{a}"], columns[f"last_{a}"] = sums.low[:, k], sums.high[:, k]
    return columns


def _write_csv(path: Path, columns: Mapping[str, Array]) -> None:
    with atomic(path) as part, part.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(columns)
        writer.writerows(zip(*(_texts(values) for values in columns.values()), strict=True))


def _texts(values: Array) -> list[Any]:
    """Ten digits of a measure are more than it is worth, and all digits of a number that was counted."""
    if values.dtype.kind == "f":
        return [f"{value:.10g}" for value in values.tolist()]
    return list(values.astype(np.int64).tolist())

"""Metadata of OME-Zarr multiscales, versions 0.1 to 0.5: which array, which axes, how large a voxel of a level is.

Source: https://ngff.openmicroscopy.org, `multiscales` metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dabench.plugin import DataError
from dabench_readers.axes import Spatial
from dabench_readers.voxels import Voxel, scaled

#: Axes of versions 0.1 and 0.2, which do not name them.
_FIVE = ("t", "c", "z", "y", "x")
_MEND = "Mend the metadata, or give the array itself:  PATH/0"


@dataclass(frozen=True)
class Multiscale:
    """One level of a group's multiscale.

    Attributes:
        path: of the level's array below the group.
        axes: their names.
        sizes: of a voxel along each axis; () where they are not said.
        units: one an axis.
    """

    path: str
    axes: tuple[str, ...]
    sizes: tuple[Any, ...]
    units: tuple[str, ...]

    def check(self, shape: tuple[int, ...], where: Path) -> None:
        """Raises DataError for an array with another number of axes."""
        if len(self.axes) != len(shape):
            named = ", ".join(self.axes)
            raise DataError(f"{where}: {len(shape)} axes, its multiscale names {len(self.axes)} ({named}).", _MEND)

    def voxel(self, spatial: Spatial) -> Voxel:
        """Size along z, y, x."""
        if not self.sizes:
            return Voxel()
        return Voxel(spatial.of(self.sizes), spatial.of(self.units, self.units[spatial.at[1]]), "the multiscale")


def multiscale_of(
    attributes: Mapping[str, Any], where: Path, level: str | None = None, number: int = 0
) -> Multiscale | None:
    """A level of the multiscale that a group's attributes describe, None where they describe none.

    Args:
        attributes: of the group.
        where: its path, for errors.
        level: path of the array that is meant; by default the full resolution.
        number: which multiscale.

    Raises:
        DataError: the metadata are not what the specification says; names the key and the value.
    """
    ome = attributes.get("ome")
    found = (ome if isinstance(ome, Mapping) else attributes).get("multiscales")
    if found is None:
        return None
    try:
        levels = [(scale, one) for scale in found for one in scale["datasets"] if str(one["path"]).strip("/") == level]
        if level is not None:
            return _parse(*levels[0]) if levels else None
        return _parse(found[number], found[number]["datasets"][0])
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{where}: its `multiscales` metadata are not those of OME-Zarr: {type(error).__name__}: {error}.", _MEND
        ) from None


def _parse(scale: Mapping[str, Any], level: Mapping[str, Any]) -> Multiscale:
    axes = [_axis(axis) for axis in scale.get("axes", ())]
    names = tuple(name for name, _ in axes) or _FIVE
    sizes: tuple[Any, ...] = ()
    for steps in (level, scale):
        factors = _scale(steps.get("coordinateTransformations") or ())
        if factors and len(factors) != len(names):
            raise ValueError(f"a scale of {len(factors)} numbers for {len(names)} axes")
        sizes = scaled(Voxel(sizes), factors).sizes if sizes and factors else factors or sizes
    return Multiscale(str(level["path"]).strip("/"), names, sizes if axes else (), tuple(unit for _, unit in axes))


def _axis(axis: Any) -> tuple[str, str]:
    """Name and unit; versions before 0.4 name an axis by a letter alone."""
    if isinstance(axis, str):
        return axis, ""
    return str(axis["name"]), str(axis.get("unit") or "")


def _scale(steps: Any) -> tuple[Any, ...]:
    """Factors of the scale among a list of transformations, () without one."""
    return next((tuple(step["scale"]) for step in steps if step["type"] == "scale" and "scale" in step), ())

"""Metadata of OME-Zarr multiscales, versions 0.1 to 0.5: which array, which axes, how large a voxel is.

Source: https://ngff.openmicroscopy.org, `multiscales` metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dabench.plugin import DataError
from dabench_readers.voxels import Voxel, scaled

#: Axes of versions 0.1 and 0.2, which do not name them.
_FIVE = ("t", "c", "z", "y", "x")
_MEND = "Mend the metadata, or give the array itself:  PATH/0"


@dataclass(frozen=True)
class Multiscale:
    """The first multiscale of a group: ``path`` of its full resolution, names of its ``axes``, its ``voxel``."""

    path: str
    axes: tuple[str, ...]
    voxel: Voxel

    def check(self, shape: tuple[int, ...], where: Path) -> None:
        """Raises DataError for an array that is not one volume along these axes."""
        axes = self.axes or _FIVE
        if len(axes) != len(shape):
            raise DataError(f"{where}: {len(shape)} axes, its multiscale names {len(axes)} ({', '.join(axes)}).", _MEND)
        many = [f"{length} along {axis!r}" for axis, length in zip(axes, shape, strict=True) if _beside(axis, length)]
        if many:
            raise DataError(
                f"{where}: holds {' and '.join(many)} ({', '.join(axes)} = {shape}); a volume has z, y, x alone.",
                "Write one channel and one time point as a volume of its own.",
            )
        spatial = [axis for axis in axes if axis in ("x", "y", "z")]
        if spatial != ["z", "y", "x"]:
            raise DataError(
                f"{where}: its axes are {', '.join(axes)}, a volume has z, y, x in this order.",
                "Write it again with these axes.",
            )


def _beside(axis: str, length: int) -> bool:
    return axis not in ("x", "y", "z") and length != 1


def multiscale_of(attributes: Mapping[str, Any], where: Path) -> Multiscale | None:
    """The first multiscale that a group's attributes describe, None where they describe none.

    Raises:
        DataError: the metadata are not what the specification says; names the key and the value.
    """
    ome = attributes.get("ome")
    found = (ome if isinstance(ome, Mapping) else attributes).get("multiscales")
    if found is None:
        return None
    try:
        return _parse(found[0])
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{where}: its `multiscales` metadata are not those of OME-Zarr: {type(error).__name__}: {error}.", _MEND
        ) from None


def _parse(scale: Mapping[str, Any]) -> Multiscale:
    level = scale["datasets"][0]
    axes = [_axis(axis) for axis in scale.get("axes", ())]
    names = tuple(name for name, _ in axes) or _FIVE
    sizes: tuple[Any, ...] = ()
    for steps in (level, scale):
        factors = _scale(steps.get("coordinateTransformations") or ())
        if factors and len(factors) != len(names):
            raise ValueError(f"a scale of {len(factors)} numbers for {len(names)} axes")
        sizes = scaled(Voxel(sizes), factors).sizes if sizes and factors else factors or sizes
    if not axes or not sizes or [name for name in names if name in ("x", "y", "z")] != ["z", "y", "x"]:
        return Multiscale(str(level["path"]), names, Voxel())
    at = [names.index(axis) for axis in "zyx"]
    units = tuple(axes[i][1] for i in at)
    return Multiscale(str(level["path"]), names, Voxel(tuple(sizes[i] for i in at), units, "the multiscale"))


def _axis(axis: Any) -> tuple[str, str]:
    """Name and unit; versions before 0.4 name an axis by a letter alone."""
    if isinstance(axis, str):
        return axis, ""
    return str(axis["name"]), str(axis.get("unit") or "")


def _scale(steps: Any) -> tuple[Any, ...]:
    """Factors of the scale among a list of transformations, () without one."""
    return next((tuple(step["scale"]) for step in steps if step["type"] == "scale" and "scale" in step), ())

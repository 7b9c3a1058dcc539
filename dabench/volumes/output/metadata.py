"""The metadata of OME-Zarr 0.5 (https://ngff.openmicroscopy.org/0.5/)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dabench.volumes.output.layout import Layout, Voxel

VERSION = "0.5"
AXES = ("z", "y", "x")


def image(name: str, levels: Sequence[Layout], voxel: Voxel | None, first: int, reduced: str) -> dict[str, Any]:
    """The ``ome`` attribute of a multiscale image.

    Args:
        name: of the image.
        levels: of its pyramid.
        voxel: nm (z, y, x); None leaves the unit out.
        first: slice of the scan that is its slice 0.
        reduced: how coarser levels were made, in words.
    """
    unit = {} if voxel is None else {"unit": "nanometer"}
    axes = [{"name": axis, "type": "space", **unit} for axis in AXES]
    datasets = [
        {"path": str(number), "coordinateTransformations": _transformations(level, voxel or (1.0, 1.0, 1.0), first)}
        for number, level in enumerate(levels)
    ]
    return {
        "version": VERSION,
        "multiscales": [{"name": name, "axes": axes, "datasets": datasets, "type": reduced}],
    }


def label(name: str, levels: Sequence[Layout], voxel: Voxel | None, first: int) -> dict[str, Any]:
    """The ``ome`` attribute of a label image two folders below its image."""
    colours = [{"label-value": 0, "rgba": [0, 0, 0, 0]}]
    if name == "mask":
        colours.append({"label-value": 1, "rgba": [0, 200, 0, 255]})
    about = {"colors": colours, "source": {"image": "../../"}}
    return {**image(name, levels, voxel, first, "mode"), "image-label": about}


def label_list(names: Sequence[str]) -> dict[str, Any]:
    """The ``ome`` attribute of the group ``labels``."""
    return {"version": VERSION, "labels": list(names)}


def _transformations(level: Layout, voxel: Voxel, first: int) -> list[dict[str, Any]]:
    """Scale, then where the centre of the first voxel lies: a coarse voxel is the middle of those it is made of."""
    scale = [v * f for v, f in zip(voxel, level.factors, strict=True)]
    middle = [v * (f - 1) / 2 for v, f in zip(voxel, level.factors, strict=True)]
    middle[0] += first * voxel[0]
    return [{"type": "scale", "scale": scale}, {"type": "translation", "translation": middle}]

"""Volumes whose files say where they lie in space (NIfTI): labels are turned to their images, or refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dabench.errors import DataError
from dabench.interfaces import Placement

if TYPE_CHECKING:
    from dabench.types import Array

#: Voxels by which two volumes may lie apart and still be one.
_APART = 0.5
#: Difference of unit vectors along an axis up to which two volumes run in one direction.
_OBLIQUE = 0.02


def moved(placement: Placement, slices: int) -> Placement:
    """The placement of a volume without its first slices."""
    return _with_origin(placement, np.array([0, 0, slices, 1.0]))


def against(placement: Placement, other: Placement) -> tuple[int, ...]:
    """Axes of a volume (0: z, 1: y, 2: x) that run against those of another one."""
    along = np.sum(_directions(placement) * _directions(other), 0)
    return tuple(2 - axis for axis in (2, 1, 0) if along[axis] < 0)


def turned(placement: Placement, axes: tuple[int, ...], shape: tuple[int, int, int]) -> Placement:
    """The placement of a volume whose axes (0: z …) are read backwards."""
    sign, corner = np.ones(4), np.array([0, 0, 0, 1.0])
    for axis in axes:
        sign[2 - axis], corner[2 - axis] = -1, shape[axis] - 1
    found = _with_origin(placement, corner)
    return replace(found, affine=found.affine * sign)


def need_one_place(placement: Placement, other: Placement, name: str, other_name: str) -> None:
    """Raises DataError where two volumes that are to show the same do not lie at the same place, voxel for voxel.

    Each is measured in its own voxels: files with and without a unit can be compared.
    """
    if np.abs(_directions(placement) - _directions(other)).max() > _OBLIQUE:
        raise _apart(name, other_name, "their axes run in other directions")
    here, there = _origin(placement), _origin(other)
    if (np.abs(here - there) > _APART + 1e-5 * np.abs(there)).any():
        z, y, x = (here - there)[::-1]
        raise _apart(name, other_name, f"they lie {z:.4g}, {y:.4g}, {x:.4g} voxels (z, y, x) apart")


def _apart(name: str, other: str, why: str) -> DataError:
    return DataError(
        f"{name}: its affine and that of {other} say that they are not one place: {why}.",
        f"Write one with the affine of the other, or leave it aside where voxels count alike:  {name}/axes=xyz",
    )


def _directions(placement: Placement) -> Array:
    """Unit vectors along x, y, z as columns."""
    columns = placement.affine[:3, :3]
    found: Array = columns / np.linalg.norm(columns, axis=0)
    return found


def _origin(placement: Placement) -> Array:
    """Voxel (x, y, z) at which the origin of space lies, with a minus."""
    found: Array = np.linalg.solve(placement.affine[:3, :3], placement.affine[:3, 3])
    return found


def _with_origin(placement: Placement, voxel: Array) -> Placement:
    affine = placement.affine.copy()
    affine[:, 3] = placement.affine @ voxel
    return replace(placement, affine=affine)

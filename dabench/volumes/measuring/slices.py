"""Counts on every slice: how many objects it cuts, and how much of it they cover."""

from __future__ import annotations

import numpy as np

from dabench.ops.joining import distinct
from dabench.types import Array
from dabench.volumes.measuring.sums import Sums

Shape = tuple[int, int, int]
Voxel = tuple[float, float, float]


class SliceCounter:
    """Counts objects a slice from boxes in z, y, x order; an object in several boxes of a slice counts once."""

    def __init__(self, shape: Shape) -> None:
        """For a volume of this shape."""
        self._shape = shape
        self._objects = np.zeros(shape[0], np.int64)
        self._voxels = np.zeros(shape[0], np.int64)
        self._layer: list[Array] = []
        self._first = 0

    def add(self, cuts: Sums, first: int) -> None:
        """Take the cuts, by (slice, id), of one box whose first slice is ``first``."""
        if first != self._first:
            self._close()
            self._first = first
        self._layer.append(cuts.keys)
        np.add.at(self._voxels, cuts.keys[:, 0], cuts.voxels)

    def table(self, voxel: Voxel) -> dict[str, Array]:
        """Columns by name: slice, its place, objects, area and area fraction, and objects a square micrometre."""
        self._close()
        depth, height, width = self._shape
        area = height * width * voxel[1] * voxel[2]
        return {
            "slice": np.arange(depth),
            "z_nm": np.arange(depth) * voxel[0],
            "objects": self._objects.copy(),
            "objects_per_um2": self._objects / (area * 1e-6),
            "area_nm2": self._voxels * (voxel[1] * voxel[2]),
            "area_fraction": self._voxels / (height * width),
        }

    def _close(self) -> None:
        """Count the objects of a layer of boxes once all of them have come."""
        if self._layer:
            slices = distinct(np.concatenate(self._layer))[:, 0]
            self._objects += np.bincount(slices, minlength=self._objects.size)
        self._layer = []

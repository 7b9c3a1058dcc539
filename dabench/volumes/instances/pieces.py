"""Pieces: the objects of one box on their own, and what must be kept of them to join them with their neighbours."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import cc3d
import numpy as np

from dabench.errors import DataError
from dabench.files.atomic import atomic, write_json
from dabench.ops.joining import touching
from dabench.ops.run_lengths import runs_of
from dabench.types import Array, Block
from dabench.volumes.instances.settings import Labelling, Offset

_AXES = "zyx"


@dataclass(frozen=True)
class Pieces:
    """N objects of one box.

    Args:
        sizes: ``(N,)`` int64, voxels of each.
        first: ``(N,)`` int64, raster index in the volume of the first voxel of each.
        check: CRC of the mask, so that a mask that changed between two readings is noticed.
        faces: ids (1..N) on the six sides: ``z0``, ``z1`` are ``(H, W)``, ``y0``, ``y1`` ``(Z, W)`` and ``x0``, ``x1``
            ``(Z, H)``.
    """

    sizes: Array
    first: Array
    check: int
    faces: dict[str, Array] = field(repr=False)


def binary_box(values: Array, where: Block) -> Array:
    """Foreground of a box as uint8 0 and 1, in C order. Raises DataError for floating point."""
    if values.dtype.kind not in "bui":
        raise DataError(
            f"a mask must hold whole numbers (0 is background), slices {where.z} to {where.z + where.depth - 1} hold "
            f"{values.dtype}.",
            "Threshold a probability first; dabench predict also writes a mask.",
        )
    # As uint8, never bool: cc3d labels background at the odd edges of boolean images (see dabench.ops.components).
    return np.ascontiguousarray(values != 0).view(np.uint8)


def label_box(binary: Array, settings: Labelling) -> Array:
    """Ids 1..N of the objects of one box, ``(Z, H, W)`` uint32; N follows from the largest."""
    if not binary.any():
        return np.zeros(binary.shape, np.uint32)
    if settings.dims == 3:
        return _components(binary, settings.connectivity)
    ids, count = np.zeros(binary.shape, np.uint32), 0
    for z in np.flatnonzero(binary.any(axis=(1, 2))):
        own = _components(binary[z], settings.connectivity)
        ids[z] = np.where(own, own + np.uint32(count), 0)
        count += int(own.max())
    return ids


def _components(binary: Array, connectivity: int) -> Array:
    ids: Array = cc3d.connected_components(binary, connectivity=cast(Any, connectivity), out_dtype=np.uint32)
    return ids


def pieces_of(binary: Array, block: Block, settings: Labelling) -> Pieces:
    """Label a box and keep what joining needs."""
    ids = label_box(binary, settings)
    runs = runs_of(ids)
    count = int(runs.ids.max(initial=0))
    sizes = np.bincount(runs.ids, runs.length, count + 1)[1:].astype(np.int64)
    first = np.zeros(count + 1, np.int64)
    first[runs.ids[::-1]] = runs.first[::-1]
    z, y, x = np.unravel_index(first[1:], block.shape)
    _, height, width = settings.shape
    place = ((z + block.z) * height + y + block.y) * width + x + block.x
    small = ids.astype(np.min_scalar_type(count), copy=False)
    faces = {f"{name}{end}": small.take(-end, axis).copy() for axis, name in enumerate(_AXES) for end in (0, 1)}
    return Pieces(sizes, place, checksum(binary), faces)


def checksum(binary: Array) -> int:
    """CRC-32 of a box of the mask."""
    return zlib.crc32(binary.data)


def contacts(face: Callable[[int, str], Array], one: int, other: int, direction: Offset, settings: Labelling) -> Array:
    """Pairs of pieces that touch where box ``other`` lies in ``direction`` of box ``one``, ``(K, 2)`` int64.

    ``face(box, name)`` gives the ids on one side of a box. Boxes meet in a plane, a line or a voxel, and every axis on
    which the boxes lie apart uses up one of the axes on which two neighbours may differ.
    """
    axis = next(axis for axis, step in enumerate(direction) if step)
    rest = [step for other_axis, step in enumerate(direction) if other_axis != axis]
    near, far = (tuple(_side(step, of) for step in rest) for of in (0, 1))
    apart = sum(map(abs, direction))
    sides = face(one, f"{_AXES[axis]}1")[near], face(other, f"{_AXES[axis]}0")[far]
    rows_are_slices = axis != 0
    rows = settings.dims == 3 or not rows_are_slices
    return touching(runs_of(sides[0]), runs_of(sides[1]), settings.reach - apart, rows=rows)


def _side(step: int, of: int) -> slice:
    """Where a face is cut: everywhere, or the line at which the nearer (0) or the farther (1) box has its end."""
    if step == 0:
        return slice(None)
    return slice(-1, None) if (step > 0) != bool(of) else slice(0, 1)


class PieceStore:
    """Pieces of every box as files in a scratch folder, so that a killed run can continue."""

    def __init__(self, folder: Path, settings: Labelling) -> None:
        """Use a folder, new or left by a run with the same settings. Raises DataError for any other."""
        self.folder = folder
        path = folder / "labelling.json"
        if path.is_file():
            self._check(path, settings)
        else:
            write_json(path, settings.as_json())

    def has(self, box: int) -> bool:
        """Whether a box is done."""
        return self._path(box).is_file()

    def save(self, box: int, pieces: Pieces) -> None:
        """Keep the pieces of a box, atomically."""
        with atomic(self._path(box)) as part, part.open("wb") as handle:
            arrays: dict[str, Any] = {"sizes": pieces.sizes, "first": pieces.first, **pieces.faces}
            np.savez_compressed(handle, check=np.uint32(pieces.check), **arrays)

    def read(self, box: int, name: str) -> Array:
        """One array of a box: ``sizes``, ``first``, ``check`` or a face."""
        with np.load(self._path(box)) as kept:
            values: Array = kept[name]
        return values

    def _path(self, box: int) -> Path:
        return self.folder / f"{box:08d}.npz"

    def _check(self, path: Path, settings: Labelling) -> None:
        found = json.loads(path.read_text())
        if found != settings.as_json():
            raise DataError(
                f"{self.folder} holds intermediate results of another labelling ({found}, not {settings.as_json()}).",
                f"Remove it to start again:  rm -r {self.folder}",
            )

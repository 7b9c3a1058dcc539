"""What decides which voxels make an object: dimensions, neighbours, the smallest size, and the boxes it is done in."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import product
from typing import Any

from dabench.errors import ConfigError
from dabench.ops.joining import REACH

Shape = tuple[int, int, int]
Offset = tuple[int, int, int]
#: Voxels of a box where nothing else decides: some 16 MB of mask and 64 MB of ids.
BOX_VOXELS = 2**24
_NEIGHBOURS = {2: (8, 4), 3: (26, 18, 6)}
_SIZE = re.compile(r"([0-9.]+(?:e[+-]?[0-9]+)?)\s*(px|nm2|nm3)", re.IGNORECASE)


@dataclass(frozen=True)
class Labelling:
    """How a mask becomes objects.

    Args:
        shape: of the volume, (slices, rows, columns).
        dims: 3: objects go through slices; 2: every slice on its own.
        chunk: box that is labelled at once; the result does not depend on it.
        connectivity: neighbours of a voxel: 26 (default), 18 or 6 in 3-D, 8 (default) or 4 in 2-D.

    Raises:
        ConfigError: a number that is none of these.
    """

    shape: Shape
    dims: int
    chunk: Shape
    connectivity: int

    @classmethod
    def of(cls, shape: Shape, dims: int, chunk: Shape, connectivity: int | None = None) -> Labelling:
        """Check the numbers; no connectivity means the usual one."""
        if dims not in _NEIGHBOURS:
            raise ConfigError(f"objects in {dims} dimensions: choose 2 (each slice separately) or 3.")
        allowed = _NEIGHBOURS[dims]
        if connectivity is not None and connectivity not in allowed:
            raise ConfigError(f"{connectivity} neighbours in {dims}-D: choose one of {', '.join(map(str, allowed))}.")
        if min(chunk) < 1:
            raise ConfigError(f"boxes of {chunk} voxels: every side must be at least 1.")
        chunk = (min(chunk[0], shape[0]), min(chunk[1], shape[1]), min(chunk[2], shape[2]))
        return cls(shape, dims, chunk, connectivity or allowed[0])

    @property
    def reach(self) -> int:
        """Along how many axes at once two neighbours may differ."""
        return REACH[self.connectivity]

    @property
    def grid(self) -> Shape:
        """Boxes along z, y and x."""
        z, y, x = (-(-length // step) for length, step in zip(self.shape, self.chunk, strict=True))
        return z, y, x

    def directions(self) -> list[Offset]:
        """Where neighbouring boxes lie whose voxels may touch, each pair of boxes once."""
        depth = (0, 1) if self.dims == 3 else (0,)
        offsets = [(z, y, x) for z, y, x in product(depth, (-1, 0, 1), (-1, 0, 1)) if (z, y, x) > (0, 0, 0)]
        return [d for d in offsets if sum(map(abs, d)) <= self.reach]

    def as_json(self) -> dict[str, Any]:
        """For a file beside intermediate results, which fit no other labelling."""
        return {
            "shape": list(self.shape),
            "dims": self.dims,
            "chunk": list(self.chunk),
            "connectivity": self.connectivity,
        }


def default_chunk(chunks: Shape, shape: Shape, target: int = BOX_VOXELS) -> Shape:
    """A box of about ``target`` voxels made of whole stored chunks, so that none is decoded twice.

    The shortest side that is not yet the volume's is doubled until the box is large enough.
    """
    box = [min(step, length) for step, length in zip(chunks, shape, strict=True)]
    while math.prod(box) * 2 <= target:
        open_sides = [axis for axis in range(3) if box[axis] < shape[axis]]
        if not open_sides:
            break
        axis = min(open_sides, key=lambda side: box[side])
        box[axis] = min(2 * box[axis], shape[axis])
    return box[0], box[1], box[2]


def least_voxels(text: str, voxel: tuple[float, float, float] | None, dims: int) -> int:
    """The least number of voxels of an object that is kept, from ``15px``, ``5e5nm3`` or, in 2-D, ``900nm2``.

    An object is kept if it is at least that large: ``least_voxels("16px", None, 2)`` is the published rule that drops
    15 pixels and fewer.

    Raises:
        ConfigError: the text cannot be read, or a size in nm without a voxel size.
    """
    return math.ceil(_in_voxels(text, voxel, dims, -1))


def most_voxels(text: str, voxel: tuple[float, float, float] | None, dims: int) -> int:
    """The largest number of voxels of an object that is kept; written and refused as in `least_voxels`."""
    return math.floor(_in_voxels(text, voxel, dims, +1))


def _in_voxels(text: str, voxel: tuple[float, float, float] | None, dims: int, side: int) -> float:
    """A size in voxels; one in nm a hair to that side, so that exactly n voxels are n after rounding errors."""
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise ConfigError(f"size {text!r}: write a number and its unit, for example 15px, 5e5nm3 or (2-D) 900nm2.")
    try:
        number, unit = float(found[1]), found[2].lower()
    except ValueError:
        raise ConfigError(f"size {text!r}: {found[1]!r} is not a number.") from None
    if not math.isfinite(number):
        raise ConfigError(f"size {text!r}: too large a number.")
    if unit == "px":
        return number
    if unit != f"nm{dims}":
        raise ConfigError(f"size {text!r}: objects in {dims}-D have a size in nm{dims} or px.")
    if voxel is None:
        raise ConfigError(f"size {text!r} needs a voxel size, and the file has none.", "Add --voxel z,y,x (nm).")
    return number / math.prod(voxel[3 - dims :]) * (1 + side * 1e-12)

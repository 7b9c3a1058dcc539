"""How a volume lies in its files: boxes that are compressed together, boxes that are one file, and pyramid levels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

Shape = tuple[int, int, int]
Voxel = tuple[float, float, float]

#: Sides of the box that is compressed together, at most: what a viewer loads for a look.
INNER = (16, 256, 256)
#: Side of the box that is one file, at most.
OUTER = 2048
#: A pyramid ends when a slice is not larger than this.
SMALLEST = 256


@dataclass(frozen=True)
class Layout:
    """One level of a volume.

    Attributes:
        shape: (slices, rows, columns).
        chunks: the box that is compressed together.
        shards: the box that is one file, a multiple of ``chunks``.
        factors: how much coarser than the finest level it is along each axis.
    """

    shape: Shape
    chunks: Shape
    shards: Shape
    factors: Shape = (1, 1, 1)


def layout(shape: Shape, block: Shape) -> Layout:
    """Files for a volume that is written in boxes of ``block``: none of them is shared by two boxes.

    Args:
        shape: of the volume.
        block: a side shorter than the volume's has to be a multiple of `granule`, or files are written twice.
    """
    depth = granule(block)[0]
    plane = [_side(n, inner, size) for n, inner, size in zip(shape[1:], INNER[1:], block[1:], strict=True)]
    (y, outer_y), (x, outer_x) = plane
    return Layout(shape, (depth, y, x), (depth, outer_y, outer_x))


def granule(block: Shape) -> Shape:
    """What the sides of a box that is written should be multiples of, unless they are the volume's."""
    depth = block[0] if block[0] <= INNER[0] else INNER[0]
    return depth, INNER[1], INNER[2]


def _side(length: int, inner: int, block: int) -> tuple[int, int]:
    """Sides of what is compressed together and of a file along one axis of the plane."""
    inner = min(inner, length)
    outer = inner * math.ceil(min(length, OUTER) / inner)
    if block < length and block % outer:
        # The largest file side that ends where the box does.
        outer = inner * max((n for n in range(1, outer // inner + 1) if block % (inner * n) == 0), default=1)
    return inner, outer


def pyramid(first: Layout, voxel: Voxel | None) -> list[Layout]:
    """The levels of a volume, the finest first.

    Rows and columns are halved until a slice is small; slices join in once they are not farther apart than rows, so
    that coarse voxels become cubes.
    """
    levels, (z, y, _) = [first], voxel or (1.0, 1.0, 1.0)
    while max(levels[-1].shape[1:]) > SMALLEST:
        last = levels[-1]
        fz, fy, fx = last.factors
        step = (2 if z * fz <= y * fy and last.shape[0] > 1 else 1, 2, 2)
        factors = (fz * step[0], fy * step[1], fx * step[2])
        shape = tuple(math.ceil(n / f) for n, f in zip(first.shape, factors, strict=True))
        level = layout((shape[0], shape[1], shape[2]), (first.chunks[0], shape[1], shape[2]))
        chunks, shards = level.chunks, level.shards
        shards = (shards[0], _at_most(shards[1], chunks[1]), _at_most(shards[2], chunks[2]))
        levels.append(replace(level, shards=shards, factors=factors))
    return levels


def _at_most(outer: int, inner: int) -> int:
    """Coarse levels have smaller files: making one reads two to eight times as many voxels of the finer level."""
    return min(outer, inner * max(1, OUTER // 2 // inner))

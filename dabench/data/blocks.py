"""Boxes of volumes: any volume can be read by box and cut into a grid of boxes, however its file is laid out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from dabench.interfaces import BlockVolume
from dabench.types import Block

if TYPE_CHECKING:
    from dabench.interfaces import Volume
    from dabench.types import Array

Shape = tuple[int, int, int]


def read_block(volume: Volume, block: Block) -> Array:
    """A box of any volume, ``(depth, height, width)`` in the volume's type.

    A volume that cannot be read by box is read slice by slice, one slice in memory at a time.

    Raises:
        IndexError: the box leaves the volume.
        DataError: the file is damaged there.
    """
    if not _inside(block, volume.shape):
        raise IndexError(f"{block} leaves a volume of {volume.shape} (slices, rows, columns)")
    if isinstance(volume, BlockVolume):
        return volume.read_block(block)
    return np.stack([volume.read(z)[block.window.slices] for z in range(block.z, block.z + block.depth)])


def chunks_of(volume: Volume) -> Shape:
    """What is stored together in a volume's file; one slice where it does not say."""
    return volume.chunks if isinstance(volume, BlockVolume) else (1, *volume.shape[1:])


def voxel_of(volume: Volume) -> tuple[float, float, float] | None:
    """Voxel size in nm (z, y, x) as the file says it, or None."""
    voxel: tuple[float, float, float] | None = getattr(volume, "voxel", None)
    return voxel


def block_grid(shape: Shape, chunk: Shape) -> Iterator[Block]:
    """Boxes of at most ``chunk`` that cover a volume, in z, y, x order; the last along an axis may be smaller."""
    for z, y, x in product(*(range(0, length, step) for length, step in zip(shape, chunk, strict=True))):
        sizes = (min(step, length - at) for at, step, length in zip((z, y, x), chunk, shape, strict=True))
        yield Block(z, y, x, *sizes)


def _inside(block: Block, shape: Shape) -> bool:
    starts, sizes = (block.z, block.y, block.x), block.shape
    return all(a >= 0 and n >= 1 and a + n <= length for a, n, length in zip(starts, sizes, shape, strict=True))

"""Boxes of volumes: any volume can be read by box and cut into a grid of boxes, however its file is laid out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from dabench.interfaces import BlockVolume
from dabench.types import Block

if TYPE_CHECKING:
    from dabench.interfaces import Placement, Volume
    from dabench.types import Array

Shape = tuple[int, int, int]
#: Most bytes that a walk through a volume holds at once, where the file's chunks allow it.
_SLAB_BYTES = 64 * 2**20


def read_block(volume: Volume, block: Block) -> Array:
    """A box of any volume, ``(depth, height, width)`` in the volume's type.

    A volume that cannot be read by box is read slice by slice, one slice in memory at a time.

    Raises:
        IndexError: the box leaves the volume.
        DataError: the file is damaged there.
    """
    check_inside(block, volume.shape)
    if isinstance(volume, BlockVolume):
        return volume.read_block(block)
    return read_by_slice(volume, block)


def read_by_slice(volume: Volume, block: Block) -> Array:
    """The same from whole slices, which a cache of slices may keep."""
    return np.stack([volume.read(z)[block.window.slices] for z in range(block.z, block.z + block.depth)])


def chunks_of(volume: Volume) -> Shape:
    """What is stored together in a volume's file; one slice where it does not say."""
    return volume.chunks if isinstance(volume, BlockVolume) else (1, *volume.shape[1:])


def voxel_of(volume: Volume) -> tuple[float, float, float] | None:
    """Voxel size in nm (z, y, x) as the file says it, or None.

    Raises:
        DataError: the file says it in a way that means nothing (an unknown unit, a size of 0).
    """
    voxel: tuple[float, float, float] | None = getattr(volume, "voxel", None)
    return voxel


def placement_of(volume: Volume) -> Placement | None:
    """Where a volume's file says that it lies in space, or None."""
    placement: Placement | None = getattr(volume, "placement", None)
    return placement


def provenance_of(volume: Volume) -> Mapping[str, Any]:
    """What dabench noted in a volume's file of how it made it; nothing for the files of others."""
    noted: Mapping[str, Any] = getattr(volume, "provenance", {})
    return noted


def layout_of(volume: Volume) -> str:
    """How a volume's stored axes were understood, in words."""
    return str(getattr(volume, "layout", "z, y, x"))


def white_is_zero(volume: Volume) -> bool:
    """Whether a volume's file says that its small values are the bright ones."""
    return bool(getattr(volume, "white_is_zero", False))


def block_grid(shape: Shape, chunk: Shape) -> Iterator[Block]:
    """Boxes of at most ``chunk`` that cover a volume, in z, y, x order; the last along an axis may be smaller."""
    for z, y, x in product(*(range(0, length, step) for length, step in zip(shape, chunk, strict=True))):
        sizes = (min(step, length - at) for at, step, length in zip((z, y, x), chunk, shape, strict=True))
        yield Block(z, y, x, *sizes)


def slabs(volume: Volume, itemsize: int | None = None) -> Iterator[Block]:
    """Boxes of full width that cover a volume along its chunks: each stored value is decoded once, memory is bounded.

    A box has at most 64 MiB (of ``itemsize`` bytes per voxel, default the stored type's) or one row of chunks, of which
    one that is larger than 256 MiB is cut along z.
    """
    depth, rows, _ = chunks_of(volume)
    plane_bytes = volume.shape[2] * (itemsize or volume.dtype.itemsize)
    depth = min(depth, max(1, 4 * _SLAB_BYTES // (plane_bytes * rows)))
    row_bytes = plane_bytes * depth
    band = max(1, _SLAB_BYTES // max(1, row_bytes * rows)) * rows
    return block_grid(volume.shape, (depth, min(band, volume.shape[1]), volume.shape[2]))


def check_inside(block: Block, shape: Shape) -> None:
    """Raises IndexError for a box that leaves a volume of this shape or holds nothing."""
    starts = (block.z, block.y, block.x)
    if not all(a >= 0 and n >= 1 and a + n <= length for a, n, length in zip(starts, block.shape, shape, strict=True)):
        raise IndexError(f"{block} leaves a volume of {shape} (slices, rows, columns)")

"""Objects of every slice, a model's or a mask's that was split, joined to objects of a volume."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from dabench.data.blocks import block_grid, check_inside, read_block, read_by_slice
from dabench.data.volumes import Converted, Wrapper
from dabench.interfaces.observer import Observer, Progress
from dabench.ops.joining import SliceLinks
from dabench.ops.splitting import split_touching
from dabench.types import Array, Block
from dabench.volumes.instances.pieces import binary_box

if TYPE_CHECKING:
    from dabench.interfaces import Volume
    from dabench.volumes.output.blocks import ZarrBlocks


class SplitSlices(Wrapper):
    """A mask seen as objects of each slice, touching ones apart (`split_touching`); made again when it is read."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of ids 1..N of every slice."""
        return np.dtype(np.int32)

    @property
    def chunks(self) -> tuple[int, int, int]:
        """A slice: a part of it costs as much."""
        return 1, *self.shape[1:]

    def read(self, z: int) -> Array:
        """Slice ``z``. Raises DataError for a mask of floating point."""
        block = Block(z, 0, 0, 1, *self.shape[1:])
        return split_touching(binary_box(read_block(self.volume, block), block)[0].astype(bool))

    def read_block(self, block: Block) -> Array:
        """A box, from whole slices."""
        check_inside(block, self.shape)
        return read_by_slice(self, block)


class LinkedVolume(Converted):
    """Objects of slices seen as objects of the volume; reads all of it once, for their names."""

    def __init__(self, slices: Volume, dims: int, min_voxels: int, progress: Progress | None = None) -> None:
        """See `link_volume`; the progress is that of the first reading."""
        super().__init__(slices)
        boxes, tell = block_grid(slices.shape, (1, *slices.shape[1:])), progress or Observer().progress("instances")
        self._numbers = _numbers(slices, boxes, dims, min_voxels, lambda z: tell(z, slices.shape[0]))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the ids."""
        return np.dtype(np.uint32)

    def convert(self, raw: Array, block: Block) -> Array:
        """Ids of a box."""
        return np.stack([self._numbers[block.z + k][ids] for k, ids in enumerate(raw)])


def link_volume(slices: Volume, sink: ZarrBlocks, dims: int, min_voxels: int, progress: Progress | None = None) -> int:
    """Write the ids of all objects of a volume.

    Args:
        slices: whole numbers, the objects of every slice numbered on its own from 1, 0 = background.
        sink: takes uint32.
        dims: 3: objects go through slices (`dabench.ops.joining.SliceLinks`); 2: every slice on its own.
        min_voxels: objects with fewer voxels than this are dropped.
        progress: called with (slices done, slices in all); every slice counts twice, read and written.

    Returns:
        The number of objects; their ids are 1..N, in the order of their first slices and of the ids there.
    """
    depth, boxes = slices.shape[0], list(block_grid(slices.shape, (sink.shards[0], *slices.shape[1:])))
    tell = progress or Observer().progress("instances")
    numbers = _numbers(slices, boxes, dims, min_voxels, lambda z: tell(z, 2 * depth))
    for block in boxes:
        own = read_block(slices, block)
        sink.write_block(block, np.stack([numbers[block.z + k][ids] for k, ids in enumerate(own)]))
        tell(depth + block.z + block.depth, 2 * depth)
    return max(int(own.max(initial=0)) for own in numbers)


def _numbers(
    slices: Volume, boxes: Iterable[Block], dims: int, min_voxels: int, tell: Callable[[int], object]
) -> list[Array]:
    """What the objects of each slice are called in the volume: for every slice ``(N + 1,)`` uint32, 0 if dropped."""
    links, names, sizes = SliceLinks(), list[Array](), list[Array]()
    for block in boxes:
        for ids in read_block(slices, block):
            links = links if dims == 3 else SliceLinks(links.count)
            names.append(links.names(ids))
            sizes.append(np.bincount(ids.ravel())[1:])
        tell(len(names))
    total = np.bincount(np.concatenate([n[1:] for n in names]), np.concatenate(sizes), links.count + 1)
    kept = total >= max(1, min_voxels)
    numbers = np.where(kept, np.cumsum(kept), 0).astype(np.uint32)
    return [numbers[own] for own in names]

"""Objects that a model made on every slice, joined to objects of a volume, one box of whole slices in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dabench.data.blocks import block_grid
from dabench.ops.joining import SliceLinks
from dabench.types import Array

if TYPE_CHECKING:
    from dabench.interfaces.observer import Progress
    from dabench.volumes.output.blocks import ZarrBlocks


def link_volume(
    slices: ZarrBlocks, sink: ZarrBlocks, dims: int, min_voxels: int, progress: Progress | None = None
) -> int:
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
    links, names, sizes = SliceLinks(), list[Array](), list[Array]()
    for block in boxes:
        for ids in slices.read_block(block):
            links = links if dims == 3 else SliceLinks(links.count)
            names.append(links.names(ids))
            sizes.append(np.bincount(ids.ravel())[1:])
        if progress:
            progress(len(names), 2 * depth)
    total = np.bincount(np.concatenate([n[1:] for n in names]), np.concatenate(sizes), links.count + 1)
    kept = total >= max(1, min_voxels)
    numbers = np.where(kept, np.cumsum(kept), 0).astype(np.uint32)
    for block in boxes:
        own = slices.read_block(block)
        sink.write_block(block, np.stack([numbers[names[block.z + k]][ids] for k, ids in enumerate(own)]))
        if progress:
            progress(depth + block.z + block.depth, 2 * depth)
    return int(kept.sum())

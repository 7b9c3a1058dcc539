"""Boxes of a volume together with the voxels just before them, though every voxel is read once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from dabench.data.blocks import block_grid, read_block
from dabench.types import Array, Block

if TYPE_CHECKING:
    from dabench.interfaces import Volume

Shape = tuple[int, int, int]


def boxes_with_halo(volume: Volume, chunk: Shape) -> Iterator[tuple[Block, Array]]:
    """The boxes of a volume in z, y, x order, each with one layer before it.

    In memory beside the box: the last slice of the layer of boxes before and of this one, the last row of the row of
    boxes before and of this one, and the last column of the box before.

    Yields:
        (box, ids): ``(depth + 1, height + 1, width + 1)``, where index 0 of an axis is the layer before the box; 0
        outside the volume. A box that ends with the volume has one layer of zeros behind it too, so that all 2 x 2 x 2
        cells of the volume and its rim occur exactly once over all boxes.
    """
    _, height, width = volume.shape
    below, floor = (np.zeros((height + 1, width + 1), volume.dtype) for _ in range(2))
    before = wall = beside = np.zeros(0, volume.dtype)
    for block in block_grid(volume.shape, chunk):
        if block.y == 0 and block.x == 0:
            below, floor = floor, below
            before, wall = (np.zeros((block.depth, width + 1), volume.dtype) for _ in range(2))
        if block.x == 0:
            before, wall = wall, before
            beside = np.zeros((block.depth, block.height), volume.dtype)
        rows, columns = slice(block.y, block.y + block.height), slice(block.x, block.x + block.width)
        ends = [
            int(a + n == end) for a, n, end in zip((block.z, block.y, block.x), block.shape, volume.shape, strict=True)
        ]
        ids = np.zeros([n + 1 + end for n, end in zip(block.shape, ends, strict=True)], volume.dtype)
        inner = ids[1 : 1 + block.depth, 1 : 1 + block.height, 1 : 1 + block.width]
        inner[:] = read_block(volume, block)
        # `below` and `before` have one more row or column in front: what lies before the first box is outside.
        ids[0, : block.height + 1, : block.width + 1] = below[block.y : rows.stop + 1, block.x : columns.stop + 1]
        ids[1 : 1 + block.depth, 0, : block.width + 1] = before[:, block.x : columns.stop + 1]
        ids[1 : 1 + block.depth, 1 : 1 + block.height, 0] = beside
        floor[1:, 1:][rows, columns] = inner[-1]
        wall[:, 1:][:, columns] = inner[:, -1]
        beside = inner[:, :, -1].copy()
        yield block, ids

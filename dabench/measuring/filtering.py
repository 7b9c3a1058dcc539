"""Ids without the objects that are too small, so that objects and slices are counted alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from dabench.data.blocks import block_grid, chunks_of, read_block, voxel_of
from dabench.measuring.sums import Ledger, sums_of_runs
from dabench.ops.runs import runs_of
from dabench.types import Array, Block

if TYPE_CHECKING:
    from dabench.interfaces import Volume

Shape = tuple[int, int, int]


class LargeOnly:
    """A volume of ids in which small objects read as background. Making one reads the volume once, for the sizes."""

    def __init__(self, volume: Volume, least: int, chunk: Shape, dims: int) -> None:
        """Drop objects (in 2-D: what an id is on one slice) of fewer than ``least`` voxels. Raises DataError."""
        self.volume, self._dims = volume, dims
        ledger = Ledger()
        for block in block_grid(volume.shape, chunk):
            cuts = sums_of_runs(runs_of(np.ascontiguousarray(read_block(volume, block))), block)
            ledger.add(cuts.whole() if dims == 3 else cuts)
        total = ledger.total()
        small = total.keys[total.voxels < least]
        self._small: dict[int, Array] = {int(z): small[small[:, 0] == z, 1] for z in np.unique(small[:, 0])}

    @property
    def shape(self) -> Shape:
        """(slices, rows, columns)."""
        return self.volume.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the ids."""
        return self.volume.dtype

    @property
    def chunks(self) -> Shape:
        """As stored."""
        return chunks_of(self.volume)

    @property
    def voxel(self) -> tuple[float, float, float] | None:
        """As stored."""
        return voxel_of(self.volume)

    def read(self, z: int) -> Array:
        """Slice ``z``."""
        own: Array = self.read_block(Block(z, 0, 0, 1, *self.shape[1:]))[0]
        return own

    def read_block(self, block: Block) -> Array:
        """Ids of a box, small ones 0."""
        ids = np.array(read_block(self.volume, block))
        if self._dims == 3:
            return self._without(ids, 0)
        return np.stack([self._without(own, block.z + z) for z, own in enumerate(ids)])

    def _without(self, ids: Array, key: int) -> Array:
        import fastremap

        small = self._small.get(key)
        if small is None:
            return ids
        return cast("Array", fastremap.mask(ids, small.tolist()))

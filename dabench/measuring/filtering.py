"""Ids without the objects that are too small, so that objects and slices are counted alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from dabench.data.blocks import block_grid, read_block
from dabench.data.volumes import Converted
from dabench.measuring.sums import Ledger, sums_of_runs
from dabench.ops.runs import runs_of
from dabench.types import Array, Block

if TYPE_CHECKING:
    from dabench.interfaces import Volume

Shape = tuple[int, int, int]


class LargeOnly(Converted):
    """A volume of ids in which small objects read as background. Making one reads the volume once, for the sizes."""

    def __init__(self, volume: Volume, least: int, chunk: Shape, dims: int) -> None:
        """Drop objects (in 2-D: what an id is on one slice) of fewer than ``least`` voxels. Raises DataError."""
        super().__init__(volume)
        self._dims = dims
        ledger = Ledger()
        for block in block_grid(volume.shape, chunk):
            cuts = sums_of_runs(runs_of(np.ascontiguousarray(read_block(volume, block))), block)
            ledger.add(cuts.whole() if dims == 3 else cuts)
        total = ledger.total()
        small = total.keys[total.voxels < least]
        self._small: dict[int, Array] = {int(z): small[small[:, 0] == z, 1] for z in np.unique(small[:, 0])}

    def convert(self, raw: Array, block: Block) -> Array:
        """Ids of a box, small ones 0."""
        if self._dims == 3:
            return self._without(raw, 0)
        return np.stack([self._without(own, block.z + z) for z, own in enumerate(raw)])

    def _without(self, ids: Array, key: int) -> Array:
        import fastremap

        small = self._small.get(key)
        if small is None:
            return ids
        return cast("Array", fastremap.mask(ids, small.tolist()))

"""Ids without the objects that are too small or too large, so that objects and slices are counted alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from dabench.data.blocks import block_grid, read_block
from dabench.data.volumes import Converted
from dabench.ops.run_lengths import runs_of
from dabench.types import Array, Block
from dabench.volumes.measuring.sums import Ledger, sums_of_runs

if TYPE_CHECKING:
    from dabench.interfaces import Volume

Shape = tuple[int, int, int]


class OfSize(Converted):
    """Ids in which objects of other sizes read as background. Making one reads the volume once, for the sizes."""

    def __init__(self, volume: Volume, least: int, most: int | None, chunk: Shape, dims: int) -> None:
        """Keep objects (in 2-D: what an id is on one slice) of ``least`` to ``most`` voxels. Raises DataError."""
        super().__init__(volume)
        self._dims = dims
        ledger = Ledger()
        for block in block_grid(volume.shape, chunk):
            cuts = sums_of_runs(runs_of(np.ascontiguousarray(read_block(volume, block))), block)
            ledger.add(cuts.whole() if dims == 3 else cuts)
        total = ledger.total()
        dropped = total.voxels < least
        if most is not None:
            dropped |= total.voxels > most
        gone = total.keys[dropped]
        self._gone: dict[int, Array] = {int(z): gone[gone[:, 0] == z, 1] for z in np.unique(gone[:, 0])}

    def convert(self, raw: Array, block: Block) -> Array:
        """Ids of a box, those of other sizes 0."""
        if self._dims == 3:
            return self._without(raw, 0)
        return np.stack([self._without(own, block.z + z) for z, own in enumerate(raw)])

    def _without(self, ids: Array, key: int) -> Array:
        import fastremap

        gone = self._gone.get(key)
        if gone is None:
            return ids
        return cast("Array", fastremap.mask(ids, gone.tolist()))

"""Measures all objects of a volume in one pass, one box in memory at a time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from dabench.data.blocks import chunks_of
from dabench.errors import ConfigError, DataError
from dabench.interfaces.observer import Progress
from dabench.ops.run_lengths import runs_of
from dabench.types import Array, Block
from dabench.volumes.instances.settings import default_chunk
from dabench.volumes.measuring.halo import boxes_with_halo
from dabench.volumes.measuring.slices import SliceCounter
from dabench.volumes.measuring.sums import Ledger, sums_of_runs, surface_sums
from dabench.volumes.measuring.surface import cell_sizes, rim_cells, units
from dabench.volumes.measuring.table import Measures, tabulate

if TYPE_CHECKING:
    from dabench.interfaces import Volume

Shape = tuple[int, int, int]
Voxel = tuple[float, float, float]


def measure(
    instances: Volume,
    voxel: Voxel,
    chunk: Shape | None = None,
    dims: int = 3,
    progress: Progress | None = None,
) -> Measures:
    """Measure every object of a volume of ids, and count them on every slice.

    All sums are taken in whole numbers, so the result is the same, bit for bit, in whatever boxes the volume is read.
    The volume's border closes the objects that it cuts: the cut is part of their surface.

    Args:
        instances: ids, any whole numbers; 0 and below is background; ids need not be consecutive.
        voxel: nm (z, y, x).
        chunk: box that is in memory at once; by default whole stored chunks, some 16 million voxels.
        dims: 3: a row per object; 2: a row per profile, that is, what an id is on one slice.
        progress: called with (boxes done, boxes in all).

    Raises:
        DataError: floating-point ids, an id above 2⁶³ - 1, or an object of more than some 10¹¹ voxels.
        ConfigError: a voxel size that is not three positive numbers, or other dimensions.
    """
    _check(instances, voxel, dims)
    chunk = chunk or default_chunk(chunks_of(instances), instances.shape)
    table, worth = units(cell_sizes(voxel[-dims:]))
    ledger, counter = Ledger(), SliceCounter(instances.shape)
    boxes = math.prod(-(-length // step) for length, step in zip(instances.shape, chunk, strict=True))
    for done, (block, ids) in enumerate(boxes_with_halo(instances, chunk)):
        inner = ids[1 : 1 + block.depth, 1 : 1 + block.height, 1 : 1 + block.width]
        if (inner > 0).any() or ids.any():
            cuts = sums_of_runs(runs_of(np.ascontiguousarray(inner)), block)
            counter.add(cuts, block.z)
            ledger.add(cuts.whole() if dims == 3 else cuts)
            ledger.add(surface_sums(*_rims(ids, block, dims, table)))
        if progress:
            progress(done + 1, boxes)
    total = ledger.total()
    _check_range(int(total.voxels.max(initial=0)), instances.shape)
    return tabulate(total, counter.table(voxel), instances.shape, voxel, dims, worth)


def _rims(ids: Array, block: Block, dims: int, table: Array) -> tuple[Array, Array, Array]:
    """Slice (0 in 3-D), id and steps of surface of every cell of a box at the rim of an object."""
    if dims == 2:
        ids = np.ascontiguousarray(ids[1 : 1 + block.depth])
    place, whose, code = rim_cells(ids, dims)
    return (place + block.z if dims == 2 else np.zeros_like(place)), whose, table[code]


def _check_range(voxels: int, shape: Shape) -> None:
    """Refuse an object whose sums of squares may not fit 64 bits: numbers would be wrong without a sign of it."""
    if voxels * max(shape) ** 2 >= 2**63:
        raise DataError(
            f"an object of {voxels} voxels in a volume of {shape} is too large for exact sums.",
            "Check that the background is 0; otherwise measure parts of the volume.",
        )


def _check(instances: Volume, voxel: Voxel, dims: int) -> None:
    if instances.dtype.kind not in "bui":
        raise DataError(
            f"objects have whole numbers as ids, the volume holds {instances.dtype}.",
            "Label a mask first; dabench measure does so with one of whole numbers (0 is background).",
        )
    if len(voxel) != 3 or not all(math.isfinite(side) and side > 0 for side in voxel):
        raise ConfigError(f"voxel size {voxel}: three positive numbers of nm (z, y, x) are needed.")
    if dims not in (2, 3):
        raise ConfigError(f"measures in {dims} dimensions: choose 2 (profiles on slices) or 3.")

"""Coarser levels made block by block: the mean of grey values, the commonest of labels."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from dabench.types import Block
from dabench.volumes.output.omezarr import OmeZarr

if TYPE_CHECKING:
    from dabench.types import Array
    from dabench.volumes.output.blocks import Shape, ZarrBlocks


def build_pyramid(output: OmeZarr, name: str) -> Iterator[tuple[int, int]]:
    """Make all coarser levels of one image from its finest; a block of one level in memory at a time.

    Yields:
        (files done, files in all) after each file.
    """
    levels = output.levels()
    arrays = [output.blocks(name, number) for number in range(len(levels))]
    work = [(n, block) for n in range(1, len(levels)) for block in _files(arrays[n])]
    for done, (number, block) in enumerate(work, 1):
        finer, coarser = levels[number - 1], levels[number]
        steps = [c // f for c, f in zip(coarser.factors, finer.factors, strict=True)]
        values = arrays[number - 1].read_block(_below(block, (steps[0], steps[1], steps[2]), finer.shape))
        by_mean = name == output.image and output.reduced == "mean"
        made = coarser_mean(values, steps) if by_mean else coarser_mode(values, steps)
        arrays[number].write_block(block, made)
        yield done, len(work)


def coarser_mean(values: Array, steps: list[int]) -> Array:
    """Mean over boxes of ``steps``, rounded if whole; the last ones of an odd axis see its last voxels twice."""
    parts = _parts(values, steps)
    # Sums of small whole numbers are exact, and faster, in whole numbers.
    wide: Array = parts[0].astype(np.uint32 if values.dtype in (np.uint8, np.uint16) else np.float64)
    for part in parts[1:]:
        wide = np.add(wide, part, out=wide)
    if wide.dtype == np.uint32:
        mean: Array = (wide + len(parts) // 2) // len(parts)
    else:
        mean = np.divide(wide, len(parts))
        mean = mean if values.dtype.kind == "f" else np.rint(mean)
    made: Array = mean.astype(values.dtype)
    return made


def coarser_mode(values: Array, steps: list[int]) -> Array:
    """The commonest value of each box of ``steps``; among equally common ones the largest, so thin things stay."""
    parts = _parts(values, steps)
    some = parts[0] != 0
    for part in parts[1:]:
        some |= part != 0
    result = np.zeros(parts[0].shape, values.dtype)
    if some.any():  # most of a label image is background, which needs no counting
        result[some] = _commonest([part[some] for part in parts])
    return result


def _commonest(values: list[Array]) -> Array:
    """The commonest of the first, second, ... entries of some lines; the largest among equally common ones."""
    best, most = values[0].copy(), np.zeros(values[0].shape, np.uint8)
    for one in values:
        count = np.zeros(one.shape, np.uint8)
        for other in values:
            count += one == other
        better = (count > most) | ((count == most) & (one > best))
        best[better], most[better] = one[better], count[better]
    return best


def _parts(values: Array, steps: list[int]) -> list[Array]:
    """The first, second, ... voxel of every box, as views of the volume grown to whole boxes."""
    missing = [(0, -n % step) for n, step in zip(values.shape, steps, strict=True)]
    whole = np.pad(values, missing, mode="edge") if any(after for _, after in missing) else values
    starts = product(*(range(step) for step in steps))
    return [whole[z :: steps[0], y :: steps[1], x :: steps[2]] for z, y, x in starts]


def _files(array: ZarrBlocks) -> Iterator[Block]:
    steps = zip(array.shape, array.shards, strict=True)
    for at in product(*(range(0, length, step) for length, step in steps)):
        ends = (min(step, n - a) for a, step, n in zip(at, array.shards, array.shape, strict=True))
        yield Block(*at, *ends)


def _below(block: Block, steps: Shape, shape: Shape) -> Block:
    """The box of the finer level that a box is made of."""
    corner = [at * step for at, step in zip((block.z, block.y, block.x), steps, strict=True)]
    sizes = (min(n * step, length - at) for n, step, length, at in zip(block.shape, steps, shape, corner, strict=True))
    return Block(*corner, *sizes)

"""How a volume is cut for prediction, what that costs, and how much memory it takes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from dabench.data.blocks import block_grid
from dabench.errors import ConfigError
from dabench.inference import TileGrid, Tiling
from dabench.ops.resampling import Resampling
from dabench.types import Block, Window
from dabench.volumes.output.layout import INNER, granule

Shape = tuple[int, int, int]
#: Side of a slice that is predicted in one piece, and of the pieces of a larger one.
SIDE = 4096
#: Bytes that the arrays of a chunk may take.
WORKING_SET = 512 * 2**20
#: Slices of a chunk at most; more fill no more batches.
DEEPEST = 16


@dataclass(frozen=True)
class Chunking:
    """A volume cut into boxes.

    Attributes:
        shape: of what is predicted, (slices, rows, columns).
        chunk: of a box.
        tiling: how slices are cut into tiles.
        gap: slices to the partner of each, for a model of pairs; 0: none.
        objects: whether the model makes objects of its own, which take memory.
        resampling: what brings slices to the pixels that the model sees; None where those are the same.
    """

    shape: Shape
    chunk: Shape
    tiling: Tiling
    gap: int = 0
    objects: bool = False
    resampling: Resampling | None = None

    @property
    def plane(self) -> tuple[int, int]:
        """(rows, columns) of a slice as the model sees it."""
        return self.resampling.target if self.resampling else self.shape[1:]

    def blocks(self) -> Iterator[Block]:
        """The boxes, in z, y, x order."""
        return block_grid(self.shape, self.chunk)

    @property
    def count(self) -> int:
        """Number of boxes."""
        return math.prod(-(-n // c) for n, c in zip(self.shape, self.chunk, strict=True))

    def grid(self, block: Block) -> TileGrid:
        """The tiles that a box needs on each of its slices."""
        window = self.resampling.inverse.needed(block.window) if self.resampling else block.window
        return TileGrid(self.plane, window, self.tiling)

    def tiles(self, block: Block) -> int:
        """Number of tiles that a box needs."""
        return len(self.grid(block)) * block.depth

    @cached_property
    def all_tiles(self) -> int:
        """Tiles of the whole volume, those that two boxes need counted twice."""
        one_layer = block_grid((1, *self.shape[1:]), (1, *self.chunk[1:]))
        return self.shape[0] * sum(len(self.grid(block)) for block in one_layer)

    @property
    def recomputed(self) -> float:
        """Share of tiles that are predicted again, because they lie on a border of boxes."""
        return self.all_tiles / (self.shape[0] * len(TileGrid.whole(self.plane, self.tiling))) - 1

    @property
    def memory(self) -> int:
        """Bytes that the arrays of the largest box take; the network's own come on top."""
        depth, height, width = self.chunk
        ids = 8 * math.prod(self.chunk) if self.objects else 0
        grid = self.grid(Block(0, *_middle(self.shape, self.chunk), 1, height, width))
        if self.resampling is None:
            return ids + _bytes(depth, grid.seen, Window(0, 0, height, width), self.gap)
        # All planes as they are stored before they are resampled, and one by one in double precision on the way back.
        read, planes = self.resampling.needed(grid.seen), depth + min(self.gap, depth)
        stored = 8 * planes * read.height * read.width + 6 * (depth + 1) * height * width
        return ids + _bytes(depth, grid.seen, grid.window, self.gap) + stored


def choose_chunk(
    shape: Shape,
    tiling: Tiling,
    gap: int = 0,
    resampling: Resampling | None = None,
    *,
    whole_slices: bool = False,
    objects: bool = False,
) -> Shape:
    """Whole slices up to 4096 x 4096, else pieces of that size; as many slices as fit into half a gigabyte.

    It is the pixels that the model sees that are counted, where those are more than there are voxels.

    Args:
        shape: of the volume.
        tiling: how slices are cut.
        gap: see `Chunking`.
        resampling: see `Chunking`.
        whole_slices: never cut a slice, however large.
        objects: see `Chunking`.
    """
    seen = resampling.target if resampling else shape[1:]
    finer = max(1, *(math.ceil(after / before) for before, after in zip(shape[1:], seen, strict=True)))
    side = max(SIDE // finer // INNER[1], 1) * INNER[1]
    height, width = shape[1:] if whole_slices or max(shape[1:]) <= side else (min(side, n) for n in shape[1:])

    def memory(depth: int) -> int:
        return Chunking(shape, (depth, height, width), tiling, gap, objects, resampling).memory

    depth = 1
    while depth < min(DEEPEST, shape[0]) and memory(2 * depth) < WORKING_SET:
        depth *= 2
    return min(depth, shape[0]), height, width


def check_chunk(chunk: Shape, shape: Shape, *, whole_slices: bool) -> Shape:
    """A chunk that a user chose, not larger than the volume; deep ones in whole files.

    Raises:
        ConfigError: a side below 1, or part of a slice where whole ones are needed.
    """
    text = ",".join(map(str, chunk))
    if min(chunk) < 1:
        raise ConfigError(f"--chunk {text}: every side must be at least 1.")
    z, y, x = (min(side, length) for side, length in zip(chunk, shape, strict=True))
    if whole_slices and (y, x) != shape[1:]:
        raise ConfigError(
            f"--chunk {text}: this model makes objects, or has a last step, on whole slices, which cannot be cut.",
            f"Use --chunk {z},{shape[1]},{shape[2]}, or leave out --chunk.",
        )
    step = granule((z, y, x))[0]
    return (z if z == shape[0] else z // step * step), y, x


def _middle(shape: Shape, chunk: Shape) -> tuple[int, int]:
    """First row and column of a box that has neighbours on all sides, where there is one."""
    y, x = (c if n > c else 0 for n, c in zip(shape[1:], chunk[1:], strict=True))
    return y, x


def _bytes(depth: int, seen: Window, window: Window, gap: int) -> int:
    """Float images with what reading them takes; means, and what is stored of them; bands of sums."""
    planes = depth + min(gap, depth)
    images = 8 * planes * seen.height * seen.width
    area = window.height * window.width
    return images + 6 * depth * area + 8 * depth * window.width * (seen.height - window.height + 512)

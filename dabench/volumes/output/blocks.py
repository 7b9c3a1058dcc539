"""A zarr array as a volume that is read and written by box."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import pairwise, product
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from dabench.errors import DataError
from dabench.types import Block

if TYPE_CHECKING:
    from dabench.interfaces import Placement
    from dabench.types import Array

Shape = tuple[int, int, int]


class ZarrBlocks:
    """A three-dimensional zarr array: a `BlockVolume` and a `BlockSink`.

    Args:
        array: of zarr, open for what is done with it.
        voxel: nm (z, y, x), or None where it is not known.
        placement: where it lies in space, or None.
        provenance: how it was made, by name.
    """

    def __init__(
        self,
        array: Any,
        voxel: tuple[float, float, float] | None = None,
        placement: Placement | None = None,
        provenance: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Wrap without reading."""
        self.array, self.voxel, self.placement, self.provenance = array, voxel, placement, provenance

    @property
    def shape(self) -> Shape:
        """(slices, rows, columns)."""
        z, y, x = self.array.shape
        return z, y, x

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a voxel."""
        dtype: np.dtype[Any] = np.dtype(self.array.dtype)
        return dtype

    @property
    def chunks(self) -> Shape:
        """The box that is compressed together."""
        z, y, x = self.array.chunks
        return z, y, x

    @property
    def shards(self) -> Shape:
        """The box that is one file: writing a part of it writes all of it."""
        z, y, x = self.array.shards or self.array.chunks
        return z, y, x

    def read(self, z: int) -> Array:
        """Slice ``z`` as ``(H, W)``. Raises DataError."""
        plane: Array = self.read_block(Block(z, 0, 0, 1, *self.shape[1:]))[0]
        return plane

    def read_block(self, block: Block) -> Array:
        """A box as ``(depth, height, width)``. Raises DataError where the file is damaged."""
        try:
            values: Array = np.asarray(self.array[block.slices])
        except (OSError, ValueError, RuntimeError) as error:
            raise DataError(f"{self.array.store_path}: {block}: {error}") from None
        return values

    def write_block(self, block: Block, values: Array) -> None:
        """Write a box; a kill leaves every file of it old or new, never half. Blank files are not made."""
        corner = block.z, block.y, block.x
        for part in self._by_file(block):
            inside = values[tuple(slice(s.start - c, s.stop - c) for s, c in zip(part.slices, corner, strict=True))]
            if inside.any() or any(file.is_file() for file in self._files(part)):
                self.array[part.slices] = inside.astype(self.dtype, copy=False)

    def flush(self, block: Block) -> None:
        """Wait until the files of a box lie on the disk, and their names in the folders."""
        files = [file for file in self._files(block) if file.is_file()]  # blank boxes have none
        folders = {folder for file in files for folder in file.parents if folder.is_relative_to(self._root)}
        for path in [*files, *folders]:
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    @property
    def _root(self) -> Path:
        root: Path = Path(self.array.store.root) / self.array.path
        return root

    def _by_file(self, block: Block) -> Iterator[Block]:
        """The parts of a box that lie in one file each."""
        ranges = []
        for at, length, size in zip((block.z, block.y, block.x), block.shape, self.shards, strict=True):
            edges = [at, *range((at // size + 1) * size, at + length, size), at + length]
            ranges.append([(first, last - first) for first, last in pairwise(edges)])
        for (z, depth), (y, height), (x, width) in product(*ranges):
            yield Block(z, y, x, depth, height, width)

    def _files(self, block: Block) -> list[Path]:
        ranges = [
            range(at // size, (at + length - 1) // size + 1)
            for at, length, size in zip((block.z, block.y, block.x), block.shape, self.shards, strict=True)
        ]
        key = self.array.metadata.encode_chunk_key
        return [self._root / key((z, y, x)) for z in ranges[0] for y in ranges[1] for x in ranges[2]]

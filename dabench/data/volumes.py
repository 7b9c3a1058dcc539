"""Lazy volumes: opening a path, arrays, subsets and a small cache. All are read by slice or by box."""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dabench.data.blocks import (
    check_inside,
    chunks_of,
    layout_of,
    placement_of,
    provenance_of,
    read_block,
    read_by_slice,
    voxel_of,
    white_is_zero,
)
from dabench.data.origin import names_of
from dabench.data.placement import moved
from dabench.errors import DataError, MissingDataError
from dabench.interfaces.choice import split_choice
from dabench.types import Block

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from dabench.interfaces import Placement, Reader, Volume
    from dabench.types import Array

Shape = tuple[int, int, int]
#: Voxels that a header may claim: a petabyte. Beyond, it is damaged, and sizes that follow from it would be absurd.
_MOST_VOXELS = 2**50
#: Slices that a cache must have room for to serve boxes from whole slices.
_FEW = 4


def open_volume(path: Path, readers: Iterable[Reader]) -> Volume:
    """Open a file, folder or volume inside a file (``scan.h5/raw``) with the first reader that accepts it.

    What a path says at its end (``scan.tif/channel=1``) is handed to the reader (`dabench.interfaces.choice`). The
    volume keeps the slices that were read last (`CachedVolume`). Raises as `open_with`.
    """
    return CachedVolume(open_with(path, readers)[0])


def open_with(path: Path, readers: Iterable[Reader]) -> tuple[Volume, Reader]:
    """The same without a cache, with the reader that opened it.

    Raises:
        MissingDataError: nothing lies there.
        DataError: no reader knows the format, or the file is damaged.
    """
    asked = []
    path, choice = split_choice(path)
    for reader in readers:
        if reader.accepts(path):
            return _possible(reader.open_choice(path, choice) if choice else reader.open(path), path), reader
        asked.append(type(reader).__name__)
    if not path.exists():
        raise MissingDataError(
            f"{path}: no such file or folder.", "dabench data ls  (says what is missing and where to get it)"
        )
    kind = "folder" if path.is_dir() else f"{''.join(path.suffixes) or 'suffix-less'} file"
    raise DataError(
        f"{path}: no reader opens this {kind} (asked: {', '.join(asked) or 'none registered'}).",
        "docs/data.md lists the formats: convert it, or install a plugin with a reader (dabench plugins).",
    )


def _possible(volume: Volume, path: Path) -> Volume:
    if math.prod(volume.shape) > _MOST_VOXELS:
        raise DataError(
            f"{path}: says that it holds {' x '.join(map(str, volume.shape))} voxels, more than any microscope made.",
            "Its header is damaged: copy or download the file again.",
        )
    return volume


class ArrayVolume:
    """A stack in memory, ``(Z, H, W)`` of any type; slices are read-only views."""

    def __init__(self, array: Array) -> None:
        """Take a three-dimensional array without copying it."""
        if array.ndim != 3:
            raise DataError(f"a volume has three dimensions (z, y, x), got shape {array.shape}.")
        self._array = array

    @property
    def shape(self) -> Shape:
        """(slices, rows, columns)."""
        z, y, x = self._array.shape
        return z, y, x

    @property
    def dtype(self) -> np.dtype[Any]:
        """Pixel type."""
        return self._array.dtype

    def read(self, z: int) -> Array:
        """Slice ``z``."""
        return _frozen(self._array[_checked(z, self.shape[0], "array")].view())

    @property
    def chunks(self) -> Shape:
        """Slices, by custom: any box of an array costs only itself."""
        return 1, *self.shape[1:]

    def read_block(self, block: Block) -> Array:
        """A box, as a read-only view. Raises IndexError beyond the array."""
        check_inside(block, self.shape)
        return _frozen(self._array[block.slices])


class Wrapper:
    """Base of volumes that change what another one reads; whatever is not changed is the other one's."""

    def __init__(self, volume: Volume) -> None:
        """Wrap without reading."""
        self.volume = volume

    @property
    def shape(self) -> Shape:
        """(slices, rows, columns)."""
        return self.volume.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Pixel type."""
        return self.volume.dtype

    @property
    def chunks(self) -> Shape:
        """What is stored together in the file."""
        return chunks_of(self.volume)

    @property
    def voxel(self) -> tuple[float, float, float] | None:
        """Voxel size in nm (z, y, x) as the file says it, or None."""
        return voxel_of(self.volume)

    @property
    def placement(self) -> Placement | None:
        """Where the file says that the volume lies in space, or None."""
        return placement_of(self.volume)

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What dabench noted in the file of how it made it."""
        return provenance_of(self.volume)

    @property
    def layout(self) -> str:
        """How the stored axes were understood, in words."""
        return layout_of(self.volume)

    @property
    def white_is_zero(self) -> bool:
        """Whether the file says that small values are bright; see `Upright`."""
        return white_is_zero(self.volume)

    @property
    def names(self) -> tuple[str, ...]:
        """Name of the file of each slice, () where slices have none."""
        return names_of(self.volume)

    def read(self, z: int) -> Array:
        """Slice ``z``."""
        return self.volume.read(z)

    def read_block(self, block: Block) -> Array:
        """A box, ``(depth, height, width)``."""
        return read_block(self.volume, block)


class Converted(Wrapper, ABC):
    """Base of volumes whose value at a voxel follows from what is stored there (and from which slice it is)."""

    def read(self, z: int) -> Array:
        """Slice ``z``, converted."""
        image: Array = self.convert(self.volume.read(z)[None], Block(z, 0, 0, 1, *self.shape[1:]))[0]
        return image

    def read_block(self, block: Block) -> Array:
        """A box, converted."""
        return self.convert(read_block(self.volume, block), block)

    @abstractmethod
    def convert(self, raw: Array, block: Block) -> Array:
        """What the stored values ``raw`` of a box become; ``(depth, height, width)`` both."""


class Upright(Converted):
    """Images of whole numbers with bright and dark as every viewer shows them, where their file says that 0 is white.

    A TIFF says so (photometric MinIsWhite). Labels are never turned: what a mask stores is what it means.
    """

    @classmethod
    def of(cls, images: Volume) -> Volume:
        """The images, turned where they have to be."""
        return cls(images) if white_is_zero(images) and images.dtype.kind in "ui" else images

    @property
    def white_is_zero(self) -> bool:
        """Not any more."""
        return False

    def convert(self, raw: Array, block: Block) -> Array:
        """Whole numbers of the same type, the lowest for the highest."""
        del block
        turned: Array = np.invert(raw)  # max - raw of unsigned numbers, -1 - raw of signed ones
        return turned


class SliceRange(Wrapper):
    """Slices ``first`` to ``last - 1`` of another volume."""

    def __init__(self, volume: Volume, first: int, last: int, name: str) -> None:
        """Check that the range lies in the volume. Raises DataError."""
        super().__init__(volume)
        if not 0 <= first < last <= volume.shape[0]:
            raise DataError(
                f"{name}: the card asks for slices {first} to {last - 1}, the file has {volume.shape[0]} (0 to "
                f"{volume.shape[0] - 1}).",
                "Get the complete file, or mend `slices` in the card.",
            )
        self.first, self._last = first, last

    @property
    def placement(self) -> Placement | None:
        """Where the range lies in space, or None."""
        found = placement_of(self.volume)
        return None if found is None else moved(found, self.first)

    @property
    def shape(self) -> Shape:
        """(slices in the range, rows, columns)."""
        return self._last - self.first, self.volume.shape[1], self.volume.shape[2]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the range's slices."""
        return names_of(self.volume)[self.first : self._last]

    def read(self, z: int) -> Array:
        """Slice ``z`` counted from the start of the range."""
        return self.volume.read(self.first + _checked(z, self.shape[0], "range"))

    def read_block(self, block: Block) -> Array:
        """A box counted from the start of the range. Raises IndexError beyond it."""
        check_inside(block, self.shape)
        return read_block(self.volume, replace(block, z=block.z + self.first))


class CachedVolume(Wrapper):
    """Keeps the slices read last, up to ``max_bytes``. Safe to read from several threads; slices are read-only.

    Where the file stores several slices in one chunk, they are read and kept together: to decode a chunk for one of
    its slices costs as much as for all.
    """

    def __init__(self, volume: Volume, max_bytes: int = 256 * 2**20) -> None:
        """Wrap a volume with an empty cache."""
        super().__init__(volume)
        slice_bytes = max(1, volume.shape[1] * volume.shape[2] * volume.dtype.itemsize)
        self._capacity = max(1, max_bytes // slice_bytes)
        depth, _, width = chunks_of(volume)
        self._together = depth if depth <= self._capacity else max(1, self._capacity // 2)
        # Rows of a page lie together: to keep whole slices saves decoding them again for the box beside.
        self._by_slice = depth == 1 and width == volume.shape[2] and self._capacity >= _FEW
        self._slices: OrderedDict[int, Array] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, z: int) -> Array:
        """Slice ``z``, from memory when it was read lately."""
        with self._lock:
            if z in self._slices:
                self._slices.move_to_end(z)
                return self._slices[z]
        found = self._load(_checked(z, self.shape[0], "volume"))
        with self._lock:
            self._slices.update(found)
            self._slices.move_to_end(z)
            while len(self._slices) > self._capacity:
                self._slices.popitem(last=False)
        return found[z]

    def read_block(self, block: Block) -> Array:
        """A box: cut from kept slices where the file stores whole rows, else straight from the file."""
        check_inside(block, self.shape)
        if self._by_slice and block.depth <= self._capacity:
            return read_by_slice(self, block)
        return read_block(self.volume, block)

    def _load(self, z: int) -> dict[int, Array]:
        if self._together == 1:
            return {z: _frozen(self.volume.read(z))}
        first = z // self._together * self._together
        depth = min(self._together, self.shape[0] - first)
        slab = _frozen(read_block(self.volume, Block(first, 0, 0, depth, *self.shape[1:])))
        return {first + i: slab[i] for i in range(depth)}

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_slices", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _slices=OrderedDict(), _lock=threading.Lock())


def read_all(volume: Volume) -> Array:
    """A whole volume in memory, ``(Z, H, W)``; for small ones (phantoms, tests, pictures)."""
    return np.stack([volume.read(z) for z in range(volume.shape[0])])


def _checked(z: int, count: int, what: str) -> int:
    if not 0 <= z < count:
        raise IndexError(f"slice {z} of a {what} with {count} slices")
    return z


def _frozen(array: Array) -> Array:
    array.setflags(write=False)
    return array

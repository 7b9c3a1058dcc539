"""Labels as they are meant: stored values to 0, 1, 255, instance ids, and labels of a part of the slices."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from dabench.data.blocks import check_inside, read_block
from dabench.data.volumes import CachedVolume, Converted, Wrapper
from dabench.errors import DataError
from dabench.types import IGNORE, Block

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dabench.interfaces import Volume
    from dabench.types import Array

_UNKNOWN = 254
#: Largest id that int32 holds.
_MOST = 2**31 - 1


class MappedLabels(Converted):
    """Stored label values as uint8 0, 1, 255.

    ``mapping`` gives stored value -> label. With ``instances`` every value above 0 that it does not name is 1;
    any other value that it does not name is an error that names file, slice and value.
    """

    def __init__(self, volume: Volume, mapping: Mapping[int, int], name: str, *, instances: bool = False) -> None:
        """Refuse a volume that cannot hold labels (floating point). Raises DataError."""
        super().__init__(volume)
        if volume.dtype.kind not in "buif":
            raise DataError(f"{name}: labels of type {volume.dtype} are not numbers.")
        self._mapping, self._name = dict(mapping), name
        self._other = 1 if instances else _UNKNOWN
        if instances:
            self._mapping.setdefault(0, 0)
        self._table = self._lookup() if volume.dtype.kind in "bu" and volume.dtype.itemsize <= 2 else None

    @property
    def dtype(self) -> np.dtype[Any]:
        """Always uint8."""
        return np.dtype(np.uint8)

    def convert(self, raw: Array, block: Block) -> Array:
        """Labels uint8 in {0, 1, 255}. Raises DataError for a value that the card does not name."""
        labels = (
            self._table[raw.view(np.uint8) if raw.dtype == bool else raw] if self._table is not None else self._map(raw)
        )
        unknown = labels == _UNKNOWN
        if unknown.any():
            z, y, x = np.argwhere(unknown)[0]
            value = raw[z, y, x].item()
            raise DataError(
                f"{self._name}: slice {block.z + z}: label value {value!r} at row {block.y + y}, column {block.x + x} "
                f"is not among the card's label_values {self._mapping}.",
                f"Add it to the card, for example  label_values: {{{value}: {IGNORE}}}  (255 = ignore).",
            )
        return labels

    def _lookup(self) -> Array:
        table = np.full(2 ** (8 * self.volume.dtype.itemsize), self._other, np.uint8)
        for value, label in self._mapping.items():
            if 0 <= value < table.size:
                table[value] = label
        return table

    def _map(self, raw: Array) -> Array:
        labels = np.full(raw.shape, self._other, np.uint8)
        if raw.dtype.kind in "if":
            labels[raw < 0] = _UNKNOWN
        for value, label in self._mapping.items():
            labels[raw == value] = label
        if raw.dtype.kind == "f":
            labels[~np.isfinite(raw)] = _UNKNOWN
        return labels


class Foreground(Converted):
    """1 where labels are 1, else 0."""

    def convert(self, raw: Array, block: Block) -> Array:
        """A mask, uint8."""
        del block
        mask: Array = (raw == 1).astype(np.uint8)
        return mask


class WithIgnored(Wrapper):
    """Ids of objects, -1 where the labels that they were made of are ignored."""

    def __init__(self, ids: Volume, labels: Volume) -> None:
        """Two volumes of one shape."""
        super().__init__(ids)
        self._labels = labels

    @property
    def dtype(self) -> np.dtype[Any]:
        """Always int64."""
        return np.dtype(np.int64)

    def read(self, z: int) -> Array:
        """Ids of slice ``z``."""
        ids: Array = np.where(self._labels.read(z) == IGNORE, -1, self.volume.read(z).astype(np.int64))
        return ids

    def read_block(self, block: Block) -> Array:
        """Ids of a box."""
        ids = read_block(self.volume, block).astype(np.int64)
        seen: Array = np.where(read_block(self._labels, block) == IGNORE, -1, ids)
        return seen


class InstanceIds(Converted):
    """Instance ids as int32; values that the card maps to 0 become 0, those that it maps to ignore become -1.

    Ids beyond 2³¹ - 1, as annotation servers give them, are renumbered, from 2³¹ - 1 downward as they are met:
    an id has one number as long as this object lives, and may have another in another process.
    """

    def __init__(self, volume: Volume, mapping: Mapping[int, int], name: str) -> None:
        """Refuse floating-point ids. Raises DataError."""
        super().__init__(volume)
        if volume.dtype.kind not in "bui":
            raise DataError(f"{name}: instance ids must be whole numbers, the file holds {volume.dtype}.")
        self._named = tuple(mapping)
        self._dropped = {value: -1 if label == IGNORE else 0 for value, label in mapping.items() if label != 1}
        self._name = name
        self._numbers: dict[int, int] = {}
        self._largest = 0
        self._lock = threading.Lock()

    @property
    def dtype(self) -> np.dtype[Any]:
        """Always int32."""
        return np.dtype(np.int32)

    def convert(self, raw: Array, block: Block) -> Array:
        """Ids int32, 0 = background, -1 = ignored.

        Raises:
            DataError: a number below 0 that the card does not name, or new numbers that meet ids that are there.
        """
        if raw.dtype.kind == "i":
            self._need_named(raw, block)
        ids = raw.astype(np.int32)
        if raw.dtype.itemsize >= 4 and raw.dtype != np.int32:
            beyond = raw > _MOST
            with self._lock:
                self._largest = max(self._largest, int(ids.max(initial=0, where=~beyond)))
                if beyond.any():
                    ids[beyond] = self._numbered(raw[beyond])
                self._need_apart(block)
        for value, label in self._dropped.items():
            ids[raw == value] = label
        return ids

    def _need_named(self, raw: Array, block: Block) -> None:
        strange = (raw < 0) & ~np.isin(raw, self._named)
        if strange.any():
            z, y, x = np.argwhere(strange)[0]
            raise DataError(
                f"{self._name}: slice {block.z + z}: id {raw[z, y, x]} at row {block.y + y}, column {block.x + x} is "
                "below 0.",
                f"Say what it is, for example  label_values: {{{raw[z, y, x]}: {IGNORE}}}  (255 = ignore).",
            )

    def _numbered(self, large: Array) -> Array:
        values, place = np.unique(large, return_inverse=True)
        numbers = [self._numbers.setdefault(int(value), _MOST - len(self._numbers)) for value in values]
        found: Array = np.array(numbers, np.int32)[place]
        return found

    def _need_apart(self, block: Block) -> None:
        if self._numbers and self._largest > _MOST - len(self._numbers):
            raise DataError(
                f"{self._name}: slices {block.z} to {block.z + block.depth - 1}: ids on both sides of {_MOST}.",
                "Renumber the instances from 1.",
            )

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())


class PartialLabels(Wrapper):
    """Labels of some slices of a longer stack: slices without labels read as ``unknown``.

    Args:
        volume: labels of the known slices.
        first: where they begin in the stack.
        depth: slices of the whole stack.
        unknown: what the others read as: 255 for labels, -1 for instance ids.
    """

    def __init__(self, volume: Volume, first: int, depth: int, unknown: int = IGNORE) -> None:
        """Wrap without reading."""
        super().__init__(volume)
        self._depth, self._unknown = depth, unknown
        self.known = range(first, first + volume.shape[0])

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices of the whole stack, rows, columns)."""
        return self._depth, self.volume.shape[1], self.volume.shape[2]

    def read(self, z: int) -> Array:
        """Slice ``z`` of the whole stack."""
        if z in self.known:
            return self.volume.read(z - self.known.start)
        nothing: Array = self.read_block(Block(z, 0, 0, 1, *self.shape[1:]))[0]
        return nothing

    def read_block(self, block: Block) -> Array:
        """A box of the whole stack."""
        check_inside(block, self.shape)
        values = np.full(block.shape, self._unknown, self.dtype)
        first, last = max(block.z, self.known.start), min(block.z + block.depth, self.known.stop)
        if first < last:
            part = Block(first - self.known.start, block.y, block.x, last - first, block.height, block.width)
            values[first - block.z : last - block.z] = read_block(self.volume, part)
        return values


def known_slices(labels: Volume) -> range:
    """The labelled slices; all, unless the card says otherwise."""
    while isinstance(labels, CachedVolume):
        labels = labels.volume
    found: range = getattr(labels, "known", range(labels.shape[0]))
    return found

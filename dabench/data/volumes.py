"""Lazy stacks of slices: subsets, label mapping, instance ids, memory and a small cache."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from dabench.errors import DataError, MissingDataError
from dabench.types import IGNORE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from dabench.interfaces import Reader, Volume
    from dabench.types import Array

Shape = tuple[int, int, int]
_UNKNOWN = 254


def open_volume(path: Path, readers: Iterable[Reader]) -> Volume:
    """Open a file or folder with the first reader that accepts it, behind a small cache of slices.

    Raises:
        MissingDataError: nothing lies there.
        DataError: no reader knows the format, or the file is damaged.
    """
    if not path.exists():
        raise MissingDataError(
            f"{path}: no such file or folder.", "dabench data ls  (says what is missing and where to get it)"
        )
    tried = []
    for reader in readers:
        if reader.accepts(path):
            return CachedVolume(reader.open(path))
        tried.append(type(reader).__name__)
    kind = "folder" if path.is_dir() else f"{''.join(path.suffixes) or 'suffix-less'} file"
    raise DataError(
        f"{path}: no reader opens this {kind} (asked: {', '.join(tried) or 'none registered'}).",
        "Convert it to a TIFF stack or a folder of PNG slices, or install a plugin with a reader (dabench plugins).",
    )


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


class _Wrapper:
    """Base of volumes that change what another one reads."""

    def __init__(self, volume: Volume) -> None:
        self.volume = volume

    @property
    def shape(self) -> Shape:
        """(slices, rows, columns)."""
        return self.volume.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Pixel type."""
        return self.volume.dtype

    def read(self, z: int) -> Array:
        """Slice ``z``."""
        return self.volume.read(z)


class SliceRange(_Wrapper):
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
        self._first, self._last = first, last

    @property
    def shape(self) -> Shape:
        """(slices in the range, rows, columns)."""
        return self._last - self._first, self.volume.shape[1], self.volume.shape[2]

    def read(self, z: int) -> Array:
        """Slice ``z`` counted from the start of the range."""
        return self.volume.read(self._first + _checked(z, self.shape[0], "range"))


class MappedLabels(_Wrapper):
    """Stored label values as uint8 0, 1, 255.

    ``mapping`` gives stored value -> label. With ``instances`` every value that it does not name is 1, except 0;
    otherwise such a value is an error that names file, slice and value.
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

    def read(self, z: int) -> Array:
        """Slice ``z`` as ``(H, W)`` uint8 in {0, 1, 255}. Raises DataError for a value that the card does not name."""
        raw = self.volume.read(z)
        labels = (
            self._table[raw.view(np.uint8) if raw.dtype == bool else raw] if self._table is not None else self._map(raw)
        )
        unknown = labels == _UNKNOWN
        if unknown.any():
            y, x = np.argwhere(unknown)[0]
            raise DataError(
                f"{self._name}: slice {z}: label value {raw[y, x].item()!r} at row {y}, column {x} "
                f"is not among the card's label_values {self._mapping}.",
                f"Add it to the card, for example  label_values: {{{raw[y, x].item()}: {IGNORE}}}  (255 = ignore).",
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
        for value, label in self._mapping.items():
            labels[raw == value] = label
        if raw.dtype.kind == "f":
            labels[~np.isfinite(raw)] = _UNKNOWN
        return labels


class InstanceIds(_Wrapper):
    """Instance ids as int32; values that the card maps to 0 become 0, those that it maps to ignore become -1."""

    def __init__(self, volume: Volume, mapping: Mapping[int, int], name: str) -> None:
        """Refuse floating-point ids. Raises DataError."""
        super().__init__(volume)
        if volume.dtype.kind not in "bui":
            raise DataError(f"{name}: instance ids must be whole numbers, the file holds {volume.dtype}.")
        self._dropped = {value: -1 if label == IGNORE else 0 for value, label in mapping.items() if label != 1}

    @property
    def dtype(self) -> np.dtype[Any]:
        """Always int32."""
        return np.dtype(np.int32)

    def read(self, z: int) -> Array:
        """Slice ``z`` as ``(H, W)`` int32, 0 = background, -1 = ignored."""
        raw = self.volume.read(z)
        ids = raw.astype(np.int32)
        for value, label in self._dropped.items():
            ids[raw == value] = label
        return ids


class CachedVolume(_Wrapper):
    """Keeps the slices read last, up to ``max_bytes``. Safe to read from several threads; slices are read-only."""

    def __init__(self, volume: Volume, max_bytes: int = 256 * 2**20) -> None:
        """Wrap a volume with an empty cache."""
        super().__init__(volume)
        slice_bytes = max(1, volume.shape[1] * volume.shape[2] * volume.dtype.itemsize)
        self._capacity = max(1, max_bytes // slice_bytes)
        self._slices: OrderedDict[int, Array] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, z: int) -> Array:
        """Slice ``z``, from memory when it was read lately."""
        with self._lock:
            if z in self._slices:
                self._slices.move_to_end(z)
                return self._slices[z]
        image = _frozen(self.volume.read(_checked(z, self.shape[0], "volume")))
        with self._lock:
            self._slices[z] = image
            while len(self._slices) > self._capacity:
                self._slices.popitem(last=False)
        return image

    def __getstate__(self) -> dict[str, Any]:
        return {"volume": self.volume, "_capacity": self._capacity}

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

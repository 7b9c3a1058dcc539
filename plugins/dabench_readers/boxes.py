"""What readers of arrays on disk share: a volume read by box, and errors that name the place."""

from __future__ import annotations

import lzma
import os
import threading
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from dabench.plugin import Block, DataError, Placement
from dabench.types import Array
from dabench_readers.voxels import Voxel

#: What damaged files make the libraries below us raise; blosc, zstd, lz4 and imagecodecs raise RuntimeErrors.
DAMAGE = (
    ValueError,
    RuntimeError,
    OSError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    zlib.error,
    lzma.LZMAError,
)
#: Bytes of slices that are read together where a slice lies scattered over the file.
_TOGETHER = 64 * 2**20
GET_AGAIN = "Copy or download the file again, then  dabench data verify NAME"


class BoxVolume(ABC):
    """A volume of which any box is read on its own. Safe in threads, after a fork, and to send to another process.

    The handle on the file is opened at the first read, once a process, and closed with it.
    """

    #: Where it lies in space, None where the file does not say.
    placement: Placement | None = None
    #: What dabench noted of how it made the file.
    provenance: Mapping[str, Any] = MappingProxyType({})
    #: How the stored axes were understood, in words.
    layout = "z, y, x"

    def __init__(
        self, path: Path, shape: tuple[int, int, int], dtype: np.dtype[Any], chunks: tuple[int, int, int], voxel: Voxel
    ) -> None:
        """Keep what was found; opens nothing."""
        self._path, self._shape, self._chunks, self._voxel = path, shape, chunks, voxel
        self._dtype = np.dtype(dtype).newbyteorder("=")
        self._handle: Any = None
        self._owner = 0
        self._lock = threading.RLock()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns)."""
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Pixel type as stored, in the machine's byte order."""
        return self._dtype

    @property
    def chunks(self) -> tuple[int, int, int]:
        """The box that is stored together."""
        return self._chunks

    @property
    def voxel(self) -> tuple[float, float, float] | None:
        """Voxel size in nm (z, y, x), None where the file does not say. Raises DataError where it says nonsense."""
        return self._voxel.nanometres(self._path)

    def read(self, z: int) -> Array:
        """Slice ``z`` as ``(H, W)``. Raises DataError naming file and place when it cannot be decoded."""
        if not 0 <= z < self._shape[0]:
            raise IndexError(f"{self._path}: slice {z} of {self._shape[0]}")
        image: Array = self.read_block(Block(z, 0, 0, 1, *self._shape[1:]))[0]
        return image

    def read_block(self, block: Block) -> Array:
        """A box that lies in the volume. Raises DataError naming file and place when it cannot be decoded."""
        try:
            values = np.ascontiguousarray(self._fetch(block), dtype=self._dtype)
        except DAMAGE as error:
            raise DataError(f"{self._path}: {self._place(block)} cannot be decoded: {error}.", GET_AGAIN) from None
        if values.shape != block.shape:
            raise DataError(
                f"{self._path}: {self._place(block)} has {values.shape} pixels, expected {block.shape}.", GET_AGAIN
            )
        return values

    def _place(self, block: Block) -> str:
        first, last = block.z, block.z + block.depth - 1
        slices = f"slice {first}" if first == last else f"slices {first} to {last}"
        if block.shape[1:] == self._shape[1:]:
            return slices
        rows = f"rows {block.y} to {block.y + block.height - 1}"
        return f"{slices}, {rows}, columns {block.x} to {block.x + block.width - 1}"

    @abstractmethod
    def _fetch(self, block: Block) -> Array:
        """The stored values of a box; raises what the library raises."""

    @abstractmethod
    def _open(self) -> Any:
        """A handle on the file for this process."""

    def _opened(self) -> Any:
        with self._lock:
            if self._handle is None or self._owner != os.getpid():
                self._handle, self._owner = self._open(), os.getpid()
            return self._handle

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_lock", "_handle")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.RLock(), _handle=None)


def many_slices(shape: tuple[int, int, int], itemsize: int) -> tuple[int, int, int]:
    """The box to read at once from a file in which to read a slice costs as much as to read many."""
    z, y, x = shape
    return max(1, min(z, _TOGETHER // (x * y * itemsize))), y, x


def need_numbers(dtype: np.dtype[Any], where: str) -> None:
    """Raises DataError for an array of anything but booleans, whole or real numbers."""
    if dtype.kind not in "buif":
        raise DataError(f"{where}: holds {dtype}, not grey values or labels.", "Convert it to a number type first.")


def listing(entries: list[tuple[str, tuple[int, ...], Any]], most: int = 12) -> str:
    """Arrays of a container for an error message: path, shape and type of each."""
    lines = [f"{name} {tuple(shape)} {dtype}" for name, shape, dtype in entries[:most]]
    more = [f"and {len(entries) - most} more"] if len(entries) > most else []
    return ", ".join(lines + more) or "nothing"

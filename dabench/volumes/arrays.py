"""Stacks that lie in memory, or in an object that is cut like an array, as volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dabench.data.blocks import check_inside
from dabench.data.volumes import ArrayVolume, CachedVolume
from dabench.errors import DataError

if TYPE_CHECKING:
    from dabench.interfaces import Volume
    from dabench.types import Array, Block


class ArrayLike(Protocol):
    """What a zarr array, an HDF5 data set or a NumPy array has: a shape, a type, and parts that are read when cut."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""

    @property
    def dtype(self) -> Any:
        """Type of the pixels."""

    def __getitem__(self, key: Any, /) -> Any:
        """A part."""


class SlicedVolume:
    """Reads one slice at a time from what is cut like an array, ``(Z, Y, X)``."""

    def __init__(self, stack: ArrayLike) -> None:
        """Wrap without reading."""
        self._stack = stack

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns)."""
        z, y, x = self._stack.shape
        return z, y, x

    @property
    def dtype(self) -> np.dtype[Any]:
        """Pixel type."""
        kind: np.dtype[Any] = np.dtype(self._stack.dtype)
        return kind

    def read(self, z: int) -> Array:
        """Slice ``z``."""
        return np.asarray(self._stack[z])

    @property
    def chunks(self) -> tuple[int, int, int]:
        """What is stored together; one slice where it does not say."""
        stored = getattr(self._stack, "chunks", None)
        # Dask gives the length of every chunk along an axis.
        sizes = tuple(n if isinstance(n, int) else max(n) for n in stored or ())
        return sizes if len(sizes) == 3 else (1, *self.shape[1:])

    def read_block(self, block: Block) -> Array:
        """A box. Raises IndexError beyond the stack."""
        check_inside(block, self.shape)
        return np.asarray(self._stack[block.slices])


def as_volume(stack: ArrayLike) -> Volume:
    """A stack ``(Z, Y, X)``, or one slice ``(Y, X)``, as a volume; only what is read of it is in memory.

    Raises:
        DataError: another number of dimensions, or nothing in it.
    """
    shape = tuple(getattr(stack, "shape", ()))
    if len(shape) not in (2, 3) or 0 in shape:
        raise DataError(f"a stack is (slices, rows, columns) and a slice (rows, columns), got shape {shape}.")
    if len(shape) == 3 and not isinstance(stack, np.ndarray):
        return CachedVolume(SlicedVolume(stack))
    array = np.asarray(stack)
    array = array.astype(np.uint8) if array.dtype == bool else array
    return ArrayVolume(array if array.ndim == 3 else array[None])

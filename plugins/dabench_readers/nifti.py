"""NIfTI (``.nii``, ``.nii.gz``): axes x, y, z as stored become z, y, x; the orientation in space is left out."""

from __future__ import annotations

import gzip
import math
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dabench.plugin import Block, DataError, Reader
from dabench_readers.boxes import DAMAGE, GET_AGAIN, BoxVolume, need_numbers
from dabench_readers.voxels import Voxel

if TYPE_CHECKING:
    from dabench.plugin import Volume
    from dabench.types import Array

#: Bytes of a gzipped file that are read together: to go back in such a file is to unpack it from its beginning.
_TOGETHER = 64 * 2**20
#: Bytes that gzip makes of one at most.
_DENSEST = 1032


class NiftiReader(Reader):
    """Opens ``.nii`` and ``.nii.gz`` files."""

    def accepts(self, path: Path) -> bool:
        """By suffix."""
        return path.is_file() and path.name.lower().endswith((".nii", ".nii.gz"))

    def open(self, path: Path) -> Volume:
        """Open one grey volume. Raises DataError: damaged, truncated, colour, several volumes."""
        from nibabel.filebasedimages import ImageFileError
        from nibabel.spatialimages import HeaderDataError

        try:
            return _inspect(path, _load(path))
        except (*DAMAGE, ImageFileError, HeaderDataError) as error:
            raise DataError(f"{path}: not a readable NIfTI: {error}.", GET_AGAIN) from None


class NiftiVolume(BoxVolume):
    """A NIfTI volume; values are scaled by its slope and intercept, then float32, where it has any.

    A gzipped file is kept open: reading on is cheap, going back unpacks it from its beginning, and no more of it is in
    memory than what was asked for. Its checksum lies behind the last voxel: before the first is handed out, the whole
    file is unpacked once in each process.
    """

    def __init__(self, path: Path, image: Any, axes: int) -> None:
        """Keep what the header says; ``axes`` of the file, those beyond three of length 1."""
        x, y, z = image.shape[:3]
        stored = image.header.get_data_dtype()
        dtype = np.dtype(np.float32) if _is_scaled(image) else stored
        together = max(1, min(z, _TOGETHER // (x * y * stored.itemsize))) if path.suffix.lower() == ".gz" else 1
        super().__init__(path, (z, y, x), dtype, (together, y, x), _voxel(image.header))
        self._axes = axes

    def _open(self) -> Any:
        return _load(self._path).dataobj

    def _fetch(self, block: Block) -> Array:
        z, y, x = block.slices
        if self._path.suffix.lower() == ".gz":
            status = self._path.stat()
            _check_whole(self._path, status.st_size, status.st_mtime_ns)
        with self._lock:
            values = np.asarray(self._opened()[(x, y, z, *(0,) * (self._axes - 3))])
        return values.transpose(2, 1, 0)


@lru_cache(maxsize=256)
def _check_whole(path: Path, size: int, changed: int) -> None:
    """Unpack a gzipped file to its end, where its checksum is. Raises what gzip raises; once for a state of a file."""
    del size, changed
    with gzip.open(path) as file:
        while file.read(2**22):
            pass


def _load(path: Path) -> Any:
    import nibabel

    return nibabel.load(path, keep_file_open=True, mmap=False)


def _inspect(path: Path, image: Any) -> NiftiVolume:
    dtype, shape = image.header.get_data_dtype(), tuple(int(length) for length in image.shape)
    need_numbers(dtype, str(path))
    if len(shape) < 3 or any(length != 1 for length in shape[3:]) or 0 in shape:
        raise DataError(
            f"{path}: an image of {shape} (x, y, z …); a volume has three axes, all others of length 1.",
            "Write one volume a file.",
        )
    end, size = image.dataobj.offset + math.prod(shape) * dtype.itemsize, path.stat().st_size
    if end > size * (_DENSEST if path.suffix.lower() == ".gz" else 1):
        raise DataError(f"{path}: truncated: its voxels end at byte {end}, the file has {size}.", GET_AGAIN)
    return NiftiVolume(path, image, len(shape))


def _is_scaled(image: Any) -> bool:
    return (image.dataobj.slope, image.dataobj.inter) != (1.0, 0.0)


def _voxel(header: Any) -> Voxel:
    """Sizes in the header's unit; a header that names no unit says nothing."""
    x, y, z = (float(size) for size in header.get_zooms()[:3])
    unit = str(header.get_xyzt_units()[0])
    return Voxel((z, y, x), (unit,), "the header")

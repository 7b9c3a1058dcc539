"""Multi-page TIFF stacks, read a page at a time; damage is found at opening, before any training."""

from __future__ import annotations

import os
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from dabench import DataError, Reader

if TYPE_CHECKING:
    from dabench import Volume
    from dabench.types import Array

_SUFFIXES = {".tif", ".tiff"}
_GET_AGAIN = "Copy or download the file again, then  dabench data verify NAME"
#: What a damaged file makes tifffile, imagecodecs and numpy raise.
_DAMAGE = (
    tifffile.TiffFileError,
    ValueError,
    RuntimeError,
    OSError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    struct.error,
)


class TiffReader(Reader):
    """Opens ``.tif`` and ``.tiff`` files."""

    def accepts(self, path: Path) -> bool:
        """By suffix."""
        return path.is_file() and path.suffix.lower() in _SUFFIXES

    def open(self, path: Path) -> Volume:
        """Open a stack of equally sized grey slices. Raises DataError: empty, truncated, colour, mixed sizes."""
        try:
            with tifffile.TiffFile(path) as tif:
                return _inspect(path, tif)
        except _DAMAGE as error:
            raise DataError(f"{path}: not a readable TIFF: {error}.", _GET_AGAIN) from None


class TiffVolume:
    """A TIFF stack; one page is decoded for each `read`. Safe in threads and after a fork."""

    def __init__(self, path: Path, shape: tuple[int, int, int], dtype: np.dtype[Any], offset: int | None) -> None:
        """Keep what was found; ``offset`` is where plain pixels start when the file has one page for all slices."""
        self._path, self._shape, self._dtype, self._offset = path, shape, dtype, offset
        self._lock = threading.Lock()
        self._tif: tifffile.TiffFile | None = None
        self._owner = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns)."""
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Pixel type as stored, in the machine's byte order."""
        return self._dtype.newbyteorder("=")

    def read(self, z: int) -> Array:
        """Slice ``z`` as ``(H, W)``. Raises DataError naming file and slice when it cannot be decoded."""
        if not 0 <= z < self._shape[0]:
            raise IndexError(f"{self._path}: slice {z} of {self._shape[0]}")
        try:
            page = self._raw(z) if self._offset is not None else self._page(z)
        except _DAMAGE as error:
            raise DataError(f"{self._path}: slice {z} cannot be decoded: {error}.", _GET_AGAIN) from None
        if page.shape != self._shape[1:]:
            raise DataError(f"{self._path}: slice {z} has {page.shape} pixels, expected {self._shape[1:]}.", _GET_AGAIN)
        return np.ascontiguousarray(page, dtype=self.dtype)

    def _page(self, z: int) -> Array:
        with self._lock:
            if self._tif is None or self._owner != os.getpid():
                self._tif, self._owner = tifffile.TiffFile(self._path), os.getpid()
            # One page with several samples is a stack of planes (see `_is_planes`).
            planes = len(self._tif.pages) == 1 and self._shape[0] > 1
            page: Array = self._tif.pages[0].asarray()[z] if planes else np.squeeze(self._tif.pages[z].asarray())
            return page

    def _raw(self, z: int) -> Array:
        pixels = self._shape[1] * self._shape[2]
        start = (self._offset or 0) + z * pixels * self._dtype.itemsize
        flat = np.fromfile(self._path, self._dtype, count=pixels, offset=start)
        return flat.reshape(self._shape[1:])

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_lock", "_tif")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock(), _tif=None)


def _inspect(path: Path, tif: tifffile.TiffFile) -> TiffVolume:
    """Shape and type of the stack, and that every page's bytes lie inside the file."""
    pages = list(tif.pages)
    if not pages:
        raise DataError(f"{path}: the TIFF holds no page.", _GET_AGAIN)
    first = pages[0].aspage()
    if _is_planes(pages):
        shape = (first.samplesperpixel, first.imagelength, first.imagewidth)
        return TiffVolume(path, shape, np.dtype(first.dtype).newbyteorder(tif.byteorder), None)
    if first.samplesperpixel != 1:
        raise DataError(
            f"{path}: a colour TIFF ({first.samplesperpixel} samples a pixel).", "Convert it to grey first."
        )
    size, height, width = path.stat().st_size, first.imagelength, first.imagewidth
    for z, page in enumerate(pages):
        _check_page(path, z, page, (height, width), first.dtype, size)
    if _following(tif, pages[-1].offset):
        raise DataError(f"{path}: truncated: the page after slice {len(pages) - 1} is not in the file.", _GET_AGAIN)
    count = _hidden_slices(tif, path, size) if len(pages) == 1 else None
    dtype = np.dtype(first.dtype).newbyteorder(tif.byteorder)
    offset = first.dataoffsets[0] if count else None
    return TiffVolume(path, (count or len(pages), height, width), dtype, offset)


def _is_planes(pages: list[Any]) -> bool:
    """Whether one page holds the slices as separate colour planes: what tifffile makes of a stack of 3 or 4 slices."""
    return len(pages) == 1 and pages[0].samplesperpixel > 1 and pages[0].planarconfig == tifffile.PLANARCONFIG.SEPARATE


def _check_page(
    path: Path, z: int, page: tifffile.TiffPage | tifffile.TiffFrame, shape: tuple[int, int], dtype: Any, size: int
) -> None:
    found = page.shape[-2:] if len(page.shape) >= 2 else page.shape
    if found != shape or page.dtype != dtype:
        raise DataError(
            f"{path}: slice {z} is {found} {page.dtype}, slice 0 is {shape} {dtype}.",
            "All slices of a stack must have one size and one type (a thumbnail page must be removed).",
        )
    end = max((o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=False)), default=0)
    if end > size or not page.dataoffsets:
        raise DataError(f"{path}: truncated: slice {z} ends at byte {end}, the file has {size}.", _GET_AGAIN)


def _following(tif: tifffile.TiffFile, offset: int) -> int:
    """Where the page after the one at ``offset`` should lie, 0 after the last; tifffile stops silently at a bad one."""
    layout, handle = tif.tiff, tif.filehandle
    handle.seek(offset)
    (tags,) = struct.unpack(layout.tagnoformat, handle.read(layout.tagnosize))
    handle.seek(offset + layout.tagnosize + tags * layout.tagsize)
    return int(struct.unpack(layout.offsetformat, handle.read(layout.offsetsize))[0])


def _hidden_slices(tif: tifffile.TiffFile, path: Path, size: int) -> int | None:
    """Number of slices of a stack that is described by one page only (ImageJ above 4 GB, `shaped` files), else None."""
    series = tif.series[0]
    count = int(np.prod(series.shape[:-2], dtype=np.int64))
    if count <= 1:
        return None
    end = tif.pages.first.dataoffsets[0] + count * int(np.prod(series.shape[-2:])) * series.dtype.itemsize
    if end > size:
        raise DataError(f"{path}: truncated: {count} slices end at byte {end}, the file has {size}.", _GET_AGAIN)
    return count

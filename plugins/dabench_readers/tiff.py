"""TIFF stacks, plain, compressed or tiled, read by page or by box; damage is found at opening, before any training."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from dabench.plugin import Block, DataError, Reader, Window
from dabench_readers.boxes import DAMAGE, GET_AGAIN, BoxVolume, need_numbers
from dabench_readers.tiff_voxels import voxel_of
from dabench_readers.voxels import Voxel

if TYPE_CHECKING:
    from dabench.plugin import Volume
    from dabench.types import Array

_SUFFIXES = {".tif", ".tiff"}
#: What a damaged file makes tifffile, imagecodecs and numpy raise.
_DAMAGE = (*DAMAGE, tifffile.TiffFileError, struct.error)


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
            raise DataError(f"{path}: not a readable TIFF: {error}.", GET_AGAIN) from None


class TiffVolume(BoxVolume):
    """A TIFF stack of which the pages, tiles or strips that a box touches are decoded. Safe in threads and forks.

    A page of plain pixels is read by row, without the rest of it.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        offset: int | None,
        chunks: tuple[int, int, int],
        voxel: Voxel,
    ) -> None:
        """Keep what was found; ``offset`` is where plain pixels start when the file has one page for all slices."""
        super().__init__(path, shape, dtype, chunks, voxel)
        self._raw_dtype, self._offset = dtype, offset
        #: Whether the file says that small values are bright; who opens images turns them.
        self.white_is_zero = False

    def absent(self, slices: range) -> tuple[int, int]:
        """(tiles or strips of these slices that are not stored, all of them)."""
        with self._lock:
            pages = self._opened().pages
            stored = [pages[z].databytecounts for z in slices] if len(pages) == self._shape[0] else []
        return sum(counts.count(0) for counts in stored), sum(map(len, stored))

    def _open(self) -> tifffile.TiffFile:
        return tifffile.TiffFile(self._path)

    def _fetch(self, block: Block) -> Array:
        window = block.window
        whole = block.shape[1:] == self._shape[1:]
        slices = range(block.z, block.z + block.depth)
        return np.stack([self._slice(z) if whole else self._part(z, window) for z in slices])

    def _slice(self, z: int) -> Array:
        if self._offset is not None:
            return self._rows(self._start(z), Window(0, 0, *self._shape[1:]))
        with self._lock:
            pages = self._opened().pages
            # One page with several samples is a stack of planes (see `_is_planes`).
            planes = len(pages) == 1 and self._shape[0] > 1
            page: Array = pages[0].asarray()[z] if planes else np.squeeze(pages[z].asarray())
        return page.reshape(self._shape[1:]) if page.size == np.prod(self._shape[1:]) else page

    def _part(self, z: int, window: Window) -> Array:
        if self._offset is not None:
            return self._rows(self._start(z), window)
        with self._lock:
            pages = self._opened().pages
            page = pages[z] if len(pages) > 1 or self._shape[0] == 1 else None
        if page is None:
            return self._slice(z)[window.slices]
        if page.is_contiguous:
            return self._rows(page.dataoffsets[0], window)
        return self._segments(page, window)

    def _start(self, z: int) -> int:
        return (self._offset or 0) + z * self._shape[1] * self._shape[2] * self._raw_dtype.itemsize

    def _rows(self, start: int, window: Window) -> Array:
        """Rows of plain pixels that begin at byte ``start``."""
        width = self._shape[2]
        first = start + window.y * width * self._raw_dtype.itemsize
        flat = np.fromfile(self._path, self._raw_dtype, count=window.height * width, offset=first)
        return flat.reshape(window.height, width)[:, window.x : window.x + window.width]

    def _segments(self, page: Any, window: Window) -> Array:
        """The tiles or strips that the window touches, decoded one by one; those that are not stored are 0."""
        height, width = _segment_shape(page.keyframe)
        across = -(-self._shape[2] // width)
        found = np.zeros((window.height, window.width), self.dtype)
        for row in range(window.y // height, -(-(window.y + window.height) // height)):
            for column in range(window.x // width, -(-(window.x + window.width) // width)):
                segment = self._decoded(page, row * across + column)
                if segment is not None:
                    _paste(segment, (row * height - window.y, column * width - window.x), found)
        return found

    def _decoded(self, page: Any, index: int) -> Array | None:
        """One tile or strip ``(rows, columns)``; read under the lock, decoded outside it."""
        with self._lock:
            handle = self._opened().filehandle
            handle.seek(page.dataoffsets[index])
            data = handle.read(page.databytecounts[index])
        segment, _, _ = page.decode(data or None, index, jpegtables=page.jpegtables)
        return None if segment is None else segment[0, :, :, 0]


def _segment_shape(page: tifffile.TiffPage) -> tuple[int, int]:
    """Rows and columns that are stored together."""
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    return min(page.rowsperstrip, page.imagelength), page.imagewidth


def _paste(segment: Array, at: tuple[int, int], onto: Array) -> None:
    """Copy what of a segment, placed at (row, column), lies on the other array."""
    (y, x), (height, width) = at, onto.shape
    top, left = max(y, 0), max(x, 0)
    bottom, right = min(y + segment.shape[0], height), min(x + segment.shape[1], width)
    onto[top:bottom, left:right] = segment[top - y : bottom - y, left - x : right - x]


def _inspect(path: Path, tif: tifffile.TiffFile) -> TiffVolume:
    """Shape and type of the stack, and that every page's bytes lie inside the file."""
    pages = list(tif.pages)
    if not pages:
        raise DataError(f"{path}: the TIFF holds no page.", GET_AGAIN)
    first = pages[0].aspage()
    dtype = np.dtype(first.dtype).newbyteorder(tif.byteorder)
    if _is_planes(pages):
        shape = (first.samplesperpixel, first.imagelength, first.imagewidth)
        return TiffVolume(path, shape, dtype, None, (1, *shape[1:]), Voxel())
    if first.samplesperpixel != 1:
        raise DataError(
            f"{path}: a colour TIFF ({first.samplesperpixel} samples a pixel).", "Convert it to grey first."
        )
    need_numbers(dtype, str(path))
    size, height, width = path.stat().st_size, first.imagelength, first.imagewidth
    for z, page in enumerate(pages):
        _check_page(path, z, page, (height, width), first.dtype, size)
    if _following(tif, pages[-1].offset):
        raise DataError(f"{path}: truncated: the page after slice {len(pages) - 1} is not in the file.", GET_AGAIN)
    _need_one_stack(path, tif)
    count = _hidden_slices(tif, path, size) if len(pages) == 1 else None
    offset = first.dataoffsets[0] if count else None
    volume = TiffVolume(
        path, (count or len(pages), height, width), dtype, offset, (1, *_segment_shape(first)), voxel_of(tif)
    )
    volume.white_is_zero = first.photometric == tifffile.PHOTOMETRIC.MINISWHITE
    return volume


def _need_one_stack(path: Path, tif: tifffile.TiffFile) -> None:
    """Raises DataError for an ImageJ or OME hyperstack: its pages are channels or times as well as slices."""
    if not (tif.is_imagej or tif.is_ome):
        return
    series = tif.series[0]
    lengths = dict(zip(series.axes, series.shape, strict=True))
    many = {axis: n for axis, n in lengths.items() if axis not in "YX" and n > 1}
    if len(many) > 1:
        shown = ", ".join(f"{axis} {length}" for axis, length in many.items())
        raise DataError(
            f"{path}: a hyperstack ({shown}); a volume has z, y, x alone.",
            "Write one channel and one time point as a stack of its own.",
        )


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
        raise DataError(f"{path}: truncated: slice {z} ends at byte {end}, the file has {size}.", GET_AGAIN)


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
        raise DataError(f"{path}: truncated: {count} slices end at byte {end}, the file has {size}.", GET_AGAIN)
    return count

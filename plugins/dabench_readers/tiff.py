"""TIFF stacks, plain, compressed or tiled, read by page or by box; damage is found at opening, before any training."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from dabench.plugin import Block, Choice, DataError, Reader, Window
from dabench_readers.axes import Spatial
from dabench_readers.boxes import DAMAGE, GET_AGAIN, BoxVolume, need_numbers
from dabench_readers.provenance import from_ome
from dabench_readers.tiff_series import SeriesVolume, chosen_series, is_stack_of_pictures
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
        """Open a stack of equally sized grey slices. Raises DataError: empty, truncated, several volumes or sizes."""
        return self.open_choice(path, Choice())

    def open_choice(self, path: Path, choice: Choice) -> Volume:
        """The same of one series, at one place along axes beside z, y, x."""
        try:
            with tifffile.TiffFile(path) as tif:
                return _inspect(path, tif, choice)
        except _DAMAGE as error:
            raise DataError(f"{path}: not a readable TIFF: {error}.", GET_AGAIN) from None


class TiffVolume(BoxVolume):
    """A TIFF stack of which the pages, tiles or strips that a box touches are decoded. Safe in threads and forks.

    A page of plain pixels is read by row, without the rest of it.
    """

    def __init__(
        self,
        path: Path,
        planes: Sequence[int],
        plane: tuple[int, int],
        dtype: np.dtype[Any],
        offset: int | None,
        chunks: tuple[int, int, int],
        voxel: Voxel,
    ) -> None:
        """Keep what was found.

        Args:
            path: of the file.
            planes: number of the page of each slice; of the plane, where the file has one page for all of them.
            plane: rows and columns.
            dtype: as stored.
            offset: where plain pixels start when the file has one page for all slices.
            chunks: what is stored together.
            voxel: what the file says of it.
        """
        super().__init__(path, (len(planes), *plane), dtype, chunks, voxel)
        self._planes, self._raw_dtype, self._offset = planes, dtype, offset
        #: Whether the file says that small values are bright; who opens images turns them.
        self.white_is_zero = False

    def absent(self, slices: range) -> tuple[int, int]:
        """(tiles or strips of these slices that are not stored, all of them)."""
        with self._lock:
            pages = self._opened().pages
            stored = [pages[self._planes[z]].databytecounts for z in slices] if self._offset is None else []
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
            page: Array = np.squeeze(self._opened().pages[self._planes[z]].asarray())
        return page.reshape(self._shape[1:]) if page.size == np.prod(self._shape[1:]) else page

    def _part(self, z: int, window: Window) -> Array:
        if self._offset is not None:
            return self._rows(self._start(z), window)
        with self._lock:
            page = self._opened().pages[self._planes[z]]
        if page.is_contiguous:
            return self._rows(page.dataoffsets[0], window)
        return self._segments(page, window)

    def _start(self, z: int) -> int:
        return (self._offset or 0) + self._planes[z] * self._shape[1] * self._shape[2] * self._raw_dtype.itemsize

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


def _inspect(path: Path, tif: tifffile.TiffFile, choice: Choice) -> Volume:
    """Shape and type of the volume, and that every page's bytes lie inside the file."""
    if not len(tif.pages):
        raise DataError(f"{path}: the TIFF holds no page.", GET_AGAIN)
    _need_the_last(path, tif)
    if is_stack_of_pictures(tif, choice):
        return _stack(path, tif, choice)
    number, series, choice = chosen_series(path, tif, choice)
    spatial = Spatial(series.shape, str(path), tuple(series.axes), choice)
    need_numbers(np.dtype(series.dtype), str(path))
    first, size = series.keyframe, path.stat().st_size
    planes = int(np.prod(series.shape[:-2], dtype=np.int64))
    plain = first.shape == series.shape[-2:] and spatial.in_order and spatial.at[1] == len(series.shape) - 2
    hidden = plain and len(tif.pages) == 1 < planes and series.dataoffset is not None
    if hidden:
        _need_bytes(path, first, planes, series, size)
    pages = [] if hidden else _pages(path, tif, series, size)
    voxel, photometric = voxel_of(tif, number), first.photometric
    if plain and all(page.parent is tif for page in pages):
        numbers = np.arange(planes).reshape(series.shape[:-2])[spatial.index(Block(0, 0, 0, *spatial.shape))[:-2]]
        chosen = numbers.ravel().tolist() if hidden else [pages[n].index for n in numbers.ravel()]
        volume: TiffVolume | SeriesVolume = _pages_volume(
            path, tif, first, chosen, first.dataoffsets[0] if hidden else None, voxel
        )
    else:
        volume = SeriesVolume(path, number, series, spatial, voxel)
        volume.files = tuple(sorted({Path(page.parent.filehandle.path) for page in pages}))
    volume.layout, volume.provenance = spatial.layout, from_ome(tif.ome_metadata)
    volume.white_is_zero = photometric == tifffile.PHOTOMETRIC.MINISWHITE
    return volume


def _stack(path: Path, tif: tifffile.TiffFile, choice: Choice) -> Volume:
    """Pages that were written one by one, each a slice."""
    pages = list(tif.pages)
    first, size = pages[0].aspage(), path.stat().st_size
    need_numbers(np.dtype(first.dtype), str(path))
    for z, page in enumerate(pages):
        _check_page(path, z, page, (first.imagelength, first.imagewidth), first.dtype, size)
    spatial = Spatial((len(pages), first.imagelength, first.imagewidth), str(path), (), choice)
    volume = _pages_volume(path, tif, first, range(len(pages)), None, voxel_of(tif))
    volume.layout = spatial.layout
    volume.white_is_zero = first.photometric == tifffile.PHOTOMETRIC.MINISWHITE
    return volume


def _pages_volume(
    path: Path, tif: tifffile.TiffFile, first: Any, planes: Sequence[int], offset: int | None, voxel: Voxel
) -> TiffVolume:
    dtype = np.dtype(first.dtype).newbyteorder(tif.byteorder)
    plane = (first.imagelength, first.imagewidth)
    return TiffVolume(path, planes, plane, dtype, offset, (1, *_segment_shape(first)), voxel)


def _pages(path: Path, tif: tifffile.TiffFile, series: Any, size: int) -> list[Any]:
    """The pages of a series, checked: all there, of one size and type, their bytes in the file."""
    pages = list(series.pages)
    if any(page is None for page in pages):
        raise DataError(
            f"{path}: {sum(page is None for page in pages)} of {len(pages)} planes are not there: the file says that "
            "they lie in other files.",
            "Put all files of the series into one folder.",
        )
    first = series.keyframe
    for z, page in enumerate(pages):
        if page.parent is tif:
            _check_page(path, z, page, first.shape, first.dtype, size)
        else:
            where = Path(page.parent.filehandle.path)
            _check_page(where, z, page, first.shape, first.dtype, where.stat().st_size)
    return pages


def _need_the_last(path: Path, tif: tifffile.TiffFile) -> None:
    if _following(tif, tif.pages[-1].offset):
        raise DataError(f"{path}: truncated: the page after slice {len(tif.pages) - 1} is not in the file.", GET_AGAIN)


def _need_bytes(path: Path, first: Any, planes: int, series: Any, size: int) -> None:
    """One page describes all slices (ImageJ above 4 GB, `shaped` files): they follow its pixels."""
    end = first.dataoffsets[0] + planes * int(np.prod(series.shape[-2:])) * series.dtype.itemsize
    if end > size:
        raise DataError(f"{path}: truncated: {planes} slices end at byte {end}, the file has {size}.", GET_AGAIN)


def _check_page(
    path: Path, z: int, page: tifffile.TiffPage | tifffile.TiffFrame, shape: tuple[int, ...], dtype: Any, size: int
) -> None:
    found = page.shape
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

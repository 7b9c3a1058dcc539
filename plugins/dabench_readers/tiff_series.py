"""Series of a TIFF: which of several is meant, and those whose planes are not the slices in order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tifffile

from dabench.plugin import Block, Choice, DataError
from dabench.types import Array
from dabench_readers.axes import Spatial
from dabench_readers.boxes import DAMAGE, BoxVolume
from dabench_readers.voxels import Voxel


class SeriesVolume(BoxVolume):
    """A series with other axes, colours, or planes in several files, read by tile through tifffile's zarr store."""

    def __init__(self, path: Path, number: int, series: Any, spatial: Spatial, voxel: Voxel) -> None:
        """Keep what the series says of itself; ``number`` among those of the file."""
        chunks = spatial.of(_as_zarr(series).chunks)
        super().__init__(path, spatial.shape, series.dtype, chunks, voxel)
        self._number, self._spatial = number, spatial
        self.white_is_zero = False
        #: All files that hold its planes.
        self.files: tuple[Path, ...] = ()

    def _open(self) -> Any:
        tif = tifffile.TiffFile(self._path)
        return _readable(tif.series[self._number]), tif  # the array lives as long as its file

    def absent(self, slices: range) -> tuple[int, int]:
        """(tiles or strips that are not stored, all of them), of the whole series: slices share its planes."""
        del slices
        with self._lock:
            stored = [page.databytecounts for page in self._opened()[1].series[self._number].pages]
        return sum(counts.count(0) for counts in stored), sum(map(len, stored))

    def _fetch(self, block: Block) -> Array:
        return self._spatial.turned(self._opened()[0][self._spatial.index(block)])


def _as_zarr(series: Any) -> Any:
    import zarr

    return zarr.open(series.aszarr(), mode="r")


def _readable(series: Any) -> Any:
    """A series by tile; whole where tifffile's store does not find its own, because of axes of length 1 at the end."""
    stored = _as_zarr(series)
    try:
        stored[tuple(n - 1 for n in stored.shape)]
    except DAMAGE as error:  # damage itself is named where it is read
        if "invalid entry in coordinates array" in str(error):
            return series.asarray()
    return stored


def is_stack_of_pictures(tif: tifffile.TiffFile, choice: Choice) -> bool:
    """Whether pages stand side by side as slices: none says that it belongs to a volume or to a named image."""
    found = tif.series
    if tif.is_ome or tif.is_imagej or len(found) == 1 or "series" in dict(choice.at):
        return False
    pages = {(series.keyframe.shape, series.dtype) for series in found if series.kind == "generic"}
    one = len(pages) == 1 and all(series.kind == "generic" for series in found)  # stored in several ways
    return all(series.axes == "YX" for series in found) or (one and len(found[0].keyframe.shape) == 2)


def chosen_series(path: Path, tif: tifffile.TiffFile, choice: Choice) -> tuple[int, Any, Choice]:
    """Number and series that a choice means, and what of the choice is left.

    Raises:
        DataError: several series and none chosen, or no such series.
    """
    number = dict(choice.at).get("series")
    count = len(tif.series)
    rest = Choice(choice.axes, tuple(entry for entry in choice.at if entry[0] != "series"))
    if number is None and count > 1:
        raise DataError(
            f"{path}: holds {count} series: {_listed(tif)}.",
            f"Say which one, --series 0, or at the end of the path:  {path}/series=0",
        )
    if number is not None and number >= count:
        raise DataError(f"{path}: has no series {number}; it holds {count}: {_listed(tif)}.", "Series count from 0.")
    return number or 0, tif.series[number or 0], rest


def _listed(tif: tifffile.TiffFile, most: int = 8) -> str:
    said = [
        f"{number} {series.name + ' ' if series.name else ''}({', '.join(series.axes)} = {tuple(series.shape)})"
        for number, series in enumerate(tif.series[:most])
    ]
    return ", ".join(said) + (f" and {len(tif.series) - most} more" if len(tif.series) > most else "")

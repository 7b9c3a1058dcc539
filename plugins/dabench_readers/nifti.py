"""NIfTI (``.nii``, ``.nii.gz``): axes that run left-right, back-front, down-up become x, y, z, in the direction stored.

Which way an axis runs is kept as the volume's placement: labels are turned to their images, not all to one direction,
so that places still count the voxels of the file.
"""

from __future__ import annotations

import gzip
import math
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dabench.plugin import Block, Choice, DataError, Placement, Reader
from dabench_readers.axes import Spatial
from dabench_readers.boxes import DAMAGE, GET_AGAIN, BoxVolume, many_slices, need_numbers
from dabench_readers.provenance import from_comments
from dabench_readers.voxels import Voxel, as_text

if TYPE_CHECKING:
    from dabench.plugin import Volume
    from dabench.types import Array

#: Axes beyond those of space, as the standard has them.
_BEYOND = ("time", "channel", "axis5", "axis6")
#: Bytes that gzip makes of one at most.
_DENSEST = 1032
#: Code of a comment among the extensions of a header.
_COMMENT = 6


class NiftiReader(Reader):
    """Opens ``.nii`` and ``.nii.gz`` files."""

    def accepts(self, path: Path) -> bool:
        """By suffix."""
        return path.is_file() and path.name.lower().endswith((".nii", ".nii.gz"))

    def open(self, path: Path) -> Volume:
        """Open one grey volume. Raises DataError: damaged, truncated, colour, several volumes."""
        return self.open_choice(path, Choice())

    def open_choice(self, path: Path, choice: Choice) -> Volume:
        """The same, at one time or channel; axes that the user names stand for what the affine says."""
        from nibabel.filebasedimages import ImageFileError
        from nibabel.spatialimages import HeaderDataError

        try:
            return _inspect(path, _load(path), choice)
        except (*DAMAGE, ImageFileError, HeaderDataError) as error:
            raise DataError(f"{path}: not a readable NIfTI: {error}.", GET_AGAIN) from None


class NiftiVolume(BoxVolume):
    """A NIfTI volume; values are scaled by its slope and intercept, then float32, where it has any.

    A gzipped file is kept open: reading on is cheap, going back unpacks it from its beginning, and no more of it is in
    memory than what was asked for. Its checksum lies behind the last voxel: before the first is handed out, the whole
    file is unpacked once in each process.
    """

    def __init__(self, path: Path, image: Any, spatial: Spatial, placement: Placement | None) -> None:
        """Keep what the header says."""
        stored = image.header.get_data_dtype()
        dtype = np.dtype(np.float32) if _is_scaled(image) else stored
        scattered = _is_gzipped(path) or not _reversed(spatial)
        chunks = many_slices(spatial.shape, stored.itemsize) if scattered else (1, *spatial.shape[1:])
        super().__init__(path, spatial.shape, dtype, chunks, _voxel(image.header, spatial))
        self._spatial, self.placement, self.layout = spatial, placement, spatial.layout
        comments = [as_text(part.get_content()) for part in image.header.extensions if part.get_code() == _COMMENT]
        self.provenance = from_comments(comments)
        if placement is not None:
            self.layout += f" (towards {_codes(placement.affine)})"

    def _open(self) -> Any:
        return _load(self._path).dataobj

    def _fetch(self, block: Block) -> Array:
        index = self._spatial.index(block)
        if _is_gzipped(self._path):
            status = self._path.stat()
            _check_whole(self._path, status.st_size, status.st_mtime_ns)
        with self._lock:
            data = self._opened()
            # To skip voxels, nibabel reads over them where that is quicker: of one stored plane, not of the volume.
            last = max(axis for axis, at in enumerate(index) if isinstance(at, slice))
            span = range(*index[last].indices(data.shape[last]))  # type: ignore[union-attr]
            if _reversed(self._spatial):
                values = np.asarray(data[index])
            else:
                values = np.stack([np.asarray(data[(*index[:last], k, *index[last + 1 :])]) for k in span], -1)
        return self._spatial.turned(values)


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


def _inspect(path: Path, image: Any, choice: Choice) -> NiftiVolume:
    dtype, shape = image.header.get_data_dtype(), tuple(int(length) for length in image.shape)
    need_numbers(dtype, str(path))
    placement = None if choice.axes else _placement(image)
    names = _axes(placement)[: len(shape)] + _BEYOND[: max(0, len(shape) - 3)]
    spatial = Spatial(shape, str(path), names, choice)
    end, size = image.dataobj.offset + math.prod(shape) * dtype.itemsize, path.stat().st_size
    if end > size * (_DENSEST if _is_gzipped(path) else 1):
        raise DataError(f"{path}: truncated: its voxels end at byte {end}, the file has {size}.", GET_AGAIN)
    return NiftiVolume(path, image, spatial, None if placement is None else _in_order(placement, spatial))


def _placement(image: Any) -> Placement | None:
    """The affine as stored, None where the header has neither of its two."""
    if not (image.header["sform_code"] or image.header["qform_code"]):
        return None
    return Placement(np.asarray(image.affine, np.float64), str(image.header.get_xyzt_units()[0]))


def _axes(placement: Placement | None) -> tuple[str, ...]:
    """What the three stored axes are, by the direction in space that each is nearest to."""
    import nibabel

    if placement is None:
        return ("x", "y", "z")
    orientations: Any = nibabel.orientations
    nearest = orientations.io_orientation(placement.affine)[:, 0]
    return ("x", "y", "z") if np.isnan(nearest).any() else tuple("xyz"[int(axis)] for axis in nearest)


def _in_order(placement: Placement, spatial: Spatial) -> Placement | None:
    """The same for indices in the order x, y, z; None for a single picture."""
    columns = [axis for axis in reversed(spatial.at) if axis is not None]
    return Placement(placement.affine[:, [*columns, 3]], placement.unit) if len(columns) == 3 else None


def _codes(affine: Array) -> str:
    """Where x, y, z run to, by a letter each: R or L, A or P, S or I."""
    import nibabel

    orientations: Any = nibabel.orientations
    return "".join(str(code) for code in orientations.aff2axcodes(affine))


def _reversed(spatial: Spatial) -> bool:
    """Whether axes are stored as x, y, z, so that a slice lies together: NIfTI's first axis runs fastest."""
    return list(spatial.at) == sorted((axis for axis in spatial.at if axis is not None), reverse=True)


def _is_gzipped(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _is_scaled(image: Any) -> bool:
    return (image.dataobj.slope, image.dataobj.inter) != (1.0, 0.0)


def _voxel(header: Any, spatial: Spatial) -> Voxel:
    """Sizes in the header's unit; a header that names no unit says nothing."""
    sizes = [float(size) for size in header.get_zooms()]
    return Voxel(spatial.of(sizes), (str(header.get_xyzt_units()[0]),), "the header")

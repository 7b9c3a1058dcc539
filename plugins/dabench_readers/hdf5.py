"""HDF5: the one volume of a file, or the one that a path names inside it (``scan.h5/volumes/raw``)."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dabench.plugin import Block, Choice, DataError, Reader
from dabench_readers.axes import Spatial
from dabench_readers.boxes import DAMAGE, GET_AGAIN, BoxVolume, listing, many_slices, need_numbers
from dabench_readers.linked import linked_datasets, linked_files
from dabench_readers.provenance import NAME, from_text
from dabench_readers.voxels import Voxel, as_text, from_attributes

if TYPE_CHECKING:
    import h5py

    from dabench.plugin import Volume
    from dabench.types import Array

_SUFFIXES = {".h5", ".hdf5", ".hdf", ".he5", ".ilp"}
#: Bytes of decoded chunks that HDF5 keeps for each file: a row of 64³ chunks of a 4096² volume.
_CHUNK_CACHE = 32 * 2**20


class Hdf5Reader(Reader):
    """Opens ``.h5``, ``.hdf5`` and ``.hdf`` files and the volumes in them."""

    def accepts(self, path: Path) -> bool:
        """By the suffix of the file, which may be a parent of the path."""
        return _split(path) is not None

    def open(self, path: Path) -> Volume:
        """Open the only volume below the path. Raises DataError: damaged, none or several, not numbers, not 3-D."""
        return self.open_choice(path, Choice())

    def open_choice(self, path: Path, choice: Choice) -> Volume:
        """The same, at one place along axes beside z, y, x."""
        found = _split(path)
        if found is None:
            raise DataError(f"{path}: no HDF5 file.", "The name of an HDF5 file ends in .h5, .hdf5 or .hdf.")
        file, inner = found
        try:
            with _file(file) as opened:
                return _inspect(file, inner, opened, choice)
        except DAMAGE as error:
            raise DataError(f"{file}: not a readable HDF5 file: {error}.", GET_AGAIN) from None


class Hdf5Volume(BoxVolume):
    """A dataset of an HDF5 file, with all ``files`` that hold its values."""

    def __init__(self, file: Path, dataset: h5py.Dataset, spatial: Spatial, files: tuple[Path, ...]) -> None:
        """Keep what the dataset says of itself; ``file`` stays closed until something is read."""
        self.files = files
        chunks = spatial.of(dataset.chunks) if dataset.chunks else _contiguous(spatial, dataset.dtype.itemsize)
        voxel = from_attributes(dict(dataset.attrs), spatial.sizes)
        super().__init__(
            Path(f"{file}{dataset.name}"),
            spatial.shape,
            dataset.dtype,
            chunks,
            voxel if voxel.sizes else _scales(dataset, spatial),
        )
        self.layout = spatial.layout
        self.provenance = from_text(as_text(dataset.attrs[NAME])) if NAME in dataset.attrs else {}
        self._file, self._inner, self._spatial = file, dataset.name, spatial

    def _open(self) -> Any:
        # The decoded chunks that HDF5 keeps live as long as the dataset is open, the dataset as long as the file.
        file = _file(self._file)
        return file, file[self._inner]

    def _fetch(self, block: Block) -> Array:
        return self._spatial.turned(self._opened()[1][self._spatial.index(block)])

    def absent(self, slices: range) -> tuple[int, int]:
        """(chunks of these slices that are not stored, all of them); voxels where the dataset has no chunks."""
        dataset = self._opened()[1]
        if dataset.is_virtual:
            mapped = sum(source.vspace.get_select_npoints() for source in dataset.virtual_sources())
            return max(0, dataset.size - mapped), dataset.size
        if dataset.chunks is None:
            stored = dataset.external or dataset.id.get_storage_size() or _is_compact(dataset)
            return 0 if stored else dataset.size, dataset.size
        grid = self._spatial.grid(dataset.chunks, slices)
        found: list[Any] = []
        dataset.id.chunk_iter(lambda info: found.append(info.chunk_offset))
        stored = sum(
            all(at // size in span for at, size, span in zip(corner, dataset.chunks, grid, strict=True))
            for corner in found
        )
        total = math.prod(map(len, grid))
        return total - stored, total


def _is_compact(dataset: h5py.Dataset) -> bool:
    import h5py

    return bool(dataset.id.get_create_plist().get_layout() == h5py.h5d.COMPACT)


def _file(path: Path) -> h5py.File:
    import h5py

    return h5py.File(path, "r", rdcc_nbytes=_CHUNK_CACHE)


def _split(path: Path) -> tuple[Path, str] | None:
    """The file, and the place inside it ("" for all of it)."""
    for file in (path, *path.parents):
        if file.suffix.lower() in _SUFFIXES and file.is_file():
            return file, path.relative_to(file).as_posix() if file != path else ""
    return None


def _inspect(file: Path, inner: str, opened: h5py.File, choice: Choice) -> Hdf5Volume:
    import h5py

    if inner and inner not in opened:
        raise DataError(f"{file}: holds no {inner!r}; it holds {listing(_datasets(opened))}.", f"Say  {file}/PATH")
    node = opened[inner] if inner else opened
    if isinstance(node, h5py.Group):
        node = _only(file, node)
    if not isinstance(node, h5py.Dataset):
        raise DataError(f"{file}/{inner}: is a {type(node).__name__}, not a dataset.")
    where = f"{file}{node.name}"
    need_numbers(node.dtype, where)
    files = linked_files(file, node)
    spatial = Spatial(node.shape or (), where, _axes(node, where), choice)
    # What an external link leads to is opened where it lies.
    return Hdf5Volume(Path(node.file.filename), node, spatial, files)


def _only(file: Path, group: h5py.Group) -> h5py.Dataset:
    found = _datasets(group)
    volumes = list(filter(_is_volume, found)) or list(filter(_is_volume, linked_datasets(file, group)))
    if len(volumes) == 1:
        return group[volumes[0][0]]
    if not volumes:
        raise DataError(f"{file}: holds no dataset with three axes; it holds {listing(found)}.", GET_AGAIN)
    raise DataError(
        f"{file}: holds {len(volumes)} volumes: {listing(volumes)}.", f"Say which, for example  {file}{volumes[0][0]}"
    )


def _is_volume(entry: tuple[str, tuple[int, ...], Any]) -> bool:
    _, shape, dtype = entry
    return len(shape) >= 3 and dtype.kind in "buif"


def _datasets(group: h5py.Group) -> list[tuple[str, tuple[int, ...], Any]]:
    """Full name, shape and type of every dataset below a group, in order of names."""
    import h5py

    found: list[tuple[str, tuple[int, ...], Any]] = []

    def visit(_: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and node.shape and not node.is_scale:
            found.append((node.name, node.shape, node.dtype))

    group.visititems(visit)
    return sorted(found, key=lambda entry: entry[0])


def _axes(dataset: h5py.Dataset, where: str) -> list[str]:
    """Names of the axes: ``axistags`` (ilastik), labels of the dimensions, names of their scales; [] for none."""
    if "axistags" in dataset.attrs:
        try:
            return [str(axis["key"]) for axis in json.loads(as_text(dataset.attrs["axistags"]))["axes"]]
        except (ValueError, LookupError, TypeError):
            raise DataError(
                f"{where}: its attribute axistags is not what ilastik writes.",
                f"Say the axes at the end of the path, for example  {where}/axes=zyx",
            ) from None
    found = [dim.label or (dim[0].name or "").rpartition("/")[2] if len(dim) else dim.label for dim in dataset.dims]
    return found if any(found) else []


def _contiguous(spatial: Spatial, itemsize: int) -> tuple[int, int, int]:
    """Of a dataset without chunks: rows of a slice lie together where its axes are in order."""
    return (1, *spatial.shape[1:]) if spatial.in_order else many_slices(spatial.shape, itemsize)


def _scales(dataset: h5py.Dataset, spatial: Spatial) -> Voxel:
    """Voxel size from dimension scales: the step of each axis's coordinates, in the unit that the scale names."""
    axes = spatial.of([dim[0] if len(dim) else None for dim in dataset.dims], None)
    if any(axis is None or axis.ndim != 1 or len(axis) < 2 for axis in axes):
        return Voxel()
    units = tuple(as_text(axis.attrs.get("units", axis.attrs.get("unit", ""))) for axis in axes)
    return Voxel(tuple(float(axis[1] - axis[0]) for axis in axes), units, "a dimension scale")

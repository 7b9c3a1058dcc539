"""zarr v2 and v3: arrays, groups with one volume, and OME-Zarr 0.1 to 0.5 (full resolution of the first multiscale)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dabench.plugin import Block, Choice, DataError, Placement, Reader
from dabench_readers.absent import absent_chunks, need_keys
from dabench_readers.axes import Spatial
from dabench_readers.boxes import DAMAGE, GET_AGAIN, BoxVolume, listing, need_numbers
from dabench_readers.ome import Multiscale, multiscale_of
from dabench_readers.provenance import from_attributes
from dabench_readers.voxels import Voxel
from dabench_readers.voxels import from_attributes as voxel_from

if TYPE_CHECKING:
    from dabench.plugin import Volume
    from dabench.types import Array

_MARKS = ("zarr.json", ".zgroup", ".zarray")


class ZarrReader(Reader):
    """Opens zarr folders, and arrays, groups and label images inside them (``x.zarr/labels/mito``)."""

    def accepts(self, path: Path) -> bool:
        """Whether the path is a zarr node, or names something inside a store."""
        return _store(path) is not None

    def open(self, path: Path) -> Volume:
        """Open the only volume below the path. Raises DataError: damaged, none or several, axes that are no volume."""
        return self.open_choice(path, Choice())

    def open_choice(self, path: Path, choice: Choice) -> Volume:
        """The same, at one place along axes beside z, y, x; ``series`` counts the multiscales of a group."""
        try:
            return _inspect(path, _node(path), choice)
        except FileNotFoundError:
            store = _store(path) or path
            inner = path.relative_to(store)
            what = f"no {inner.as_posix()!r}" if path != store else "no zarr array or group"
            held = listing(_volumes(_node(store))) if path != store else "no zarr.json, .zarray or .zgroup"
            raise DataError(f"{store}: holds {what}; it holds {held}.", f"Say  {store}/PATH") from None
        except DAMAGE as error:
            raise DataError(f"{path}: not a readable zarr: {type(error).__name__}: {error}.", GET_AGAIN) from None


class ZarrVolume(BoxVolume):
    """A zarr array. Chunks that are not there hold the array's fill value, as zarr defines it."""

    def __init__(self, path: Path, array: Any, spatial: Spatial, voxel: Voxel) -> None:
        """Keep what the array says of itself; ``path`` is the array's own folder."""
        # A part of a shard is read on its own: what is decoded together is the inner chunk.
        super().__init__(path, spatial.shape, array.dtype, spatial.of(array.chunks), voxel)
        self._spatial, self.layout = spatial, spatial.layout

    def _open(self) -> Any:
        return _node(self._path)

    def _fetch(self, block: Block) -> Array:
        return self._spatial.turned(self._opened()[self._spatial.index(block)])

    def absent(self, slices: range) -> tuple[int, int]:
        """(chunks of these slices that are not stored, all of them)."""
        array = self._opened()
        return absent_chunks(self._path, array, self._spatial.grid(array.shards or array.chunks, slices))


def _node(path: Path) -> Any:
    import zarr

    if not any((path / mark).is_file() for mark in _MARKS):
        raise FileNotFoundError(path)
    return zarr.open(str(path), mode="r")


def _store(path: Path) -> Path | None:
    """The outermost zarr folder that the path is, or lies in."""
    found = None
    for folder in (path, *path.parents):
        if folder.suffix == ".zarr" or any((folder / mark).is_file() for mark in _MARKS):
            found = folder if folder.is_dir() else found
        elif found is not None:
            break
    return found


def _inspect(path: Path, node: Any, choice: Choice) -> ZarrVolume:
    import zarr

    if isinstance(node, zarr.Array):
        return _volume(path, node, _level_of(path), choice)
    series = dict(choice.at).get("series", 0)
    multiscale = multiscale_of(dict(node.attrs), path, number=series)
    if multiscale is not None:
        inner = path / multiscale.path
        try:
            array = _node(inner)
        except FileNotFoundError:
            raise DataError(
                f"{path}: its multiscale names the array {multiscale.path!r}, which is not there.", GET_AGAIN
            ) from None
        volume = _volume(inner, array, multiscale, _without_series(choice))
        volume.placement, volume.provenance = _placement(dict(node.attrs)), _provenance(path)
        return volume
    volumes = _volumes(node)
    if len(volumes) == 1:
        inner = path / volumes[0][0]
        return _inspect(inner, _node(inner), choice)
    if not volumes:
        raise DataError(f"{path}: an empty group: no array with three axes lies in it.", GET_AGAIN)
    raise DataError(
        f"{path}: holds {len(volumes)} volumes: {listing(volumes)}.",
        f"Say which, for example  {path / volumes[0][0]}",
    )


def _placement(attributes: Mapping[str, Any]) -> Placement | None:
    """Where the images of a prediction lay in space, as ``dabench predict`` notes it."""
    about = attributes.get("dabench")
    said = about.get("placement") if isinstance(about, Mapping) else None
    if not isinstance(said, Mapping):
        return None
    affine = np.asarray(said.get("affine"), np.float64)
    return Placement(affine, str(said.get("unit"))) if affine.shape == (4, 4) else None


def _provenance(path: Path) -> dict[str, Any]:
    """What dabench noted: of a label image at the root of its store."""
    for folder in (path, *path.parents):
        if not any((folder / mark).is_file() for mark in _MARKS):
            break
        if noted := from_attributes(dict(_node(folder).attrs)):
            return noted
    return {}


def _without_series(choice: Choice) -> Choice:
    return Choice(choice.axes, tuple(entry for entry in choice.at if entry[0] != "series"))


def _level_of(path: Path) -> Multiscale | None:
    """What the multiscale of a group above says of an array that was named directly."""
    for group in path.parents:
        if not any((group / mark).is_file() for mark in _MARKS):
            return None
        found = multiscale_of(dict(_node(group).attrs), group, path.relative_to(group).as_posix())
        if found is not None:
            return found
    return None


def _volume(path: Path, array: Any, multiscale: Multiscale | None, choice: Choice) -> ZarrVolume:
    import zarr

    if not isinstance(array, zarr.Array):
        raise DataError(f"{path}: is a group, and its parent's multiscale says it is an array.", GET_AGAIN)
    need_numbers(array.dtype, str(path))
    need_keys(path, array)
    names = _axes(array)
    if multiscale is not None:
        multiscale.check(array.shape, path)
        _need_agreement(names, multiscale.axes, path)
        names = multiscale.axes
    spatial = Spatial(array.shape, str(path), names, choice)
    voxel = multiscale.voxel(spatial) if multiscale is not None else Voxel()
    return ZarrVolume(path, array, spatial, voxel if voxel.sizes else voxel_from(dict(array.attrs), spatial.sizes))


def _axes(array: Any) -> tuple[str | None, ...]:
    """Names of the axes: those of zarr v3, or what xarray writes into v2; () for none."""
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS") or ()
    return tuple(names) if any(names) else ()


def _need_agreement(names: tuple[str | None, ...], axes: tuple[str, ...], path: Path) -> None:
    """Raises DataError where an array calls its axes by the letters of the multiscale in another order."""
    if set(names) == set(axes) and names != axes:
        raise DataError(
            f"{path}: its axes are {', '.join(map(str, names))}, its multiscale says {', '.join(axes)}.",
            f"Say which is right:  {path}/axes={''.join(axes)}",
        )


def _volumes(node: Any) -> list[tuple[str, tuple[int, ...], Any]]:
    """Arrays of three or more axes below a node; of a multiscale the group, with the shape of its full resolution."""
    import zarr

    if isinstance(node, zarr.Array):
        return [("", node.shape, node.dtype)]
    found: list[tuple[str, tuple[int, ...], Any]] = []
    _collect(node, "", found)
    return sorted(found, key=lambda entry: entry[0])


def _collect(group: Any, below: str, found: list[tuple[str, tuple[int, ...], Any]]) -> None:
    import zarr

    for name, node in group.members():
        path = f"{below}{name}"
        if isinstance(node, zarr.Array):
            if node.ndim >= 3:
                found.append((path, node.shape, node.dtype))
        elif (level := _first_level(node)) is not None:
            found.append((path, level.shape, level.dtype))
        else:
            _collect(node, f"{path}/", found)


def _first_level(group: Any) -> Any:
    attributes: Mapping[str, Any] = dict(group.attrs)
    multiscale = multiscale_of(attributes, Path(group.name))
    return group.get(multiscale.path) if multiscale is not None else None

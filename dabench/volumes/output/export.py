"""A volume of a domain as a separate file, so that you can use it like a scan of your own."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

from dabench.data.blocks import block_grid, read_block
from dabench.data.volumes import Wrapper
from dabench.errors import ConfigError
from dabench.interfaces.observer import Progress
from dabench.volumes.output.convert import format_of, write_as
from dabench.volumes.output.layout import INNER, OUTER
from dabench.volumes.output.omezarr import OmeZarr
from dabench.volumes.output.provenance import travelling
from dabench.volumes.output.pyramid import build_pyramid

if TYPE_CHECKING:
    from pathlib import Path

    from dabench.interfaces import Volume


class _Described(Wrapper):
    """A volume with the voxel size of its domain, whatever its file says, and no place in space."""

    def __init__(self, volume: Volume, voxel: tuple[float, float, float]) -> None:
        super().__init__(volume)
        self._voxel = voxel

    @property
    def voxel(self) -> tuple[float, float, float]:
        """Voxel size in nm (z, y, x)."""
        return self._voxel

    @property
    def placement(self) -> None:
        """A place in space has a voxel size of its own, which the domain may have corrected."""


def check_new(option: str, path: Path) -> None:
    """Raises ConfigError for a name without a format, and for a file that exists."""
    format_of(path, option)
    if path.exists():
        raise ConfigError(f"{option} {path}: exists.", "Choose another name.")


def export_volume(
    volume: Volume, voxel: tuple[float, float, float], path: Path, name: str, progress: Progress, *, names: bool = False
) -> None:
    """Write a volume as OME-Zarr, TIFF, HDF5 or NIfTI by the end of a path, its values as they are.

    Args:
        volume: of any size; a part of it is in memory at a time.
        voxel: nm (z, y, x), kept in the file.
        path: a new file or folder; a kill leaves none.
        name: of the image in the file's metadata, of the data set in HDF5.
        progress: told of slices or files done.
        names: whether its values are names (of classes, of objects), which have no mean.

    Raises:
        ConfigError: the path exists or has no known suffix.
        DataError: the volume cannot be read.

    Example:
        >>> import tempfile, pathlib, numpy as np
        >>> from dabench.data.volumes import ArrayVolume
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "scan.tif"
        >>> scan = ArrayVolume(np.zeros((2, 8, 8), np.uint8))
        >>> export_volume(scan, (30.0, 8.0, 8.0), file, "images", lambda done, total: None)
        >>> file.is_file()
        True
    """
    check_new("--output", path)
    source = _Described(volume, voxel)
    if format_of(path) == "zarr":
        _write_zarr(source, path, name, progress, reduced="mode" if names else "mean")
    else:
        write_as(path)(source, path, name, progress)


def _write_zarr(source: _Described, path: Path, name: str, progress: Progress, reduced: str) -> None:
    box = (INNER[0], OUTER, OUTER)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    kind: dict[str, Any] = {"image": name, "dtype": str(source.dtype), "reduced": reduced}
    made = OmeZarr(part, source.shape, box, source.voxel, (), about=travelling(source.provenance), **kind)
    try:
        made.create()
        sink, blocks = made.blocks(name), list(block_grid(source.shape, box))
        for done, block in enumerate(blocks, 1):
            sink.write_block(block, read_block(source, block))
            progress(done, len(blocks))
        for done, count in build_pyramid(made, name):
            progress(done, count)
        part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)

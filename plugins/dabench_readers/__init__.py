"""Readers of the formats that EM labs hand around: TIFF, folders of slices, HDF5, zarr and OME-Zarr, NIfTI."""

from __future__ import annotations

from dabench.plugin import Component, Reader, Register, hookimpl
from dabench_readers.folder import FolderReader
from dabench_readers.hdf5 import Hdf5Reader
from dabench_readers.nifti import NiftiReader
from dabench_readers.tiff import TiffReader
from dabench_readers.zarr_store import ZarrReader

#: Name -> reader, what it reads, and what it builds on.
_READERS: dict[str, tuple[type[Reader], str, str]] = {
    "hdf5": (Hdf5Reader, "HDF5, the one volume of a file or scan.h5/inner/path, read by box", "h5py (BSD-3-Clause)"),
    "nifti": (NiftiReader, "NIfTI, plain or gzipped, axes x, y, z turned into z, y, x", "nibabel (MIT)"),
    "png-folder": (
        FolderReader,
        "Folder of PNG, JPEG or single-page TIFF slices, in natural order of their names",
        "Pillow (MIT-CMU)",
    ),
    "tiff": (
        TiffReader,
        "TIFF stack, plain, compressed, tiled, BigTIFF or ImageJ, read by page or by box",
        "tifffile (BSD-3-Clause), imagecodecs (BSD-3-Clause)",
    ),
    "zarr": (ZarrReader, "zarr v2 and v3, OME-Zarr 0.1 to 0.5 with its voxel size, read by box", "zarr (MIT)"),
}


@hookimpl
def register_readers(register: Register) -> None:
    """Register a reader for each format."""
    for name, (reader, summary, licence) in _READERS.items():
        register(Component(name, lambda config, make=reader: make(), summary=summary, licence=licence))  # noqa: ARG005

"""A volume as TIFF, HDF5 or NIfTI, streamed slab by slab."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from dabench import __version__
from dabench.errors import ConfigError
from dabench.files.atomic import atomic
from dabench.interfaces import BlockVolume
from dabench.interfaces.observer import Progress
from dabench.types import Block
from dabench.volumes.output.provenance import NAME, as_annotation, as_comment, as_text

if TYPE_CHECKING:
    from pathlib import Path

    from dabench.interfaces import Placement
    from dabench.types import Array


class Stored(BlockVolume, Protocol):
    """What is written: a volume read by box, with the facts that a file may keep of it."""

    @property
    def voxel(self) -> tuple[float, float, float] | None:
        """Voxel size in nm (z, y, x), or None where it is not known."""

    @property
    def placement(self) -> Placement | None:
        """Where it lies in space, or None."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """How dabench made it, by name; nothing for what others made."""


#: Formats by the end of a name.
FORMATS = {
    ".zarr": "zarr",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".nii": "nifti",
    ".nii.gz": "nifti",
}
#: Voxels along an axis up to which NIfTI-1 can count; larger volumes are NIfTI-2.
_MOST_NIFTI = 32767


def format_of(path: Path, option: str = "--output") -> str:
    """``zarr``, ``tiff``, ``hdf5`` or ``nifti`` by the end of a path. Raises ConfigError."""
    found = next((name for end, name in FORMATS.items() if path.name.lower().endswith(end)), None)
    if found is None:
        raise ConfigError(
            f"{option} {path}: no format has the suffix {path.suffix or '(none)'!r}.",
            f"Use one of {', '.join(FORMATS)}, for example  {option} {path.with_suffix('.zarr').name}",
        )
    return found


def write_as(path: Path) -> Callable[[Stored, Path, str, Progress], None]:
    """What writes one array in the format of a path that is no zarr."""
    return {"tiff": write_tiff, "hdf5": write_hdf5, "nifti": write_nifti}[format_of(path)]


def write_tiff(volume: Stored, path: Path, name: str, progress: Progress) -> None:
    """A deflated BigTIFF with the voxel size and how it was made in its OME metadata.

    A mask is 0 and 255, so that a viewer shows it; a probability is float32 in [0, 1), so that it is not mistaken for
    ids.
    """
    import tifffile

    about: dict[str, Any] = {"axes": "ZYX", "Name": name}
    plain: dict[str, Any] = {}
    if volume.provenance:
        about["MapAnnotation"] = as_annotation(volume.provenance)
    if volume.voxel:
        for axis, size in zip("ZYX", volume.voxel, strict=True):
            about |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "nm"}
        # Pixels per centimetre, for programs that read the plain tags only.
        plain = {"resolution": (1e7 / volume.voxel[2], 1e7 / volume.voxel[1]), "resolutionunit": "CENTIMETER"}
    dtype, factor = _scale(volume, name)
    kind: dict[str, Any] = {
        "shape": volume.shape,
        "dtype": dtype,
        "photometric": "minisblack",
        "compression": "zlib",
        "software": f"dabench {__version__}",
    }
    with atomic(path) as part, tifffile.TiffWriter(part, bigtiff=True, ome=True) as writer:
        writer.write(
            _pages(volume, dtype, 255 if name == "mask" else factor, progress), **kind, **plain, metadata=about
        )


def write_hdf5(volume: Stored, path: Path, name: str, progress: Progress) -> None:
    """A chunked, compressed data set of that name, with ``element_size_um`` (z, y, x) where it is known.

    Its attribute ``dabench`` says how it was made, as JSON.

    A mask is 0 and 1; a probability is float32 in [0, 1), so that it is not mistaken for ids.
    """
    import h5py

    # Chunks of zarr may be larger than the volume; HDF5 refuses them.
    chunks = tuple(map(min, volume.chunks, volume.shape))
    kind: dict[str, Any] = {"chunks": chunks, "compression": "gzip", "compression_opts": 4, "shuffle": True}
    with atomic(path) as part, h5py.File(part, "w") as file:
        dtype, factor = _scale(volume, name)
        made = file.create_dataset(name, shape=volume.shape, dtype=dtype, **kind)
        if volume.voxel:
            made.attrs["element_size_um"] = [size / 1000 for size in volume.voxel]
        if volume.provenance:
            made.attrs[NAME] = as_text(volume.provenance)
        for z, slab in _slabs(volume):
            made[z : z + len(slab)] = slab.astype(dtype) * dtype.type(factor)
            progress(z + len(slab), volume.shape[0])


def write_nifti(volume: Stored, path: Path, name: str, progress: Progress) -> None:
    """NIfTI, gzipped where the path ends in ``.gz``, at the place in space that the images have.

    Without such a place, the voxel size in micrometres alone. A mask is 0 and 1; a probability is float32 in [0, 1).
    """
    import gzip

    dtype, factor = _scale(volume, name)
    header = _nifti_header(volume, dtype)
    with atomic(path) as part, part.open("wb") as plain:
        zipped = gzip.GzipFile(fileobj=plain, mode="wb", filename="", mtime=0) if path.suffix == ".gz" else plain
        header.write_to(zipped)
        for z, slab in _slabs(volume):  # (z, y, x) in C order is (x, y, z) as NIfTI has it
            zipped.write((slab.astype(dtype) * dtype.type(factor)).tobytes())
            progress(z + len(slab), volume.shape[0])
        if zipped is not plain:
            zipped.close()


def _nifti_header(volume: Stored, dtype: np.dtype[Any]) -> Any:
    import nibabel

    kind: Any = nibabel.Nifti2Header if max(volume.shape) > _MOST_NIFTI else nibabel.Nifti1Header
    header: Any = kind(endianness="<")
    header.set_data_dtype(dtype)
    header.set_data_shape(tuple(reversed(volume.shape)))
    if volume.placement is not None:
        header.set_qform(volume.placement.affine, code=1)
        header.set_sform(volume.placement.affine, code=1)
        header.set_xyzt_units(volume.placement.unit)
    elif volume.voxel:
        header.set_zooms([size / 1000 for size in reversed(volume.voxel)])
        header.set_xyzt_units("micron")
    if volume.provenance:
        header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", as_comment(volume.provenance)))
    header.set_data_offset(0)  # after what writing it puts before the voxels
    header.set_slope_inter(1, 0)
    return header


def _scale(volume: Stored, name: str) -> tuple[np.dtype[Any], float]:
    """Type and factor of what is written: a stored probability q is q / 256, so 0.5 and more is exactly p >= 0.5."""
    return (np.dtype(np.float32), 1 / 256) if name == "probability" else (volume.dtype, 1)


def _pages(volume: Stored, dtype: np.dtype[Any], factor: float, progress: Progress) -> Iterator[Array]:
    for z, slab in _slabs(volume):
        progress(z + len(slab), volume.shape[0])
        yield from slab.astype(dtype) * dtype.type(factor)


def _slabs(volume: Stored) -> Iterator[tuple[int, Array]]:
    """(first slice, ``(depth, H, W)``) of what is compressed together, in order."""
    depth, height, width = volume.shape
    step = volume.chunks[0]
    for z in range(0, depth, step):
        yield z, volume.read_block(Block(z, 0, 0, min(step, depth - z), height, width))

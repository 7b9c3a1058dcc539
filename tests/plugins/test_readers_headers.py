"""Headers that promise more than any memory holds, in every format."""

import gzip
import time
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from all_readers import STACK, open_cached
from PIL import Image

from dabench.errors import DataError


def absurd_zarr(folder: Path, **options) -> Path:
    zarr.create_array(str(folder / "a.zarr"), shape=(10**6,) * 3, dtype="u1", chunks=(64, 64, 64), **options)
    return folder / "a.zarr"


def absurd_hdf5(folder: Path) -> Path:
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("raw", (10**6,) * 3, "u1", chunks=(64, 64, 64))
    return folder / "a.h5"


def absurd_nifti(folder: Path, suffix: str = ".nii.gz") -> Path:
    image = nibabel.Nifti2Image(np.zeros((4, 4, 4), np.uint8), np.eye(4))
    nibabel.save(image, folder / "small.nii")
    content = bytearray((folder / "small.nii").read_bytes())
    content[16:80] = np.array([3, 10**6, 10**6, 10**6, 1, 1, 1, 1], "<i8").tobytes()
    path = folder / f"a{suffix}"
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    return path


def absurd_tiff(folder: Path) -> Path:
    path = folder / "a.tif"
    tifffile.imwrite(path, np.zeros((16, 16), np.uint8), compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(path, mode="r+b") as file:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            file.pages[0].tags[name].overwrite(10**9, dtype="I")
    return path


def absurd_png(folder: Path) -> Path:
    path = folder / "slices"
    path.mkdir()
    Image.fromarray(STACK[0]).save(path / "0.png")
    content = bytearray((path / "0.png").read_bytes())
    content[16:24] = np.array([10**9, 10**9], ">u4").tobytes()
    (path / "0.png").write_bytes(content)
    return path


@pytest.mark.parametrize(
    "make",
    [
        absurd_zarr,
        lambda folder: absurd_zarr(folder, zarr_format=2),
        absurd_hdf5,
        absurd_nifti,
        lambda folder: absurd_nifti(folder, ".nii"),
        absurd_tiff,
        absurd_png,
    ],
    ids=["zarr", "zarr v2", "hdf5", "nii.gz", "nii", "tiff", "png"],
)
def test_a_header_of_a_quintillion_voxels_is_answered_at_once(tmp_path, make):
    path = make(tmp_path)
    began = time.perf_counter()
    with pytest.raises(DataError, match=rf"{path.name}"):
        open_cached(path)
    assert time.perf_counter() - began < 1

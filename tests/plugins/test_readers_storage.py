"""However an array is stored (type, chunks, compression, order of files): readers give what its library gives."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from all_readers import open_any
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

from dabench.data.blocks import read_block, voxel_of
from dabench.data.volumes import read_all
from dabench.types import Block
from dabench.volumes.output.export import export_volume

VOXEL = (30.0, 8.0, 4.0)
DTYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8", ">u2", ">i4", ">f4"]
#: What every format that dabench writes can hold.
COMMON = ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"]
ENDS = [".tif", ".h5", ".nii", ".nii.gz", ".zarr"]


@st.composite
def arrays(draw: Any, dtypes: list[str]) -> np.ndarray:
    """A small volume over the whole range of its type."""
    shape = draw(st.tuples(st.integers(1, 5), st.integers(2, 40), st.integers(2, 40)))
    rng, dtype = np.random.default_rng(draw(st.integers(0, 2**16))), np.dtype(draw(st.sampled_from(dtypes)))
    if dtype.kind == "f":
        return rng.normal(0, 100, shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, endpoint=True, dtype=dtype.newbyteorder("=")).astype(dtype)


def check(data: Any, path: Path, expected: np.ndarray) -> None:
    """Whole, and by a random box."""
    volume = open_any(path)
    assert (volume.shape, volume.dtype) == (expected.shape, expected.dtype.newbyteorder("="))
    np.testing.assert_array_equal(read_all(volume), expected)
    starts = [data.draw(st.integers(0, n - 1)) for n in expected.shape]
    sizes = [data.draw(st.integers(1, n - a)) for a, n in zip(starts, expected.shape, strict=True)]
    block = Block(*starts, *sizes)
    np.testing.assert_array_equal(read_block(volume, block), expected[block.slices])


def chunks(data: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(data.draw(st.integers(1, n), label="chunk") for n in shape)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), array=arrays(DTYPES))
def test_hdf5(data: Any, array: np.ndarray) -> None:
    packed = data.draw(st.sampled_from([None, "gzip", "lzf"]))
    options = {"compression": packed, "shuffle": data.draw(st.booleans()), "fletcher32": data.draw(st.booleans())}
    chunked = data.draw(st.booleans()) or any(options.values())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.h5")
        with h5py.File(path, "w", libver=data.draw(st.sampled_from(["earliest", "latest"]))) as file:
            file.create_dataset("raw", data=array, chunks=chunks(data, array.shape) if chunked else None, **options)
        with h5py.File(path) as file:
            expected = file["raw"][:]
        check(data, path, expected)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), array=arrays(DTYPES), version=st.sampled_from([2, 3]))
def test_zarr(data: Any, array: np.ndarray, version: int) -> None:
    options: dict[str, Any] = {"zarr_format": version}
    inner = chunks(data, array.shape)
    if version == 2:
        options["order"] = data.draw(st.sampled_from("CF"))
    if version == 3:
        packed = [None, ZstdCodec(level=1), GzipCodec(level=1), BloscCodec(cname="lz4"), BloscCodec(cname="zstd")]
        options["compressors"] = data.draw(st.sampled_from(packed))
        options["shards"] = tuple(2 * n for n in inner) if data.draw(st.booleans()) else None
    options["chunk_key_encoding"] = {
        "name": "default" if version == 3 else "v2",
        "separator": data.draw(st.sampled_from("/.")),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.zarr")
        zarr.create_array(str(path), data=array, chunks=inner, **options)
        check(data, path, zarr.open_array(str(path), mode="r")[:])


@settings(max_examples=60, deadline=None)
@given(data=st.data(), array=arrays(DTYPES))
def test_tiff(data: Any, array: np.ndarray) -> None:
    options: dict[str, Any] = {
        "compression": data.draw(st.sampled_from([None, "zlib", "lzw", "zstd", "lzma", "packbits"]))
    }
    if options["compression"] in ("zlib", "lzw", "zstd") and data.draw(st.booleans()):
        options["predictor"] = 3 if array.dtype.kind == "f" else 2
    layout = data.draw(st.sampled_from(["strips", "tiles", "rows"]))
    options |= {"strips": {}, "tiles": {"tile": (16, 32)}, "rows": {"rowsperstrip": data.draw(st.integers(1, 7))}}[
        layout
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.tif")
        big, byteorder = data.draw(st.booleans()), data.draw(st.sampled_from("<>"))
        with tifffile.TiffWriter(path, bigtiff=big, byteorder=byteorder) as writer:
            if data.draw(st.booleans(), label="page by page"):
                for image in array:
                    writer.write(image, photometric="minisblack", contiguous=False, **options)
            else:
                writer.write(array, photometric="minisblack", **options)
        expected = (
            np.stack([page.asarray() for page in tifffile.TiffFile(path).pages]) if options["compression"] else array
        )
        check(data, path, expected)


@settings(max_examples=30, deadline=None)
@given(
    data=st.data(), array=arrays(DTYPES), name=st.sampled_from(["a.nii", "a.nii.gz"]), version=st.sampled_from([1, 2])
)
def test_nifti(data: Any, array: np.ndarray, name: str, version: int) -> None:
    kind = nibabel.Nifti1Image if version == 1 else nibabel.Nifti2Image
    header = kind.header_class(endianness=data.draw(st.sampled_from("<>")))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        header.set_data_dtype(array.dtype)
        nibabel.save(kind(array.transpose(2, 1, 0), None, header, dtype=array.dtype), path)
        check(data, path, np.asarray(nibabel.load(path).dataobj).transpose(2, 1, 0))


@settings(max_examples=20, deadline=None)
@given(data=st.data(), array=arrays(["u1"]), kind=st.sampled_from(["png", "tif", "jpg"]))
def test_a_folder_whatever_the_order_in_which_its_files_were_written(data: Any, array: np.ndarray, kind: str) -> None:
    width = data.draw(st.sampled_from([1, 4]), label="digits")
    first = data.draw(st.integers(0, 98), label="first number")
    with tempfile.TemporaryDirectory() as folder:
        names = [f"s{number:0{width}d}.{kind}" for number in range(first, first + len(array))]
        for z in data.draw(st.permutations(range(len(array)))):
            Image.fromarray(array[z]).save(Path(folder, names[z]))
        expected = np.stack([np.asarray(Image.open(Path(folder, name))) for name in names])
        check(data, Path(folder), expected)


# ------------------------------------------------------------------------------------------------ open, write and open
@settings(max_examples=40, deadline=None)
@given(array=arrays(COMMON), ends=st.lists(st.sampled_from(ENDS), min_size=2, max_size=3))
def test_written_in_any_format_and_opened_again_it_is_the_same(array: np.ndarray, ends: list[str]) -> None:
    """From a zarr through two or three files: values, type and voxel size, and what is noted of how it was made."""
    noted = {"model": "m", "dabench_version": "0.1", "threshold": 0.5, "images": "scan.tif"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "start.zarr")
        store = zarr.open_group(str(path), mode="w")
        axes = [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"]
        datasets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": VOXEL}]}]
        store.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
        store.attrs["dabench"] = noted
        store.create_array("0", data=array, dimension_names=list("zyx"))
        for number, end in enumerate(ends):
            target = Path(folder, f"{number}{end}")
            export_volume(open_any(path), VOXEL, target, "images", lambda *_: None)
            path = target
            found = open_any(path)
            assert (found.shape, found.dtype) == (array.shape, array.dtype)
            np.testing.assert_array_equal(read_all(found), array)
            assert voxel_of(found) == pytest.approx(VOXEL)
            assert found.provenance == noted

"""TIFF and HDF5 made from a written volume, read back by their own libraries."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from dabench.data.blocks import block_grid
from dabench.errors import ConfigError
from dabench.volumes.output import OmeZarr, format_of, write_hdf5, write_tiff

SHAPE, VOXEL = (5, 30, 44), (30.0, 8.0, 4.0)


@pytest.fixture(params=[VOXEL, None], ids=["voxel", "no voxel"])
def output(request, tmp_path):
    made = OmeZarr(tmp_path / "v", SHAPE, (2, 30, 44), request.param, ("mask", "instances"))
    made.create()
    return made


def fill(output, name):
    values = np.random.default_rng(0).integers(0, 2 if name == "mask" else 250, SHAPE)
    for block in block_grid(SHAPE, (2, 30, 44)):
        output.blocks(name).write_block(block, values[block.slices])
    return values


@pytest.mark.parametrize("name", ["mask", "probability", "instances"])
def test_a_tiff_has_the_voxels_and_their_size(output, name, tmp_path):
    values, told = fill(output, name), []
    write_tiff(output.blocks(name), tmp_path / "o.tif", name, lambda *done: told.append(done))
    with tifffile.TiffFile(tmp_path / "o.tif") as file:
        found, about = file.asarray(), tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
        assert file.is_bigtiff
        assert len(file.pages) == 5
        assert file.pages[0].compression == tifffile.COMPRESSION.ADOBE_DEFLATE
    np.testing.assert_array_equal(found, values * {"mask": 255, "probability": 1 / 256, "instances": 1}[name])
    assert found.dtype == {"mask": np.uint8, "probability": np.float32, "instances": np.uint32}[name]
    assert told == [(2, 5), (4, 5), (5, 5)]
    sizes = [(about.get(f"PhysicalSize{axis}"), about.get(f"PhysicalSize{axis}Unit")) for axis in "ZYX"]
    assert sizes == ([(30, "nm"), (8, "nm"), (4, "nm")] if output.voxel else [(None, None)] * 3)


def test_hdf5_has_the_voxels_and_their_size(output, tmp_path):
    values = fill(output, "instances")
    write_hdf5(output.blocks("instances"), tmp_path / "o.h5", "instances", lambda *_: None)
    with h5py.File(tmp_path / "o.h5") as file:
        found = file["instances"]
        np.testing.assert_array_equal(found[:], values)
        assert (found.compression, found.chunks, found.dtype) == ("gzip", (2, 30, 44), np.uint32)
        size = found.attrs.get("element_size_um")
    np.testing.assert_allclose(size, [0.03, 0.008, 0.004]) if output.voxel else _is_none(size)


def _is_none(value):
    assert value is None


def test_formats_are_told_by_suffix():
    assert [format_of(Path(f"a{s}")) for s in (".zarr", ".TIF", ".tiff", ".h5", ".hdf5")] == [
        "zarr",
        "tiff",
        "tiff",
        "hdf5",
        "hdf5",
    ]
    with pytest.raises(ConfigError, match=r"'\.png'"):
        format_of(Path("a.png"))

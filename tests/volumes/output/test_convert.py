"""TIFF and HDF5 made from a written volume, read back by their own libraries."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import dabench
from dabench.components.registry import Registry
from dabench.data.blocks import block_grid
from dabench.data.volumes import open_volume, read_all
from dabench.errors import ConfigError
from dabench.types import Block
from dabench.volumes.output import OmeZarr, format_of
from dabench.volumes.output.convert import write_as, write_hdf5, write_tiff
from dabench.volumes.output.export import export_volume

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


NOTED = {"model": 'a <b> & "c" ü', "images": "/home/me/scan.tif", "slices": [0, 5], "half": 0.5, "voxel_nm": None}


def test_how_it_was_made_is_read_by_other_programs(tmp_path):
    made = OmeZarr(tmp_path / "v", SHAPE, (2, 30, 44), VOXEL, ("mask",), about=NOTED)
    made.create()
    for end in ("tif", "h5", "nii"):
        write_as(tmp_path / f"o.{end}")(made.blocks("mask"), tmp_path / f"o.{end}", "mask", lambda *_: None)
    expected = {**NOTED, "images": "scan.tif"}
    with h5py.File(tmp_path / "o.h5") as file:
        assert json.loads(file["mask"].attrs["dabench"]) == expected
    with tifffile.TiffFile(tmp_path / "o.tif") as file:
        assert file.pages[0].software.startswith(f"dabench {dabench.__version__}")
        (found,) = ElementTree.fromstring(file.ome_metadata).iterfind(".//{*}MapAnnotation[@Namespace='dabench']")
        assert {node.get("K"): json.loads(node.text) for node in found.iterfind(".//{*}M")} == expected
    image = nibabel.load(tmp_path / "o.nii")
    (comment,) = image.header.extensions
    assert json.loads(comment.get_content().decode().removeprefix("dabench ")) == expected
    assert np.asarray(image.dataobj).shape == SHAPE[::-1]


@pytest.mark.parametrize("note", ["{", "[1]", "7", ""])
def test_a_note_that_is_none_says_nothing(note, readers, tmp_path):
    with h5py.File(tmp_path / "o.h5", "w") as file:
        file.create_dataset("mask", data=np.zeros(SHAPE, np.uint8)).attrs["dabench"] = note
    about = {"axes": "ZYX", "MapAnnotation": {"Namespace": "dabench", "model": note or "{"}}
    tifffile.imwrite(tmp_path / "o.ome.tif", np.zeros(SHAPE, np.uint8), ome=True, metadata=about)
    image = nibabel.Nifti1Image(np.zeros(SHAPE, np.uint8), None)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", f"dabench {note}".encode()))
    nibabel.save(image, tmp_path / "o.nii")
    opened = {path.name: open_volume(path, readers) for path in sorted(tmp_path.iterdir())}
    assert {name: volume.shape for name, volume in opened.items() if name != "o.nii"} == dict.fromkeys(
        ("o.h5", "o.ome.tif"), SHAPE
    )
    said = {name: volume.provenance for name, volume in opened.items()}
    # Any JSON may be a value of the annotation.
    assert said.pop("o.ome.tif") == ({"model": json.loads(note)} if note not in ("", "{") else {})
    assert said == {"o.h5": {}, "o.nii": {}}


def test_formats_are_told_by_suffix():
    known = {".zarr": "zarr", ".TIF": "tiff", ".tiff": "tiff", ".h5": "hdf5", ".hdf5": "hdf5", ".nii": "nifti"}
    known[".NII.gz"] = "nifti"
    assert {end: format_of(Path(f"a{end}")) for end in known} == known
    for end in (".png", ".gz", ""):
        with pytest.raises(ConfigError, match=f"'{end}'" if end else "none"):
            format_of(Path(f"a{end}"))


@pytest.fixture(scope="module")
def readers():
    registry = Registry.load()
    return [item.component.factory(item.component.config()) for item in registry.of_kind("reader")]


@settings(max_examples=20, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 6)] * 3),
    voxel=st.tuples(*[st.sampled_from([4.0, 8.5, 30.0, 0.5])] * 3),
    axes=st.permutations("zyx"),
    end=st.sampled_from([".tif", ".h5", ".nii", ".nii.gz", ".zarr"]),
)
def test_what_is_opened_and_written_opens_as_it_was(readers, shape, voxel, axes, end):
    """From a zarr with its axes in any order through each format that is written: voxels and their size."""
    values = np.random.default_rng(sum(shape)).integers(0, 250, shape).astype(np.uint32)
    order = ["zyx".index(axis) for axis in axes]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        stored = zarr.create_array(str(place / "a.zarr"), data=values.transpose(order), dimension_names=axes)
        stored.attrs["resolution"] = [voxel[axis] for axis in order]
        first = open_volume(place / "a.zarr", readers)
        noted = {"model": "m", "threshold": 0.5, "slices": [0, shape[0]], "images": "scan.zarr"}
        made = OmeZarr(place / "b.zarr", first.shape, first.shape, first.voxel, ("instances",), about=noted)
        made.create()
        made.blocks("instances").write_block(Block(0, 0, 0, *shape), read_all(first))
        path = place / f"c{end}"
        if end != ".zarr":
            write_as(path)(made.blocks("instances"), path, "instances", lambda *_: None)
        again = open_volume(path if end != ".zarr" else place / "b.zarr" / "labels" / "instances", readers)
        np.testing.assert_array_equal(read_all(again), values)
        assert again.voxel == pytest.approx(voxel)
        assert (first.provenance, again.provenance) == ({}, noted)
        export_volume(again, voxel, place / "d.tif", "instances", lambda *_: None, names=True)
        assert open_volume(place / "d.tif", readers).provenance == noted

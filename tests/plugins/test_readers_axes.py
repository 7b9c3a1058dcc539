"""Axes in any order: every reader gives the array that its library gives, in the order z, y, x, by random boxes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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

from dabench.data.blocks import placement_of, read_block, slabs, voxel_of
from dabench.data.volumes import CachedVolume, read_all
from dabench.errors import DataError
from dabench.types import Block

NAMES = {"c": "channel", "t": "time"}
#: nm along an axis; a channel's "size" is 1.
SIZES = {"z": 30.0, "y": 8.0, "x": 4.0}
DTYPES = ["u1", "i2", ">u2", "f4", "u4"]


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


# ------------------------------------------------------------------------------------------------ files of any order
@st.composite
def arrays(draw, orders: st.SearchStrategy[str], dtypes: list[str] = DTYPES):
    """(axes, array): some of t, c, z, y, x in an order, short lengths, random values."""
    axes = draw(orders)
    shape = [draw(st.integers(1 if axis in "ct" else 2, 5)) for axis in axes]
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    seed = draw(st.integers(0, 2**16))
    return axes, np.random.default_rng(seed).integers(0, 120, shape).astype(dtype)


def any_order(letters: str) -> st.SearchStrategy[str]:
    return st.permutations(letters).map("".join)


ANY = st.sampled_from(["zyx", "czyx", "tzyx", "tczyx"]).flatmap(any_order)


@contextmanager
def chosen(data, path: Path, axes: str, array: np.ndarray):
    """What a path means with a random place along channel and time, and the array that is right, ``(z, y, x)``."""
    for axis in (axis for axis in axes if axis in NAMES):
        place = data.draw(st.integers(0, array.shape[axes.index(axis)] - 1), label=NAMES[axis])
        if array.shape[axes.index(axis)] > 1:
            with pytest.raises(DataError, match=f"along '{NAMES[axis]}'"):
                open_any(path)
            path = path / f"{NAMES[axis]}={place}"
        array, axes = np.take(array, place, axes.index(axis)), axes.replace(axis, "")
    order = [axes.index(axis) for axis in "zyx" if axis in axes]
    expected = array.transpose(order)
    yield path, expected if "z" in axes else expected[None]


def check_agrees(data, path: Path, axes: str, array: np.ndarray, voxel: tuple[float, ...] | None) -> None:
    """The volume is the array, whole, by slice through a cache, and by a random box; and knows its voxel."""
    with chosen(data, path, axes, array) as (path, expected):
        volume = open_any(path)
        assert (volume.shape, volume.dtype) == (expected.shape, expected.dtype.newbyteorder("="))
        np.testing.assert_array_equal(read_all(volume), expected)
        np.testing.assert_array_equal(read_all(CachedVolume(volume)), expected)
        starts = [data.draw(st.integers(0, n - 1)) for n in expected.shape]
        sizes = [data.draw(st.integers(1, n - a)) for a, n in zip(starts, expected.shape, strict=True)]
        block = Block(*starts, *sizes)
        np.testing.assert_array_equal(read_block(volume, block), expected[block.slices])
        covered = np.zeros(expected.shape, int)
        for slab in slabs(volume):
            covered[slab.slices] += 1
        assert (covered == 1).all()
        assert voxel_of(volume) == (pytest.approx(voxel) if voxel else None)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), made=arrays(ANY))
def test_hdf5_with_axistags(data, made):
    axes, array = made
    chunks = data.draw(st.sampled_from([None, tuple(min(2, n) for n in array.shape)]))
    packed = data.draw(st.sampled_from([None, "gzip", "lzf"])) if chunks else None
    with _folder() as folder:
        with h5py.File(folder / "a.h5", "w") as file:
            made = file.create_dataset("raw", data=array, chunks=chunks, compression=packed)
            made.attrs["axistags"] = json.dumps({"axes": [{"key": axis, "typeFlags": 2} for axis in axes]})
            made.attrs["element_size_um"] = [SIZES[axis] / 1000 for axis in axes if axis in SIZES]
        check_agrees(data, folder / "a.h5", axes, array, (30, 8, 4))


@settings(max_examples=40, deadline=None)
@given(data=st.data(), made=arrays(ANY), version=st.sampled_from([2, 3]), shards=st.booleans())
def test_zarr_with_names_of_dimensions(data, made, version, shards):
    axes, array = made
    options: dict = {"zarr_format": version, "chunks": tuple(min(2, n) for n in array.shape)}
    if version == 3:
        options["dimension_names"] = list(axes)
        options |= {"shards": tuple(2 * min(2, n) for n in array.shape)} if shards else {}
    with _folder() as folder:
        made = zarr.create_array(str(folder / "a.zarr"), data=array, **options)
        if version == 2:
            made.attrs["_ARRAY_DIMENSIONS"] = [NAMES.get(axis, axis) for axis in axes]
        made.attrs["resolution"] = [SIZES[axis] for axis in axes if axis in SIZES]
        check_agrees(data, folder / "a.zarr", axes, array, (30, 8, 4))


@settings(max_examples=25, deadline=None)
@given(data=st.data(), made=arrays(ANY), version=st.sampled_from([2, 3]), level=st.sampled_from(["", "0", "1"]))
def test_ome_zarr_and_its_levels(data, made, version, level):
    """The second level is coarser by 3, 2, 2 and by 10 as a whole."""
    axes, array = made
    coarser = {"z": 3, "y": 2, "x": 2}
    with _folder() as folder:
        group = zarr.open_group(str(folder / "a.zarr"), mode="w", zarr_format=version)
        datasets = []
        for number in (0, 1):
            group.create_array(str(number), data=array if number == 0 else array[..., :1].repeat(array.shape[-1], -1))
            scale = [SIZES.get(axis, 1) * (coarser.get(axis, 1) if number else 1) for axis in axes]
            datasets.append({"path": str(number), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
        whole = [{"type": "scale", "scale": [10.0 if axis in SIZES else 1 for axis in axes]}]
        named = [
            {"name": axis, "type": "space", "unit": "angstrom"} if axis in SIZES else {"name": axis} for axis in axes
        ]
        multiscale = {"axes": named, "datasets": datasets, "coordinateTransformations": whole}
        said = {"multiscales": [multiscale]}
        group.attrs.update({"ome": {"version": "0.5", **said}} if version == 3 else said)
        stored = array if level != "1" else array[..., :1].repeat(array.shape[-1], -1)
        voxel = (90, 16, 8) if level == "1" else (30, 8, 4)
        check_agrees(data, folder / "a.zarr" / level, axes, stored, voxel)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), made=arrays(ANY, ["u1", "i2", "f4"]))
def test_tiff_with_named_axes(data, made):
    """tifffile's own description, which keeps any order of axes, also one in which slices lie across the pages."""
    axes, array = made
    options = data.draw(
        st.sampled_from([{}, {"compression": "zlib"}, {"tile": (16, 16)}, {"rowsperstrip": 1, "compression": "lzw"}])
    )
    with _folder() as folder:
        with tifffile.TiffWriter(folder / "a.tif", byteorder=data.draw(st.sampled_from("<>"))) as writer:
            writer.write(array, photometric="minisblack", metadata={"axes": axes.upper()}, **options)
        check_agrees(data, folder / "a.tif", axes, array, None)


@settings(max_examples=40, deadline=None)
@given(
    data=st.data(),
    made=arrays(st.sampled_from(["zyx", "cyx", "tyx", "czyx", "zcyx", "tzcyx", "ctzyx"]), ["u1", "u2"]),
    kind=st.sampled_from(["ome", "imagej"]),
)
def test_tiff_of_ome_and_imagej(data, made, kind):
    axes, array = made
    if kind == "imagej":  # has one order
        order = sorted(axes, key="tzcyx".index)
        array, axes = array.transpose([axes.index(axis) for axis in order]), "".join(order)
    about = {"axes": axes.upper(), "spacing": 0.03, "unit": "um"}
    about |= {f"PhysicalSize{axis.upper()}": size / 1000 for axis, size in SIZES.items()} if kind == "ome" else {}
    compression = data.draw(st.sampled_from([None, "zlib"])) if kind == "ome" else None
    with _folder() as folder:
        with tifffile.TiffWriter(folder / "a.tif", **{kind: True}) as writer:
            writer.write(
                array, photometric="minisblack", metadata=about, resolution=(250, 125), compression=compression
            )
        check_agrees(data, folder / "a.tif", axes, array, (30, 8, 4))


@settings(max_examples=40, deadline=None)
@given(
    data=st.data(),
    made=arrays(st.sampled_from(["xyz", "xyzt", "xyztc"]), ["u1", "i2", "f4"]),
    order=st.permutations([0, 1, 2]),
    signs=st.tuples(*[st.sampled_from([-1, 1])] * 3),
    name=st.sampled_from(["a.nii", "a.nii.gz", "A.NII.GZ"]),
)
def test_nifti_in_any_orientation(data, made, order, signs, name):
    """Stored axis i runs along space's axis ``order[i]``; which way is kept, not turned."""
    axes, array = made
    spatial = "".join("xyz"[axis] for axis in order)
    affine = np.eye(4)
    affine[:3, :3] = 0
    for stored, (axis, sign) in enumerate(zip(order, signs, strict=True)):
        affine[axis, stored] = sign * SIZES["xyz"[axis]] / 1000
    affine[:3, 3] = [1, 2, 3]
    with _folder() as folder:
        image = nibabel.Nifti1Image(array, affine)
        image.header.set_xyzt_units("micron")
        nibabel.save(image, folder / name)
        check_agrees(data, folder / name, spatial + axes[3:], array, (30, 8, 4))
        path = folder / name
        for axis, length in zip(axes[3:], array.shape[3:], strict=True):
            path = path / f"{NAMES[axis]}=0" if length > 1 else path
        found = placement_of(open_any(path))
        np.testing.assert_allclose(found.affine @ [0, 0, 0, 1], [1, 2, 3, 1])
        by_axis = dict(zip(order, signs, strict=True))
        np.testing.assert_allclose(np.diag(found.affine)[:3], [by_axis[a] * SIZES["xyz"[a]] / 1000 for a in range(3)])


@settings(max_examples=15, deadline=None)
@given(data=st.data(), numbers=st.lists(st.integers(0, 300), min_size=2, max_size=6, unique=True))
def test_a_folder_in_the_order_of_its_numbers(data, numbers):
    kind = data.draw(st.sampled_from(["png", "tif"]))
    images = {n: np.random.default_rng(n).integers(0, 255, (4, 5)).astype(np.uint8) for n in numbers}
    with _folder() as folder:
        for number in numbers:
            path = folder / f"im{number}.{kind}"
            tifffile.imwrite(path, images[number]) if kind == "tif" else Image.fromarray(images[number]).save(path)
        np.testing.assert_array_equal(read_all(open_any(folder)), [images[n] for n in sorted(numbers)])

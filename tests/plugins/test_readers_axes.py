"""Axes in any order: every reader gives the array that its library gives, in the order z, y, x, by random boxes."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dabench_readers
import h5py
import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dabench.components.registry import PluginStatus, Registry
from dabench.data.blocks import layout_of, placement_of, read_block, slabs, voxel_of
from dabench.data.origin import absent_of, files_of
from dabench.data.volumes import CachedVolume, open_volume, read_all
from dabench.errors import DataError
from dabench.types import Block

NAMES = {"c": "channel", "t": "time"}
#: nm along an axis; a channel's "size" is 1.
SIZES = {"z": 30.0, "y": 8.0, "x": 4.0}
DTYPES = ["u1", "i2", ">u2", "f4", "u4"]


def _readers():
    registry = Registry()
    registry.add(dabench_readers, PluginStatus("readers", "dabench"))
    return [item.component.factory(item.component.config()) for item in registry.of_kind("reader")]


READERS = _readers()


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _open(path: Path):
    return open_volume(path, READERS).volume


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
                _open(path)
            path = path / f"{NAMES[axis]}={place}"
        array, axes = np.take(array, place, axes.index(axis)), axes.replace(axis, "")
    order = [axes.index(axis) for axis in "zyx" if axis in axes]
    expected = array.transpose(order)
    yield path, expected if "z" in axes else expected[None]


def check_agrees(data, path: Path, axes: str, array: np.ndarray, voxel: tuple[float, ...] | None) -> None:
    """The volume is the array, whole, by slice through a cache, and by a random box; and knows its voxel."""
    with chosen(data, path, axes, array) as (path, expected):
        volume = _open(path)
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
        found = placement_of(_open(path))
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
        np.testing.assert_array_equal(read_all(_open(folder)), [images[n] for n in sorted(numbers)])


# ---------------------------------------------------------------------------------------- what the letters do not say
STACK = np.random.default_rng(0).integers(0, 255, (6, 20, 24), np.uint8)


def ome_part(folder: Path, name: str, pages: np.ndarray, where: list[tuple[str, int, int]]) -> Path:
    """A file of an OME-TIFF in several: ``where`` says (file, page, slice) of every plane of all of them."""
    planes = "".join(
        f'<TiffData FirstZ="{z}" FirstC="0" FirstT="0" IFD="{page}" PlaneCount="1">'
        f'<UUID FileName="{file}">urn:uuid:{file}</UUID></TiffData>'
        for file, page, z in where
    )
    xml = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        f'UUID="urn:uuid:{name}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" '
        f'SizeX="24" SizeY="20" SizeZ="6" SizeC="1" SizeT="1" PhysicalSizeX="4" PhysicalSizeXUnit="nm" '
        'PhysicalSizeY="8" PhysicalSizeYUnit="nm" PhysicalSizeZ="30" PhysicalSizeZUnit="nm">'
        f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{planes}</Pixels></Image></OME>'
    )
    tifffile.imwrite(folder / name, pages, photometric="minisblack", description=xml, metadata=None)
    return folder / name


def test_planes_of_an_ome_tiff_in_two_files_lie_where_its_xml_says(tmp_path):
    where = [("b.ome.tif", 0, 5), ("b.ome.tif", 1, 4), ("a.ome.tif", 0, 3), ("a.ome.tif", 1, 0)]
    where += [("a.ome.tif", 2, 1), ("a.ome.tif", 3, 2)]
    first = ome_part(tmp_path, "a.ome.tif", STACK[[3, 0, 1, 2]], where)
    second = ome_part(tmp_path, "b.ome.tif", STACK[[5, 4]], where)
    for path in (first, second):
        volume = _open(path)
        np.testing.assert_array_equal(read_all(volume), STACK)
        assert voxel_of(volume) == (30, 8, 4)
        assert files_of(volume) == (first, second), "the digest of the volume covers both"
    second.unlink()
    with pytest.raises(DataError, match=r"a\.ome\.tif: 2 of 6 planes are not there.*other files"):
        _open(first)


def test_a_folder_of_an_ome_tiff_in_files_of_one_plane(tmp_path):
    """Names count the planes in another order than the XML."""
    where = [(f"p{page}.ome.tif", 0, z) for page, z in enumerate([5, 0, 3, 1, 2, 4])]
    for name, _, z in where:
        ome_part(tmp_path, name, STACK[z], where)
    volume = _open(tmp_path)
    np.testing.assert_array_equal(read_all(volume), STACK)
    assert voxel_of(volume) == (30, 8, 4)


def test_planes_of_one_ome_tiff_in_another_order(tmp_path):
    where = [("a.ome.tif", page, z) for page, z in enumerate([5, 0, 3, 1, 2, 4])]
    path = ome_part(tmp_path, "a.ome.tif", STACK[[5, 0, 3, 1, 2, 4]], where)
    np.testing.assert_array_equal(read_all(_open(path)), STACK)


@pytest.mark.parametrize("ome", [True, False])
def test_one_of_two_images_in_a_tiff(tmp_path, ome):
    with tifffile.TiffWriter(tmp_path / "two.tif", ome=ome) as writer:
        for array, size in ((STACK, 8), (STACK[:3, ::2], 16)):
            writer.write(array, photometric="minisblack", metadata={"axes": "ZYX", **_sizes(size)})
    with pytest.raises(DataError, match=r"holds 2 series: 0 .*\(6, 20, 24\)\), 1 .*\(3, 10, 24\)\)") as caught:
        _open(tmp_path / "two.tif")
    assert f"{tmp_path / 'two.tif'}/series=0" in caught.value.mend
    for number, (array, size) in enumerate(((STACK, 8), (STACK[:3, ::2], 16))):
        volume = _open(tmp_path / "two.tif" / f"series={number}")
        np.testing.assert_array_equal(read_all(volume), array)
        assert voxel_of(volume) == ((30, size, size) if ome else None)
    with pytest.raises(DataError, match="has no series 2; it holds 2"):
        _open(tmp_path / "two.tif" / "series=2")


def _sizes(size: float) -> dict[str, object]:
    units = {f"PhysicalSize{axis}Unit": "nm" for axis in "ZYX"}
    return {"PhysicalSizeZ": 30, "PhysicalSizeY": size, "PhysicalSizeX": size, **units}


def test_pages_that_were_appended_one_by_one_are_slices(tmp_path):
    for image in STACK:
        tifffile.imwrite(tmp_path / "a.tif", image, append=True, photometric="minisblack")
    np.testing.assert_array_equal(read_all(_open(tmp_path / "a.tif")), STACK)


def test_pages_that_are_packed_in_two_ways_are_slices(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for z, image in enumerate(STACK):
            writer.write(image, photometric="minisblack", metadata=None, compression="zlib" if z % 2 else None)
    np.testing.assert_array_equal(read_all(_open(tmp_path / "a.tif")), STACK)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_a_colour_of_a_tiff(tmp_path, planar):
    colours = np.stack([STACK, 255 - STACK, STACK // 2], 1 if planar == "separate" else -1)
    tifffile.imwrite(tmp_path / "a.tif", colours, photometric="rgb", planarconfig=planar, compression="zlib")
    np.testing.assert_array_equal(read_all(_open(tmp_path / "a.tif" / "channel=1")), 255 - STACK)


def test_axes_without_names_are_asked_for(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = np.stack([STACK, 255 - STACK], 1)
    with pytest.raises(DataError, match=r"shape \(6, 2, 20, 24\); a volume has three axes") as caught:
        _open(tmp_path / "a.h5")
    assert "raw/axes=czyx/channel=0" in caught.value.mend
    np.testing.assert_array_equal(read_all(_open(tmp_path / "a.h5/raw/axes=zcyx/channel=1")), 255 - STACK)
    np.testing.assert_array_equal(read_all(_open(tmp_path / "a.h5/raw/axis1=1")), 255 - STACK)


def test_two_axes_that_may_be_slices_are_asked_for(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.stack([STACK, 255 - STACK], 1), photometric="minisblack")
    with pytest.raises(DataError, match="holds 6 along 'axis0' and 2 along 'axis1'") as caught:
        _open(tmp_path / "a.tif")
    assert "a.tif/axis1=0" in caught.value.mend
    volume = _open(tmp_path / "a.tif" / "axis1=1")
    np.testing.assert_array_equal(read_all(volume), 255 - STACK)
    assert layout_of(volume) == "z, axis1 1 (of 0 to 1), y, x"


def test_axes_that_the_user_says_stand_for_the_file(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK, imagej=True, metadata={"axes": "TYX"})
    with pytest.raises(DataError, match="holds 6 along 'time'") as caught:
        _open(tmp_path / "a.tif")
    assert "a.tif/axes=zyx" in caught.value.mend
    np.testing.assert_array_equal(read_all(_open(tmp_path / "a.tif" / "axes=zyx")), STACK)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("channel=2", r"channel=2: it has z, channel, y, x = \(6, 2, 20, 24\)"),
        ("time=1", "has no axis 'time'"),
        ("z=1", "z=1: it has z, channel"),
        ("axes=zyx", r"names 3 axes \(z, y, x\), the array has the shape \(6, 2, 20, 24\)"),
    ],
)
def test_a_choice_that_the_file_does_not_have(tmp_path, end, words):
    array = np.stack([STACK, 255 - STACK], 1)
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack", metadata={"axes": "ZCYX"})
    with pytest.raises(DataError, match=words):
        _open(tmp_path / "a.tif" / end)


def test_the_only_channel_may_be_chosen(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK, photometric="minisblack")
    for end in ("channel=0", "series=0", "series=0/channel=0/time=0"):
        np.testing.assert_array_equal(read_all(_open(tmp_path / "a.tif" / end)), STACK)


def test_a_reader_without_choices_says_so(tmp_path):
    (tmp_path / "im").mkdir()
    Image.fromarray(STACK[0]).save(tmp_path / "im" / "0.png")
    with pytest.raises(DataError, match="FolderReader opens the only volume of a file, not channel=1"):
        _open(tmp_path / "im" / "channel=1")


@pytest.mark.parametrize("kind", ["zarr", "h5"])
def test_chunks_that_are_not_stored_are_those_of_the_channel(tmp_path, kind):
    """Axes c, x, z, y; of the first channel all, of the second half of the slices."""
    shape, chunks = (2, 24, 6, 20), (1, 8, 2, 20)
    if kind == "zarr":
        made = zarr.create_array(
            str(tmp_path / "a.zarr"), shape=shape, chunks=chunks, dtype="u1", dimension_names=list("cxzy")
        )
        made[1, :, :3] = 1
        path = tmp_path / "a.zarr"
    else:
        path = tmp_path / "a.h5"
        with h5py.File(path, "w") as file:
            made = file.create_dataset("raw", shape, chunks=chunks, dtype="u1")
            made.attrs["axistags"] = json.dumps({"axes": [{"key": axis} for axis in "cxzy"]})
            made[1, :, :3] = 1
    found = [absent_of(_open(path / f"channel={channel}")) for channel in (0, 1)]
    assert [(part.missing, part.total) for part in found] == [(9, 9), (3, 9)]


def test_a_volume_across_the_pages_is_not_read_whole(tmp_path):
    """x, y, z in chunks of one x: boxes of a walk are bounded, whatever the chunks are."""

    class Long:
        shape, dtype, chunks = (4000, 4000, 4000), np.dtype("u1"), (4000, 4000, 1)

        def read(self, z: int):
            raise AssertionError

        def read_block(self, block: Block):
            raise AssertionError

    largest = max(np.prod(block.shape) for block in itertools.islice(slabs(Long()), 50))
    assert largest <= 256 * 2**20

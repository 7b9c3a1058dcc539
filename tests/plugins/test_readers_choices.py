"""What the letters of axes do not say: planes in several files, several images in one, choices at the end of a path."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from all_readers import open_any
from PIL import Image

from dabench.data.blocks import layout_of, slabs, voxel_of
from dabench.data.origin import absent_of, files_of
from dabench.data.volumes import read_all
from dabench.errors import DataError
from dabench.types import Block

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
        volume = open_any(path)
        np.testing.assert_array_equal(read_all(volume), STACK)
        assert voxel_of(volume) == (30, 8, 4)
        assert files_of(volume) == (first, second), "the digest of the volume covers both"
    second.unlink()
    with pytest.raises(DataError, match=r"a\.ome\.tif: 2 of 6 planes are not there.*other files"):
        open_any(first)


def test_a_folder_of_an_ome_tiff_in_files_of_one_plane(tmp_path):
    """Names count the planes in another order than the XML."""
    where = [(f"p{page}.ome.tif", 0, z) for page, z in enumerate([5, 0, 3, 1, 2, 4])]
    for name, _, z in where:
        ome_part(tmp_path, name, STACK[z], where)
    volume = open_any(tmp_path)
    np.testing.assert_array_equal(read_all(volume), STACK)
    assert voxel_of(volume) == (30, 8, 4)


def test_planes_of_one_ome_tiff_in_another_order(tmp_path):
    where = [("a.ome.tif", page, z) for page, z in enumerate([5, 0, 3, 1, 2, 4])]
    path = ome_part(tmp_path, "a.ome.tif", STACK[[5, 0, 3, 1, 2, 4]], where)
    np.testing.assert_array_equal(read_all(open_any(path)), STACK)


@pytest.mark.parametrize("ome", [True, False])
def test_one_of_two_images_in_a_tiff(tmp_path, ome):
    with tifffile.TiffWriter(tmp_path / "two.tif", ome=ome) as writer:
        for array, size in ((STACK, 8), (STACK[:3, ::2], 16)):
            writer.write(array, photometric="minisblack", metadata={"axes": "ZYX", **_sizes(size)})
    with pytest.raises(DataError, match=r"holds 2 series: 0 .*\(6, 20, 24\)\), 1 .*\(3, 10, 24\)\)") as caught:
        open_any(tmp_path / "two.tif")
    assert f"{tmp_path / 'two.tif'}/series=0" in caught.value.mend
    for number, (array, size) in enumerate(((STACK, 8), (STACK[:3, ::2], 16))):
        volume = open_any(tmp_path / "two.tif" / f"series={number}")
        np.testing.assert_array_equal(read_all(volume), array)
        assert voxel_of(volume) == ((30, size, size) if ome else None)
    with pytest.raises(DataError, match="has no series 2; it holds 2"):
        open_any(tmp_path / "two.tif" / "series=2")


def _sizes(size: float) -> dict[str, object]:
    units = {f"PhysicalSize{axis}Unit": "nm" for axis in "ZYX"}
    return {"PhysicalSizeZ": 30, "PhysicalSizeY": size, "PhysicalSizeX": size, **units}


def test_pages_that_were_appended_one_by_one_are_slices(tmp_path):
    for image in STACK:
        tifffile.imwrite(tmp_path / "a.tif", image, append=True, photometric="minisblack")
    np.testing.assert_array_equal(read_all(open_any(tmp_path / "a.tif")), STACK)


def test_pages_that_are_packed_in_two_ways_are_slices(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for z, image in enumerate(STACK):
            writer.write(image, photometric="minisblack", metadata=None, compression="zlib" if z % 2 else None)
    np.testing.assert_array_equal(read_all(open_any(tmp_path / "a.tif")), STACK)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_a_colour_of_a_tiff(tmp_path, planar):
    colours = np.stack([STACK, 255 - STACK, STACK // 2], 1 if planar == "separate" else -1)
    tifffile.imwrite(tmp_path / "a.tif", colours, photometric="rgb", planarconfig=planar, compression="zlib")
    np.testing.assert_array_equal(read_all(open_any(tmp_path / "a.tif" / "channel=1")), 255 - STACK)


def test_axes_without_names_are_asked_for(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = np.stack([STACK, 255 - STACK], 1)
    with pytest.raises(DataError, match=r"shape \(6, 2, 20, 24\); a volume has three axes") as caught:
        open_any(tmp_path / "a.h5")
    assert "raw/axes=czyx/channel=0" in caught.value.mend
    np.testing.assert_array_equal(read_all(open_any(tmp_path / "a.h5/raw/axes=zcyx/channel=1")), 255 - STACK)
    np.testing.assert_array_equal(read_all(open_any(tmp_path / "a.h5/raw/axis1=1")), 255 - STACK)


def test_two_axes_that_may_be_slices_are_asked_for(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.stack([STACK, 255 - STACK], 1), photometric="minisblack")
    with pytest.raises(DataError, match="holds 6 along 'axis0' and 2 along 'axis1'") as caught:
        open_any(tmp_path / "a.tif")
    assert "a.tif/axis1=0" in caught.value.mend
    volume = open_any(tmp_path / "a.tif" / "axis1=1")
    np.testing.assert_array_equal(read_all(volume), 255 - STACK)
    assert layout_of(volume) == "z, axis1 1 (of 0 to 1), y, x"


def test_axes_that_the_user_says_stand_for_the_file(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK, imagej=True, metadata={"axes": "TYX"})
    with pytest.raises(DataError, match="holds 6 along 'time'") as caught:
        open_any(tmp_path / "a.tif")
    assert "a.tif/axes=zyx" in caught.value.mend
    np.testing.assert_array_equal(read_all(open_any(tmp_path / "a.tif" / "axes=zyx")), STACK)


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
        open_any(tmp_path / "a.tif" / end)


def test_the_only_channel_may_be_chosen(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK, photometric="minisblack")
    for end in ("channel=0", "series=0", "series=0/channel=0/time=0"):
        np.testing.assert_array_equal(read_all(open_any(tmp_path / "a.tif" / end)), STACK)


def test_a_reader_without_choices_says_so(tmp_path):
    (tmp_path / "im").mkdir()
    Image.fromarray(STACK[0]).save(tmp_path / "im" / "0.png")
    with pytest.raises(DataError, match="pictures in a folder have only channels, not series=1"):
        open_any(tmp_path / "im" / "series=1")


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
    found = [absent_of(open_any(path / f"channel={channel}")) for channel in (0, 1)]
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


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_channel_of_colour_pictures_in_a_folder(tmp_path: Path, suffix: str) -> None:
    colours = np.random.default_rng(1).integers(0, 255, (3, 20, 24, 3), np.uint8)
    for z, picture in enumerate(colours):
        Image.fromarray(picture).save(tmp_path / f"{z}.{suffix}")
    with pytest.raises(DataError, match="not a grey picture") as refused:
        open_any(tmp_path)
    assert "--channel 0" in str(refused.value.mend)
    for channel in range(3):
        np.testing.assert_array_equal(read_all(open_any(tmp_path / f"channel={channel}")), colours[..., channel])
    with pytest.raises(DataError, match="has 3 channels, counted from 0: there is none 3"):
        open_any(tmp_path / "channel=3")
    with pytest.raises(DataError, match="only channels, not time=1"):
        open_any(tmp_path / "time=1")

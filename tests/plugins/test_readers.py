"""Readers: TIFF stacks of all sorts, folders of slices, and damaged files."""

import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
from dabench_readers.folder import FolderReader
from dabench_readers.tiff import TiffReader
from PIL import Image

from dabench.data.volumes import Upright, read_all
from dabench.errors import DataError
from dabench.interfaces import Choice
from dabench.types import Block

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 255, (5, 32, 48), np.uint8)


def test_a_tiff_that_says_that_zero_is_white_says_so(tmp_path: Path):
    """As stored: whether it holds images, which are turned, or labels, which are not, the reader cannot know."""
    (tmp_path / "slices").mkdir()
    for photometric in ("miniswhite", "minisblack"):
        tifffile.imwrite(tmp_path / "stack.tif", STACK, photometric=photometric)
        tifffile.imwrite(tmp_path / "slices" / "0.tif", STACK[0], photometric=photometric)
        stack, folder = TiffReader().open(tmp_path / "stack.tif"), FolderReader().open(tmp_path / "slices")
        assert stack.white_is_zero == folder.white_is_zero == (photometric == "miniswhite")
        assert (read_all(stack) == STACK).all()
        assert (folder.read(0) == STACK[0]).all()
        turned = Upright.of(stack)
        assert (read_all(turned) == (255 - STACK if photometric == "miniswhite" else STACK)).all()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib"},
        {"compression": "lzw", "predictor": True},
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"bigtiff": True, "rowsperstrip": 7},
        {"tile": (16, 16), "compression": "zlib"},
        {"contiguous": True, "metadata": None},
        {"byteorder": ">"},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_reads_back_every_variant(tmp_path: Path, options, dtype):
    array = STACK.astype(dtype) * (257 if dtype == np.uint16 else 1)
    options = dict(options)
    contiguous = {"contiguous": options.pop("contiguous")} if "contiguous" in options else {}
    opening = {k: options.pop(k) for k in ("imagej", "bigtiff", "byteorder") if k in options}
    with tifffile.TiffWriter(tmp_path / "a.tif", **opening) as writer:
        writer.write(array, photometric="minisblack", **options, **contiguous)
    volume = TiffReader().open(tmp_path / "a.tif")
    assert volume.shape == array.shape
    assert volume.dtype == dtype
    np.testing.assert_array_equal(read_all(volume), array)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(volume)).read(3), array[3])


def test_tiff_with_one_page_for_all_slices(tmp_path: Path):
    """ImageJ writes stacks above 4 GB so; here the channels of a slice follow one another."""
    array = np.stack([STACK, 255 - STACK], 1).astype(np.uint16)
    text = "ImageJ=1.11a\nimages=10\nchannels=2\nslices=5\nhyperstack=true\n"
    with tifffile.TiffWriter(tmp_path / "big.tif", byteorder=">") as writer:
        writer.write(array[0, 0], photometric="minisblack", metadata=None, description=text)
    content = (tmp_path / "big.tif").read_bytes()
    with tifffile.TiffFile(tmp_path / "big.tif") as tif:
        end = tif.pages.first.dataoffsets[0] + array[0, 0].nbytes
    assert end == len(content)
    (tmp_path / "big.tif").write_bytes(content + array.reshape(10, 32, 48)[1:].astype(">u2").tobytes())
    for channel in (0, 1):
        volume = TiffReader().open_choice(tmp_path / "big.tif", Choice(at=(("channel", channel),)))
        np.testing.assert_array_equal(read_all(volume), array[:, channel])
        box = volume.read_block(Block(1, 3, 5, 2, 7, 9))
        np.testing.assert_array_equal(box, array[1:3, channel, 3:10, 5:14])


def test_single_page_tiff_is_a_stack_of_one(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tiff", STACK[0])
    np.testing.assert_array_equal(read_all(TiffReader().open(tmp_path / "a.tiff")), STACK[:1])


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.98])
def test_truncated_tiff_is_found_at_opening(tmp_path: Path, compression, share):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, compression=compression, photometric="minisblack")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match=r"a\.tif") as caught:
        read_all(TiffReader().open(path))
    assert caught.value.exit_code == 3
    assert "data verify" in caught.value.mend


def test_tiff_with_damaged_page_names_the_slice(tmp_path: Path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages[2].dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[offset : offset + 40] = bytes(40)
    path.write_bytes(content)
    volume = TiffReader().open(path)
    np.testing.assert_array_equal(volume.read(1), STACK[1])
    with pytest.raises(DataError, match=r"a\.tif: slice 2 cannot be decoded"):
        volume.read(2)


def test_tiff_of_mixed_sizes_and_of_colours(tmp_path: Path):
    with tifffile.TiffWriter(tmp_path / "mixed.tif") as writer:
        writer.write(STACK[0], photometric="minisblack")
        writer.write(STACK[0, :16], photometric="minisblack")
    with pytest.raises(DataError, match=r"slice 1 is \(16, 48\).*slice 0 is \(32, 48\)"):
        TiffReader().open(tmp_path / "mixed.tif")
    tifffile.imwrite(tmp_path / "rgb.tif", np.zeros((4, 8, 8, 3), np.uint8), photometric="rgb")
    with pytest.raises(DataError, match="holds 3 along 'channel'"):
        TiffReader().open(tmp_path / "rgb.tif")


def test_not_a_tiff(tmp_path: Path):
    (tmp_path / "a.tif").write_bytes(b"hello")
    (tmp_path / "empty.tif").write_bytes(b"")
    for name in ("a.tif", "empty.tif"):
        with pytest.raises(DataError, match=name):
            TiffReader().open(tmp_path / name)
    assert not TiffReader().accepts(tmp_path / "a.png")
    assert not TiffReader().accepts(tmp_path)


def folder_of_png(folder: Path, names: list[str]) -> Path:
    folder.mkdir()
    for name, image in zip(names, STACK, strict=False):
        Image.fromarray(image).save(folder / name)
    return folder


def test_folder_in_natural_order(tmp_path: Path):
    folder = folder_of_png(tmp_path / "im", ["0.png", "1.png", "2.png", "10.png", "11.png"])
    (folder / "readme.txt").write_text("not a slice")
    volume = FolderReader().open(folder)
    np.testing.assert_array_equal(read_all(volume), STACK)
    assert FolderReader().accepts(folder)
    assert not FolderReader().accepts(tmp_path)


def test_folder_of_tiff_slices_and_16_bit_png(tmp_path: Path):
    (tmp_path / "seg").mkdir()
    (tmp_path / "deep").mkdir()
    for z, image in enumerate(STACK):
        tifffile.imwrite(tmp_path / "seg" / f"seg{z:04d}.tif", image.astype(np.uint16) * 200, compression="lzw")
        Image.fromarray(image.astype(np.uint16) * 200).save(tmp_path / "deep" / f"{z}.png")
    for name in ("seg", "deep"):
        volume = FolderReader().open(tmp_path / name)
        assert volume.dtype == np.uint16
        np.testing.assert_array_equal(read_all(volume), STACK.astype(np.uint16) * 200)


def test_folder_of_palette_and_equal_channel_png(tmp_path: Path):
    (tmp_path / "p").mkdir()
    indexed = Image.fromarray((STACK[0] % 3).astype(np.uint8), mode="P")
    indexed.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    indexed.save(tmp_path / "p" / "0.png")
    np.testing.assert_array_equal(FolderReader().open(tmp_path / "p").read(0), STACK[0] % 3)
    (tmp_path / "rgb").mkdir()
    Image.fromarray(np.repeat(STACK[0][..., None], 3, 2)).save(tmp_path / "rgb" / "0.png")
    np.testing.assert_array_equal(FolderReader().open(tmp_path / "rgb").read(0), STACK[0])
    (tmp_path / "colour").mkdir()
    Image.fromarray(RNG.integers(0, 255, (8, 8, 3), np.uint8)).save(tmp_path / "colour" / "0.png")
    with pytest.raises(DataError, match="not a grey picture"):
        FolderReader().open(tmp_path / "colour")


def test_folder_errors_name_file_and_slice(tmp_path: Path):
    folder = folder_of_png(tmp_path / "im", ["0.png", "1.png", "2.png"])
    content = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(content[: len(content) // 2])
    Image.fromarray(STACK[0, :10]).save(folder / "2.png")
    volume = FolderReader().open(folder)
    with pytest.raises(DataError, match=r"1\.png: slice 1 cannot be decoded"):
        volume.read(1)
    with pytest.raises(DataError, match=r"2\.png: slice 2 has \(10, 48\)"):
        volume.read(2)
    tifffile.imwrite(folder / "3.tif", STACK[0])
    with pytest.raises(DataError, match="mixed"):
        FolderReader().open(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no PNG, JPEG or TIFF"):
        FolderReader().open(tmp_path / "empty")


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("slices", [3, 4])
def test_a_stack_of_three_or_four_slices_that_was_written_as_planes(tmp_path, slices, compression):
    stack = np.random.default_rng(0).integers(0, 255, (slices, 20, 24), dtype=np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tifffile announces that it guesses colour planes
        tifffile.imwrite(tmp_path / "few.tif", stack, compression=compression)
    with pytest.raises(DataError, match=f"holds {slices} along 'channel'") as caught:
        TiffReader().open(tmp_path / "few.tif")
    assert f"{tmp_path / 'few.tif'}/axes=zyx" in caught.value.mend
    volume = TiffReader().open_choice(tmp_path / "few.tif", Choice("zyx"))
    assert volume.shape == stack.shape
    assert all(np.array_equal(volume.read(z), stack[z]) for z in range(slices))

"""What is not in a file: chunks that are not stored, sources that are elsewhere, bits that changed."""

import gzip
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import dabench_readers
import h5py
import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from dabench.components.registry import PluginStatus, Registry
from dabench.data.origin import Absent, absent_of, files_of
from dabench.data.volumes import SliceRange, open_volume, read_all
from dabench.errors import DataError, MissingDataError

STACK = np.random.default_rng(0).integers(1, 255, (6, 40, 52), np.uint8)


@pytest.fixture(scope="module")
def opener() -> Callable:
    registry = Registry()
    registry.add(dabench_readers, PluginStatus("readers", "dabench"))
    readers = registry.made("reader")
    return lambda path: open_volume(path, readers)


def zarr_of(path: Path, **options) -> Path:
    """Chunks of 2 x 16 x 16, of which the last four slices are never written."""
    array = zarr.create_array(str(path), shape=STACK.shape, dtype="u1", chunks=(2, 16, 16), **options)
    array[:2] = STACK[:2]
    return path


@pytest.mark.parametrize(
    ("options", "missing", "total"),
    [
        ({"zarr_format": 2}, 24, 36),
        ({"zarr_format": 3}, 24, 36),
        ({"zarr_format": 3, "chunk_key_encoding": {"name": "v2", "separator": "."}}, 24, 36),
        ({"zarr_format": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"}}, 24, 36),
        ({"zarr_format": 3, "shards": (4, 32, 32)}, 4, 8),
    ],
)
def test_chunks_of_zarr(tmp_path, opener, options, missing, total):
    volume = opener(zarr_of(tmp_path / "a.zarr", **options))
    assert absent_of(volume) == Absent(missing, total)
    assert absent_of(SliceRange(volume, 0, 2, "")).missing == 0
    last = absent_of(SliceRange(volume, 4, 6, ""))
    assert last.missing == last.total
    assert f"{missing} of {total} chunks ({missing / total:.0%}) are not stored" in str(absent_of(volume))


def test_a_link_that_leads_nowhere_is_an_absent_chunk(tmp_path, opener):
    path = zarr_of(tmp_path / "a.zarr", zarr_format=2)
    (path / "0.0.0").unlink()
    (path / "0.0.0").symlink_to(tmp_path / "gone")
    assert absent_of(opener(path)).missing == 25


@pytest.mark.parametrize(("encoding", "wrong"), [("/", "."), (".", "/")])
def test_chunks_under_other_keys_are_an_error(tmp_path, opener, encoding, wrong):
    encoded = {"name": "v2", "separator": encoding}
    path = zarr_of(tmp_path / "a.zarr", zarr_format=2, chunk_key_encoding=encoded)
    text = (path / ".zarray").read_text()
    (path / ".zarray").write_text(
        text.replace(f'"dimension_separator": "{encoding}"', f'"dimension_separator": "{wrong}"')
    )
    with pytest.raises(DataError, match="dimension_separator"):
        opener(path)


def test_v3_chunks_without_their_prefix_are_an_error(tmp_path, opener):
    path = zarr_of(tmp_path / "a.zarr", zarr_format=3)
    for part in (path / "c").iterdir():
        part.rename(path / part.name)
    (path / "c").rmdir()
    with pytest.raises(DataError, match=r"'c/0/0/0', and there is '0'"):
        opener(path)


def test_datasets_of_hdf5(tmp_path, opener):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        part = file.create_dataset("part", STACK.shape, "u1", chunks=(2, 16, 16))
        part[:2] = STACK[:2]
        file.create_dataset("never", STACK.shape, "u1", chunks=(2, 16, 16), fillvalue=7)
        file.create_dataset("reserved", STACK.shape, "u1")
        file["whole"] = STACK
    found = {name: absent_of(opener(tmp_path / "a.h5" / name)) for name in ("part", "never", "reserved", "whole")}
    assert found["part"] == Absent(24, 36)
    assert [found[name].share for name in ("never", "reserved", "whole")] == [1, 1, 0]
    assert absent_of(SliceRange(opener(tmp_path / "a.h5" / "part"), 0, 2, "")).missing == 0


def test_tiles_of_a_sparse_tiff(tmp_path, opener):
    stack = np.zeros((3, 64, 64), np.uint8)
    stack[0] = 1
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        tiles = (stack[0, :32, :32] if i < 4 else None for i in range(12))
        file.write(tiles, shape=stack.shape, dtype="u1", tile=(32, 32), photometric="minisblack")
    assert absent_of(opener(tmp_path / "a.tif")) == Absent(8, 12)


def virtual(folder: Path, name: str = "source.h5", part: slice = slice(None)) -> Path:
    with h5py.File(folder / "source.h5", "w") as file:
        file["d"] = STACK
    layout = h5py.VirtualLayout(STACK.shape, np.uint8)
    layout[part] = h5py.VirtualSource(name, "d", STACK.shape)[part]
    with h5py.File(folder / "virtual.h5", "w") as file:
        file.create_virtual_dataset("raw", layout, fillvalue=0)
    return folder / "virtual.h5"


def test_virtual_datasets_name_their_files(tmp_path, opener):
    volume = opener(virtual(tmp_path))
    assert files_of(volume) == (tmp_path / "virtual.h5", tmp_path / "source.h5")
    assert (read_all(volume) == STACK).all()
    assert absent_of(volume).missing == 0
    (tmp_path / "half").mkdir()
    assert absent_of(opener(virtual(tmp_path / "half", part=slice(0, 3)))).share == 0.5, "half is mapped to nothing"


@pytest.mark.parametrize("spoil", ["moved", "renamed inside", "another folder"])
def test_a_virtual_dataset_without_its_source(tmp_path, opener, spoil):
    path, error = virtual(tmp_path), MissingDataError
    if spoil == "moved":
        (tmp_path / "source.h5").rename(tmp_path / "other.h5")
    elif spoil == "another folder":
        (tmp_path / "sub").mkdir()
        path = path.rename(tmp_path / "sub" / "virtual.h5")
    else:
        error = DataError
        with h5py.File(tmp_path / "source.h5", "r+") as file:
            file.move("d", "e")
    with pytest.raises(error, match=r"virtual dataset whose source .*source\.h5"):
        opener(path)


def test_blocks_of_a_virtual_dataset(tmp_path, opener):
    layout = h5py.VirtualLayout(STACK.shape, np.uint8)
    for block in range(2):
        with h5py.File(tmp_path / f"s{block}.h5", "w") as file:
            file["d"] = STACK[3 * block : 3 * block + 3]
        layout[3 * block : 3 * block + 3] = h5py.VirtualSource(f"s{block}.h5", "d", (3, 40, 52))
    with h5py.File(tmp_path / "all.h5", "w") as file:
        file.create_virtual_dataset("raw", layout, fillvalue=0)
    assert [file.name for file in files_of(opener(tmp_path / "all.h5"))] == ["all.h5", "s0.h5", "s1.h5"]
    (tmp_path / "s1.h5").unlink()
    with pytest.raises(MissingDataError, match=r"s1\.h5"):
        opener(tmp_path / "all.h5")


def test_links_stay_in_the_folder_of_their_file(tmp_path, opener, monkeypatch):
    (tmp_path / "sub").mkdir()
    for folder in (tmp_path, tmp_path / "sub"):
        with h5py.File(folder / "in.h5", "w") as file:
            file["d"] = STACK
    with h5py.File(tmp_path / "sub" / "links.h5", "w") as file:
        file["near"], file["far"] = h5py.ExternalLink("in.h5", "d"), h5py.ExternalLink("../in.h5", "d")
        layout = h5py.VirtualLayout(STACK.shape, np.uint8)
        layout[...] = h5py.VirtualSource(str(tmp_path / "in.h5"), "d", STACK.shape)
        file.create_virtual_dataset("virtual", layout)
    links = tmp_path / "sub" / "links.h5"
    assert (read_all(opener(links / "near")) == STACK).all()
    assert [file.name for file in files_of(opener(links / "near"))] == ["links.h5", "in.h5"]
    for name in ("far", "virtual"):
        with pytest.raises(DataError, match="a link that leaves its folder") as caught:
            opener(links / name)
        assert "DABENCH_LINKED_FOLDERS" in caught.value.mend
    monkeypatch.setenv("DABENCH_LINKED_FOLDERS", os.pathsep.join(["/nowhere", str(tmp_path)]))
    for name in ("far", "virtual"):
        assert (read_all(opener(links / name)) == STACK).all()


def test_the_only_volume_may_be_a_link(tmp_path, opener):
    (tmp_path / "sub").mkdir()
    for folder in (tmp_path, tmp_path / "sub"):
        with h5py.File(folder / "in.h5", "w") as file:
            file["d"] = STACK
    for name, target in (("near.h5", "in.h5"), ("far.h5", "../in.h5"), ("gone.h5", "none.h5")):
        with h5py.File(tmp_path / "sub" / name, "w") as file:
            file["scans/raw"] = h5py.ExternalLink(target, "d")
    assert (read_all(opener(tmp_path / "sub" / "near.h5")) == STACK).all()
    assert [file.name for file in files_of(opener(tmp_path / "sub" / "near.h5"))] == ["near.h5", "in.h5"]
    with pytest.raises(DataError, match="a link that leaves its folder"):
        opener(tmp_path / "sub" / "far.h5")
    with pytest.raises(MissingDataError, match=r"'raw' links to 'd' in .*none\.h5, which is not there"):
        opener(tmp_path / "sub" / "gone.h5")


def test_external_storage_is_refused_unless_its_folder_is_allowed(tmp_path, opener, monkeypatch):
    monkeypatch.chdir(tmp_path)
    STACK.tofile("raw.bin")
    with h5py.File("a.h5", "w") as file:
        file.create_dataset("raw", STACK.shape, "u1", external=[("raw.bin", 0, STACK.nbytes)])
    with pytest.raises(DataError, match="external storage"):
        opener(Path("a.h5"))
    monkeypatch.setenv("DABENCH_LINKED_FOLDERS", str(tmp_path))
    assert (read_all(opener(Path("a.h5"))) == STACK).all()
    Path("raw.bin").write_bytes(STACK.tobytes()[:100])
    with pytest.raises(MissingDataError, match=r"raw\.bin.*not there as a whole"):
        opener(Path("a.h5"))


# ------------------------------------------------------------------------------------------------------ changed bits
def reads_as_before(opener: Callable, path: Path) -> bool:
    try:
        return bool((read_all(opener(path)) == np.sort(STACK, axis=2)).all())
    except DataError as error:
        return path.name not in str(error)


def test_every_changed_bit_of_a_gzipped_nifti_is_noticed(tmp_path, opener):
    """A bit of the compressed voxels, or of the checksum behind them: an error at the first slice that is read."""
    path = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.sort(STACK, axis=2).transpose(2, 1, 0), np.eye(4)), path)
    good, noticed = path.read_bytes(), 0
    places = np.random.default_rng(0).integers(10 * 8, len(good) * 8, 60)
    for number, place in enumerate(places):
        content = bytearray(good)
        content[place // 8] ^= 1 << (place % 8)
        flipped = tmp_path / f"{number}.nii.gz"
        flipped.write_bytes(content)
        noticed += not reads_as_before(opener, flipped)
    # The gzip header has a few bits that mean nothing (time, name); they were left out above.
    assert noticed == len(places)


def test_a_changed_bit_is_noticed_before_the_first_voxel_is_handed_out(tmp_path, opener):
    path = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(STACK.transpose(2, 1, 0), np.eye(4)), path)
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # of the checksum: what is unpacked before it looks right
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"slices 0 to 5 cannot be decoded: CRC check failed"):
        opener(path).read(0)


def compressed(folder: Path, codec: str) -> list[Path]:
    """Files whose chunks are compressed by a codec, and those that hold the bytes of a chunk."""
    path = folder / f"{codec}.zarr"
    names = {"zlib": "Zlib", "lzma": "LZMA", "bz2": "BZ2", "lz4": "LZ4"}
    if codec in ("gzip", "zstd", "blosc"):
        make = {"gzip": zarr.codecs.GzipCodec, "zstd": zarr.codecs.ZstdCodec, "blosc": zarr.codecs.BloscCodec}[codec]
        zarr.create_array(str(path), data=np.sort(STACK, 2), chunks=(6, 40, 52), compressors=make())
    else:
        import numcodecs

        made = getattr(numcodecs, names[codec])()
        zarr.create_array(str(path), data=np.sort(STACK, 2), chunks=(6, 40, 52), compressors=made, zarr_format=2)
    return [
        file for file in path.rglob("*") if file.is_file() and "zarr" not in file.name and "zattrs" not in file.name
    ]


@pytest.mark.parametrize("codec", ["gzip", "zlib", "lzma", "zstd", "blosc", "bz2", "lz4"])
@pytest.mark.parametrize("damage", ["cut", "garbage", "empty"])
def test_errors_of_every_decompressor_are_named(tmp_path, opener, codec, damage):
    (chunk,) = compressed(tmp_path, codec)
    content = chunk.read_bytes()
    chunk.write_bytes({"cut": content[: len(content) // 2], "garbage": b"\x93" * len(content), "empty": b""}[damage])
    with pytest.raises(DataError, match=rf"{codec}\.zarr: slices 0 to 5 cannot be decoded"):
        opener(tmp_path / f"{codec}.zarr").read(0)


@pytest.mark.parametrize("compression", ["zlib", "lzma", "zstd"])
def test_damaged_strips_of_a_tiff_are_named(tmp_path, opener, compression):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.sort(STACK, 2), compression=compression, photometric="minisblack")
    with tifffile.TiffFile(path) as file:
        at, count = file.pages[2].dataoffsets[0], file.pages[2].databytecounts[0]
    content = bytearray(path.read_bytes())
    content[at : at + count] = b"\x93" * count
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.tif: slice 2 cannot be decoded"):
        opener(path).read(2)


def test_damaged_chunks_of_hdf5_are_named(tmp_path, opener):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        made = file.create_dataset("raw", data=np.sort(STACK, 2), chunks=(6, 40, 52), compression="gzip")
        at = made.id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[at.byte_offset : at.byte_offset + at.size] = b"\x93" * at.size
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.h5/raw: slices 0 to 5 cannot be decoded"):
        opener(path).read(0)


# --------------------------------------------------------------------------------------------------- absurd headers
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
def test_a_header_of_a_quintillion_voxels_is_answered_at_once(tmp_path, opener, make):
    path = make(tmp_path)
    began = time.perf_counter()
    with pytest.raises(DataError, match=rf"{path.name}"):
        opener(path)
    assert time.perf_counter() - began < 1


# ----------------------------------------------------------------------------------------------------- slice folders
def folder_of(folder: Path, stack: np.ndarray = STACK) -> Path:
    folder.mkdir()
    for z, plane in enumerate(stack):
        Image.fromarray(plane).save(folder / f"im{z:03d}.png")
    return folder


@pytest.mark.parametrize("name", ["Thumbs.db", "desktop.ini", ".DS_Store", "._im000.png", "notes.txt", "preview.jpg"])
def test_a_stray_file_stops_nothing_and_is_named(tmp_path, opener, name):
    path = folder_of(tmp_path / "im")
    if name == "preview.jpg":
        Image.fromarray(STACK[0]).save(path / name)
    else:
        (path / name).write_bytes(b"\x00\x05\x16\x07")
    volume = opener(path)
    assert (read_all(volume) == STACK).all()
    (note,) = volume.volume.notes
    assert note.endswith(f"left out, as no PNG slices: {name}.")
    assert len(files_of(volume)) == 6


def test_many_slices_of_another_format_are_no_strays(tmp_path, opener):
    path = folder_of(tmp_path / "im")
    for z in range(3):
        Image.fromarray(STACK[z]).save(path / f"x{z}.jpg")
    with pytest.raises(DataError, match="JPEG and PNG slices lie mixed"):
        opener(path)
    for file in [*path.glob("im00[2-5].png"), path / "x2.jpg"]:
        file.unlink()
    with pytest.raises(DataError, match="lie mixed"):
        opener(path)


@pytest.mark.parametrize("other", [STACK[1] > 100, STACK[1].astype(np.uint16) * 257])
def test_slices_of_another_depth_are_refused(tmp_path, opener, other):
    path = folder_of(tmp_path / "im")
    Image.fromarray(other).save(path / "im003.png")
    with pytest.raises(DataError, match=r"im003\.png: slice 3 is .*, the first slice is uint8"):
        read_all(opener(path))


def test_n5_is_no_format_that_is_read_as_another(tmp_path, opener):
    """A block that is not there is zero in N5 too; dabench has no reader for it and says so."""
    path = tmp_path / "scan.n5"
    path.mkdir()
    (path / "attributes.json").write_text('{"dimensions": [4, 4, 4], "blockSize": [4, 4, 4], "dataType": "uint8"}')
    with pytest.raises(DataError, match="no reader opens this folder"):
        opener(path)
    shutil.rmtree(path)
    with pytest.raises(MissingDataError):
        opener(path)

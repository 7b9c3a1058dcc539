"""Zarr: chunks that are not stored, or under other keys, and damaged ones of every codec."""

from pathlib import Path

import numpy as np
import pytest
import zarr
from all_readers import STACK, open_cached

from dabench.data.origin import Absent, absent_of
from dabench.data.volumes import SliceRange
from dabench.errors import DataError


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
def test_chunks_of_zarr(tmp_path, options, missing, total):
    volume = open_cached(zarr_of(tmp_path / "a.zarr", **options))
    assert absent_of(volume) == Absent(missing, total)
    assert absent_of(SliceRange(volume, 0, 2, "")).missing == 0
    last = absent_of(SliceRange(volume, 4, 6, ""))
    assert last.missing == last.total
    assert f"{missing} of {total} chunks ({missing / total:.0%}) are not stored" in str(absent_of(volume))


def test_a_link_that_leads_nowhere_is_an_absent_chunk(tmp_path):
    path = zarr_of(tmp_path / "a.zarr", zarr_format=2)
    (path / "0.0.0").unlink()
    (path / "0.0.0").symlink_to(tmp_path / "gone")
    assert absent_of(open_cached(path)).missing == 25


@pytest.mark.parametrize(("encoding", "wrong"), [("/", "."), (".", "/")])
def test_chunks_under_other_keys_are_an_error(tmp_path, encoding, wrong):
    encoded = {"name": "v2", "separator": encoding}
    path = zarr_of(tmp_path / "a.zarr", zarr_format=2, chunk_key_encoding=encoded)
    text = (path / ".zarray").read_text()
    (path / ".zarray").write_text(
        text.replace(f'"dimension_separator": "{encoding}"', f'"dimension_separator": "{wrong}"')
    )
    with pytest.raises(DataError, match="dimension_separator"):
        open_cached(path)


def test_v3_chunks_without_their_prefix_are_an_error(tmp_path):
    path = zarr_of(tmp_path / "a.zarr", zarr_format=3)
    for part in (path / "c").iterdir():
        part.rename(path / part.name)
    (path / "c").rmdir()
    with pytest.raises(DataError, match=r"'c/0/0/0', and there is '0'"):
        open_cached(path)


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
def test_errors_of_every_decompressor_are_named(tmp_path, codec, damage):
    (chunk,) = compressed(tmp_path, codec)
    content = chunk.read_bytes()
    chunk.write_bytes({"cut": content[: len(content) // 2], "garbage": b"\x93" * len(content), "empty": b""}[damage])
    with pytest.raises(DataError, match=rf"{codec}\.zarr: slices 0 to 5 cannot be decoded"):
        open_cached(tmp_path / f"{codec}.zarr").read(0)

"""TIFF: tiles that are not stored, and damaged strips."""

import numpy as np
import pytest
import tifffile
from all_readers import STACK, open_cached

from dabench.data.origin import Absent, absent_of
from dabench.errors import DataError


def test_tiles_of_a_sparse_tiff(tmp_path):
    stack = np.zeros((3, 64, 64), np.uint8)
    stack[0] = 1
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        tiles = (stack[0, :32, :32] if i < 4 else None for i in range(12))
        file.write(tiles, shape=stack.shape, dtype="u1", tile=(32, 32), photometric="minisblack")
    assert absent_of(open_cached(tmp_path / "a.tif")) == Absent(8, 12)


@pytest.mark.parametrize("compression", ["zlib", "lzma", "zstd"])
def test_damaged_strips_of_a_tiff_are_named(tmp_path, compression):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.sort(STACK, 2), compression=compression, photometric="minisblack")
    with tifffile.TiffFile(path) as file:
        at, count = file.pages[2].dataoffsets[0], file.pages[2].databytecounts[0]
    content = bytearray(path.read_bytes())
    content[at : at + count] = b"\x93" * count
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.tif: slice 2 cannot be decoded"):
        open_cached(path).read(2)

"""Folders: stray files and slices of another kind, and formats that no reader opens."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from all_readers import STACK, open_cached
from PIL import Image

from dabench.data.origin import files_of
from dabench.data.volumes import read_all
from dabench.errors import DataError, MissingDataError


def folder_of(folder: Path, stack: np.ndarray = STACK) -> Path:
    folder.mkdir()
    for z, plane in enumerate(stack):
        Image.fromarray(plane).save(folder / f"im{z:03d}.png")
    return folder


@pytest.mark.parametrize("name", ["Thumbs.db", "desktop.ini", ".DS_Store", "._im000.png", "notes.txt", "preview.jpg"])
def test_a_stray_file_stops_nothing_and_is_named(tmp_path, name):
    path = folder_of(tmp_path / "im")
    if name == "preview.jpg":
        Image.fromarray(STACK[0]).save(path / name)
    else:
        (path / name).write_bytes(b"\x00\x05\x16\x07")
    volume = open_cached(path)
    assert (read_all(volume) == STACK).all()
    (note,) = volume.volume.notes
    assert note.endswith(f"left out, as no PNG slices: {name}.")
    assert len(files_of(volume)) == 6


def test_many_slices_of_another_format_are_no_strays(tmp_path):
    path = folder_of(tmp_path / "im")
    for z in range(3):
        Image.fromarray(STACK[z]).save(path / f"x{z}.jpg")
    with pytest.raises(DataError, match="JPEG and PNG slices lie mixed"):
        open_cached(path)
    for file in [*path.glob("im00[2-5].png"), path / "x2.jpg"]:
        file.unlink()
    with pytest.raises(DataError, match="lie mixed"):
        open_cached(path)


@pytest.mark.parametrize("other", [STACK[1] > 100, STACK[1].astype(np.uint16) * 257])
def test_slices_of_another_depth_are_refused(tmp_path, other):
    path = folder_of(tmp_path / "im")
    Image.fromarray(other).save(path / "im003.png")
    with pytest.raises(DataError, match=r"im003\.png: slice 3 is .*, the first slice is uint8"):
        read_all(open_cached(path))


def test_n5_is_no_format_that_is_read_as_another(tmp_path):
    """A block that is not there is zero in N5 too; dabench has no reader for it and says so."""
    path = tmp_path / "scan.n5"
    path.mkdir()
    (path / "attributes.json").write_text('{"dimensions": [4, 4, 4], "blockSize": [4, 4, 4], "dataType": "uint8"}')
    with pytest.raises(DataError, match="no reader opens this folder"):
        open_cached(path)
    shutil.rmtree(path)
    with pytest.raises(MissingDataError):
        open_cached(path)

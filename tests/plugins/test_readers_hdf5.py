"""HDF5: chunks that are not stored or are damaged, and data that lie in other files."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from all_readers import STACK, open_cached

from dabench.data.origin import Absent, absent_of, files_of
from dabench.data.volumes import SliceRange, read_all
from dabench.errors import DataError, MissingDataError


def test_datasets_of_hdf5(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        part = file.create_dataset("part", STACK.shape, "u1", chunks=(2, 16, 16))
        part[:2] = STACK[:2]
        file.create_dataset("never", STACK.shape, "u1", chunks=(2, 16, 16), fillvalue=7)
        file.create_dataset("reserved", STACK.shape, "u1")
        file["whole"] = STACK
    found = {name: absent_of(open_cached(tmp_path / "a.h5" / name)) for name in ("part", "never", "reserved", "whole")}
    assert found["part"] == Absent(24, 36)
    assert [found[name].share for name in ("never", "reserved", "whole")] == [1, 1, 0]
    assert absent_of(SliceRange(open_cached(tmp_path / "a.h5" / "part"), 0, 2, "")).missing == 0


def test_damaged_chunks_of_hdf5_are_named(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        made = file.create_dataset("raw", data=np.sort(STACK, 2), chunks=(6, 40, 52), compression="gzip")
        at = made.id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[at.byte_offset : at.byte_offset + at.size] = b"\x93" * at.size
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.h5/raw: slices 0 to 5 cannot be decoded"):
        open_cached(path).read(0)


def virtual(folder: Path, name: str = "source.h5", part: slice = slice(None)) -> Path:
    with h5py.File(folder / "source.h5", "w") as file:
        file["d"] = STACK
    layout = h5py.VirtualLayout(STACK.shape, np.uint8)
    layout[part] = h5py.VirtualSource(name, "d", STACK.shape)[part]
    with h5py.File(folder / "virtual.h5", "w") as file:
        file.create_virtual_dataset("raw", layout, fillvalue=0)
    return folder / "virtual.h5"


def test_virtual_datasets_name_their_files(tmp_path):
    volume = open_cached(virtual(tmp_path))
    assert files_of(volume) == (tmp_path / "virtual.h5", tmp_path / "source.h5")
    assert (read_all(volume) == STACK).all()
    assert absent_of(volume).missing == 0
    (tmp_path / "half").mkdir()
    assert absent_of(open_cached(virtual(tmp_path / "half", part=slice(0, 3)))).share == 0.5, (
        "half is mapped to nothing"
    )


@pytest.mark.parametrize("spoil", ["moved", "renamed inside", "another folder"])
def test_a_virtual_dataset_without_its_source(tmp_path, spoil):
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
        open_cached(path)


def test_blocks_of_a_virtual_dataset(tmp_path):
    layout = h5py.VirtualLayout(STACK.shape, np.uint8)
    for block in range(2):
        with h5py.File(tmp_path / f"s{block}.h5", "w") as file:
            file["d"] = STACK[3 * block : 3 * block + 3]
        layout[3 * block : 3 * block + 3] = h5py.VirtualSource(f"s{block}.h5", "d", (3, 40, 52))
    with h5py.File(tmp_path / "all.h5", "w") as file:
        file.create_virtual_dataset("raw", layout, fillvalue=0)
    assert [file.name for file in files_of(open_cached(tmp_path / "all.h5"))] == ["all.h5", "s0.h5", "s1.h5"]
    (tmp_path / "s1.h5").unlink()
    with pytest.raises(MissingDataError, match=r"s1\.h5"):
        open_cached(tmp_path / "all.h5")


def test_links_stay_in_the_folder_of_their_file(tmp_path, monkeypatch):
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
    assert (read_all(open_cached(links / "near")) == STACK).all()
    assert [file.name for file in files_of(open_cached(links / "near"))] == ["links.h5", "in.h5"]
    for name in ("far", "virtual"):
        with pytest.raises(DataError, match="a link that leaves its folder") as caught:
            open_cached(links / name)
        assert "DABENCH_LINKED_FOLDERS" in caught.value.mend
    monkeypatch.setenv("DABENCH_LINKED_FOLDERS", os.pathsep.join(["/nowhere", str(tmp_path)]))
    for name in ("far", "virtual"):
        assert (read_all(open_cached(links / name)) == STACK).all()


def test_the_only_volume_may_be_a_link(tmp_path):
    (tmp_path / "sub").mkdir()
    for folder in (tmp_path, tmp_path / "sub"):
        with h5py.File(folder / "in.h5", "w") as file:
            file["d"] = STACK
    for name, target in (("near.h5", "in.h5"), ("far.h5", "../in.h5"), ("gone.h5", "none.h5")):
        with h5py.File(tmp_path / "sub" / name, "w") as file:
            file["scans/raw"] = h5py.ExternalLink(target, "d")
    assert (read_all(open_cached(tmp_path / "sub" / "near.h5")) == STACK).all()
    assert [file.name for file in files_of(open_cached(tmp_path / "sub" / "near.h5"))] == ["near.h5", "in.h5"]
    with pytest.raises(DataError, match="a link that leaves its folder"):
        open_cached(tmp_path / "sub" / "far.h5")
    with pytest.raises(MissingDataError, match=r"'raw' links to 'd' in .*none\.h5, which is not there"):
        open_cached(tmp_path / "sub" / "gone.h5")


def test_external_storage_is_refused_unless_its_folder_is_allowed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    STACK.tofile("raw.bin")
    with h5py.File("a.h5", "w") as file:
        file.create_dataset("raw", STACK.shape, "u1", external=[("raw.bin", 0, STACK.nbytes)])
    with pytest.raises(DataError, match="external storage"):
        open_cached(Path("a.h5"))
    monkeypatch.setenv("DABENCH_LINKED_FOLDERS", str(tmp_path))
    assert (read_all(open_cached(Path("a.h5"))) == STACK).all()
    Path("raw.bin").write_bytes(STACK.tobytes()[:100])
    with pytest.raises(MissingDataError, match=r"raw\.bin.*not there as a whole"):
        open_cached(Path("a.h5"))

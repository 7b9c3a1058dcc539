"""Folders as bytes."""

from __future__ import annotations

from dabench.execution.transfer import pack, unpack


def test_what_is_unpacked_is_what_was_packed_less_what_stays(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    for name, text in {"a/stage.json": "1", "a/deep/w.bin": "2", "a/predictions/x.tif": "3", "a/.y.part": "4"}.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(text)
    archive = pack(here, ["a", "not there"])
    unpack(there, archive)
    found = {p.relative_to(there).as_posix(): p.read_text() for p in there.rglob("*") if p.is_file()}
    assert found == {"a/stage.json": "1", "a/deep/w.bin": "2"}
    unpack(there, archive)
    assert (there / "a/stage.json").read_text() == "1"


def test_an_empty_archive_makes_an_empty_folder(tmp_path):
    unpack(tmp_path / "there", pack(tmp_path, []))
    assert list((tmp_path / "there").iterdir()) == []

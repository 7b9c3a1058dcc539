"""Folders as bytes."""

from __future__ import annotations

from dabench.execution.transfer import pack, unpack


def test_what_is_unpacked_is_what_was_packed_less_what_stays(tmp_path):
    """A stage's predictions stay unless they are named; those of a run are part of it."""
    here, there = tmp_path / "here", tmp_path / "there"
    stays = ["stages/a/predictions/x.tif", "stages/a/.y.part", "stages/a/checkpoint.pt", "runs/c/.z.part"]
    goes = ["runs/c/predictions/y.tif", "stages/a/deep/w.bin", "stages/a/stage.json", "stages/b/predictions/z.tif"]
    for name in [*stays, *goes]:
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(name)
    archive = pack(here, ["stages/a", "not there", "runs/c", "stages/b/predictions"])
    for _ in range(2):
        unpack(there, archive)
        assert sorted(p.relative_to(there).as_posix() for p in there.rglob("*") if p.is_file()) == goes
    assert (there / "runs/c/predictions/y.tif").read_text() == "runs/c/predictions/y.tif"


def test_an_empty_archive_makes_an_empty_folder(tmp_path):
    unpack(tmp_path / "there", pack(tmp_path, []))
    assert list((tmp_path / "there").iterdir()) == []

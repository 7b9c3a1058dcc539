"""Files are whole or not there, whatever happens while they are written."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from dabench.errors import DataError
from dabench.files.atomic import atomic, write_json, write_text, write_with
from dabench.files.digests import altered, digest_of, write_digests


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ],
    ids=["system", "library"],
)
def test_a_full_disk_is_named_and_leaves_the_old_file_and_no_part(tmp_path: Path, error: Exception) -> None:
    path = tmp_path / "model.bin"
    write_text(path, "old")

    def save(part: Path) -> None:
        part.write_text("half of the n")
        raise error

    with pytest.raises(DataError, match=r"model\.bin: the disk is full: 0\.0 MB of it could be written") as told:
        write_with(path, save)
    assert "start the same command again" in told.value.mend
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model.bin"]


def test_a_kill_leaves_only_a_hidden_part(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    block = atomic(path)
    block.__enter__().write_text("half")  # a killed process never leaves the block
    assert not path.exists()
    assert all(p.name.startswith(".") for p in tmp_path.iterdir())
    write_text(path, "whole")
    assert path.read_text() == "whole"


def test_json_and_digests_do_not_depend_on_order(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": 2})
    write_json(tmp_path / "b.json", {"a": 2, "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert digest_of({"b": 1, "a": [1]}) == digest_of({"a": [1], "b": 1})
    assert digest_of([1, 2]) != digest_of([2, 1])


def test_digests_tell_what_was_altered_and_what_is_gone(tmp_path: Path) -> None:
    files = [tmp_path / "a.txt", tmp_path / "deep" / "b.txt", tmp_path / "c.txt"]
    for file in files:
        write_text(file, "abc")
    write_digests(tmp_path / "SHA256SUMS", files)
    # SHA-256 of "abc", as FIPS 180-2 prints it.
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert (tmp_path / "SHA256SUMS").read_text() == f"{abc}  a.txt\n{abc}  deep/b.txt\n{abc}  c.txt\n"
    assert altered(tmp_path / "SHA256SUMS") == []
    files[1].write_text("abd")
    files[2].unlink()
    assert altered(tmp_path / "SHA256SUMS") == ["deep/b.txt", "c.txt"]


def test_without_a_list_nothing_is_altered(tmp_path: Path) -> None:
    assert altered(tmp_path / "SHA256SUMS") == []

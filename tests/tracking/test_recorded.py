"""Recorded results: journals of many runs in one file, read as runs without directories."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dabench.errors import DataError
from dabench.tracking.recorded import read_recorded, write_recorded
from dabench.tracking.run_reader import read_run


@pytest.fixture
def runs(tmp_path, make_run):
    made = [read_run(make_run(tmp_path / name, dice=dice)) for name, dice in (("a", 0.5), ("b", 0.7))]
    return [replace(run, tags={**run.tags, "row": f"row {place}"}) for place, run in enumerate(made)]


def test_numbers_tags_and_costs_come_back(tmp_path, runs):
    path = tmp_path / "some.jsonl"
    write_recorded(path, runs)
    found = read_recorded(path)
    assert [run.tags["row"] for run in found] == ["row 0", "row 1"]
    for run, own in zip(found, runs, strict=True):
        assert (run.cell_scores, run.split_scores, run.costs) == (own.cell_scores, own.split_scores, own.costs)
        assert (run.params, run.status, run.stages, run.origin) == (own.params, own.status, own.stages, "here")
        assert not run.path.exists()
        assert run.along_slices() == {}


def test_what_is_written_is_what_was_read(tmp_path, runs):
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    write_recorded(first, runs)
    write_recorded(second, read_recorded(first))
    assert first.read_bytes() == second.read_bytes()


def test_only_the_last_attempt_is_kept(tmp_path, make_run):
    for dice in (0.5, 0.6):
        run = make_run(tmp_path / "a", dice=dice)
    write_recorded(tmp_path / "one.jsonl", [read_run(run)])
    (found,) = read_recorded(tmp_path / "one.jsonl")
    assert found.cell_scores[0.0, "dice"] == 0.6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not start with a run"),
        ('{"event":"phase","name":"x","seconds":1}\n', "does not start with a run"),
        ("{\n", "line 1 is damaged"),
    ],
)
def test_another_file_is_refused(tmp_path, text, message):
    (tmp_path / "x.jsonl").write_text(text)
    with pytest.raises(DataError, match=message):
        read_recorded(tmp_path / "x.jsonl")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.jsonl: no such file"):
        read_recorded(tmp_path / "none.jsonl")

"""The journal survives what happens to files: kills, torn lines, damage, newer versions."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dabench.errors import DataError
from dabench.tracking import CellFinished, CellStarted, CurveLog, InputData, Journal, Phase, read_curve, read_journal
from dabench.tracking.events import KINDS


def test_events_come_back_as_they_were_written(tmp_path):
    events = [
        CellStarted(
            "c", {"task": "a2b", "seed": 3}, {"lr": 0.1}, (InputData("a", "d", "training", "x"),), ("s1", "s2")
        ),
        Phase("train", 1.5),
        CellFinished("oom", "GPU is full"),
    ]
    journal = Journal(tmp_path / "run")
    for event in events:
        journal.append(event)
    assert read_journal(journal.path) == events


def test_time_is_utc(tmp_path):
    assert Phase("a", 1.0).time.endswith("+00:00")


def test_torn_last_line_is_left_out_and_cut_off_before_the_next(tmp_path):
    journal = Journal(tmp_path)
    journal.append(Phase("a", 1.0))
    with journal.path.open("a") as handle:
        handle.write('{"event": "phase", "na')
    assert [e.name for e in read_journal(journal.path)] == ["a"]
    Journal(tmp_path).append(Phase("b", 2.0))
    assert [e.name for e in read_journal(journal.path)] == ["a", "b"]


@pytest.mark.parametrize("line", ["{garbage", '["no event"]', '{"event": "phase", "name": "a"}'])
def test_damaged_middle_line_is_named(tmp_path, line):
    journal = Journal(tmp_path / "cell-7")
    journal.append(Phase("a", 1.0))
    with journal.path.open("a") as handle:
        handle.write(line + "\n")
    journal.append(Phase("b", 1.0))
    with pytest.raises(DataError, match=r"cell-7/journal.jsonl, line 2 is damaged"):
        read_journal(journal.path)


def test_unknown_events_and_fields_are_skipped(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_text('{"event":"from_the_future","x":1}\n{"event":"phase","name":"a","seconds":1,"time":"t","new":2}\n')
    assert read_journal(path) == [Phase("a", 1, time="t")]


def test_every_kind_has_its_own_name():
    outcomes = ["kept", "regret", "scored", "selected", "stage_finished"]
    others = ["altered", "cell_finished", "cell_started", "cost", "guarded", "model", "phase"]
    assert sorted(KINDS) == sorted([*others, *outcomes])


def test_unknown_status_is_refused():
    with pytest.raises(ValueError, match="fine"):
        CellFinished("fine")


def test_disk_full_is_an_error_and_leaves_no_joined_lines(tmp_path, monkeypatch):
    journal = Journal(tmp_path)
    journal.append(Phase("a", 1.0))
    with monkeypatch.context() as patch:
        real = __import__("os").write
        patch.setattr("dabench.tracking.journal.os.write", lambda fd, data: real(fd, data[:5]))
        with pytest.raises(OSError, match="disk full"):
            journal.append(Phase("b", 1.0))
    Journal(tmp_path).append(Phase("c", 1.0))
    assert [e.name for e in read_journal(journal.path)] == ["a", "c"]


def test_curve_continues_from_a_checkpoint(tmp_path):
    path = tmp_path / "curves" / "s.jsonl"
    with CurveLog(path) as log:
        for step in range(5):
            log.append(step, {"loss": float(step)})
    with CurveLog(path, start=3) as log:
        log.append(3, {"loss": 30.0, "seg": float("nan")})
    terms = read_curve(path).terms
    assert terms["loss"] == ([0, 1, 2, 3], [0.0, 1.0, 2.0, 30.0])
    assert terms["seg"][0] == [3]


def test_damaged_curve_names_file_and_line(tmp_path):
    path = tmp_path / "s.jsonl"
    path.write_text('{"step": 0, "loss": 1}\n{"loss": 1}\n{"step": 1, "lo')
    with pytest.raises(DataError, match=r"s.jsonl, line 2"):
        read_curve(path)


def test_journal_needs_neither_mlflow_nor_torch():
    code = (
        "import sys, dabench.tracking.journal, dabench.tracking.replay\n"
        "assert not {'mlflow', 'torch', 'numpy', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

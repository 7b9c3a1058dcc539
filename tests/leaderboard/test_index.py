"""The index of runs: what a row holds, what a refresh reads, and what it survives."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from made_up_cells import AJI, DICE, PQ, write_cell

import dabench.leaderboard.index as index_module
from dabench.files.workspace import Workspace
from dabench.leaderboard.index import Index, read_index
from dabench.leaderboard.metric import Metric
from tests.conftest import Told


@pytest.fixture
def reads(monkeypatch):
    """Folders that were read, in order."""
    seen = []
    real = index_module.read_run
    monkeypatch.setattr(index_module, "read_run", lambda path: seen.append(path.name) or real(path))
    return seen


def open_and_refresh(workspace, **options):
    with Index(workspace) as index:
        return index.refresh(**options), index.rows()


def test_a_row_holds_tags_scores_slices_costs_and_files(workspace):
    run = write_cell(workspace.runs, "ipl", seed=2, slices=(0.6, 0.8), cost=90.0, points=0.15, origin="lab-b")
    (run / "panels" / "last").mkdir()
    (run / "panels" / "last" / "slice-0001.jpg").write_text("nor is this")
    _, (row,) = open_and_refresh(workspace)
    assert (row.cell_id, row.status, row.origin, row.path) == (run.name, "ok", "lab-b", str(run))
    assert row.tags["seed"] == "2"
    assert row.tags["points"] == "0.15"
    assert row.tags["status"] == "ok"
    assert row.tags["test_points"] == "0"
    assert row.scores == pytest.approx({DICE: 0.7, AJI: 0.6, PQ: 0.5})
    assert row.metrics["cost/annotation_seconds"] == 90.0
    assert list(row.slices) == [DICE, AJI, PQ]
    np.testing.assert_allclose(row.slices[PQ], [0.4, 0.6])
    assert [p.removeprefix(f"{run}/panels/") for p in row.panels] == ["last/slice-0001.jpg", "slice-0000-median.png"]


def test_the_first_share_of_test_points_is_the_headline(workspace):
    write_cell(workspace.runs, "ipl", slices=(0.5, 0.7), test_points=(0.15, 0.0, 1.0))
    _, (row,) = open_and_refresh(workspace)
    assert row.tags["test_points"] == "0.15"
    assert row.scores[DICE] == pytest.approx(0.6)
    assert row.scores[Metric.parse("points_0/dice")] == pytest.approx(0.65)
    assert row.scores[Metric.parse("points_100/dice")] == pytest.approx(0.7)
    np.testing.assert_allclose(row.slices[Metric.parse("points_100/dice")], [0.6, 0.8])
    assert next(iter(row.scores)) == DICE


def test_slices_are_dropped_where_the_score_is_not_their_mean(workspace):
    run = write_cell(workspace.runs, "ipl", slices=(0.6, 0.8))
    table = run / "per_slice" / "only-das-2d@1-points0.csv"
    table.write_text("slice,dice,aji,pq,left_out\n0,0.1,0.5,,\n1,0.2,0.7,0.5,\n2,,,,empty on both sides\n")
    _, (row,) = open_and_refresh(workspace)
    np.testing.assert_array_equal(row.slices[AJI], [0.5, 0.7, np.nan])
    np.testing.assert_array_equal(row.slices[PQ], [np.nan, 0.5, np.nan])
    assert DICE not in row.slices  # as a pooled score would be


def test_a_refresh_reads_only_what_changed_and_drops_what_is_gone(workspace, reads):
    runs = [write_cell(workspace.runs, "ipl", seed=seed) for seed in range(4)]
    told = Told()
    first, _ = open_and_refresh(workspace, observer=told)
    assert told.work == {"reading runs": (4, 4)}
    assert sorted(first.read) == sorted(reads) == [run.name for run in runs]
    reads.clear()
    again, rows = open_and_refresh(workspace)
    assert (again.read, again.unchanged, again.dropped, reads) == ((), 4, (), [])
    assert len(rows) == 4

    write_cell(workspace.runs, "ipl", seed=1, slices=(0.3,))  # ran again: its journal grew
    shutil.rmtree(runs[2])
    third, rows = open_and_refresh(workspace)
    assert reads == [runs[1].name]
    assert (third.unchanged, third.dropped) == (2, (runs[2].name,))
    assert [row.scores[DICE] for row in rows] == pytest.approx([0.8, 0.3, 0.8])


def test_anew_reads_everything(workspace, reads):
    write_cell(workspace.runs, "ipl")
    open_and_refresh(workspace)
    open_and_refresh(workspace, anew=True)
    assert len(reads) == 2


def test_damaged_runs_are_named_once_and_hide_nothing(workspace, reads):
    write_cell(workspace.runs, "ipl")
    write_cell(workspace.runs, "sac").joinpath("journal.jsonl").write_text("{\n{\n")
    write_cell(workspace.runs, "ualr").joinpath("origin.json").write_text("[]")
    strange = write_cell(workspace.runs, "cafa", tags_are="wrong") / "journal.jsonl"
    strange.write_text(strange.read_text().replace('"seed":0', '"seed":"many"'))
    write_cell(workspace.runs, "da-isc").joinpath("per_slice", "only-das-2d@1-points0.csv").write_text(
        "slice,dice\n0,x\n"
    )
    report, rows = open_and_refresh(workspace)
    assert [row.tags["method"] for row in rows] == ["ipl"]
    told = "\n".join(report.damaged)
    for part in ("sac-human2stem-s0/journal.jsonl, line 1", "ualr-human2stem-s0/origin.json", "cafa", "points0.csv"):
        assert part in told
    reads.clear()
    again, _ = open_and_refresh(workspace)
    assert again.damaged == report.damaged
    assert reads == []


def test_a_run_that_was_mended_is_back(workspace):
    run = write_cell(workspace.runs, "ipl")
    whole = (run / "journal.jsonl").read_text()
    (run / "journal.jsonl").write_text("{\n")
    assert open_and_refresh(workspace)[0].damaged
    (run / "journal.jsonl").write_text(whole)
    report, rows = open_and_refresh(workspace)
    assert (report.damaged, len(rows)) == ((), 1)


@pytest.mark.parametrize("content", [b"this is no database, and long enough to be looked at" * 100, b""])
def test_an_index_that_is_none_is_made_anew(workspace, content):
    write_cell(workspace.runs, "ipl")
    (workspace.root / "index.db").write_bytes(content)
    assert len(open_and_refresh(workspace)[1]) == 1
    assert len(open_and_refresh(workspace)[0].read) == 0


@pytest.mark.parametrize("torn", ["row = '{'", "row = '{}'", "slices = X'00'"])
def test_an_index_with_a_torn_row_is_made_anew(workspace, torn):
    """It opens, and its error shows only when it is read."""
    for seed in range(3):
        write_cell(workspace.runs, "ipl", seed=seed)
    rows, _ = read_index(workspace, anew=False)
    with closing(sqlite3.connect(workspace.root / "index.db")) as db, db:
        db.execute(f"UPDATE runs SET {torn}")
    again, damaged = read_index(workspace, anew=False)
    assert ([row.cell_id for row in again], damaged) == ([row.cell_id for row in rows], ())


def test_an_index_of_another_version_is_read_anew(workspace, monkeypatch):
    write_cell(workspace.runs, "ipl")
    open_and_refresh(workspace)
    monkeypatch.setattr(index_module, "FORMAT", index_module.FORMAT + 1)
    assert len(open_and_refresh(workspace)[0].read) == 1


def test_a_workspace_that_cannot_be_written_is_read_all_the_same(workspace):
    write_cell(workspace.runs, "ipl")
    (workspace.root / "index.db").mkdir()  # nobody, not even root, can open this
    assert len(open_and_refresh(workspace)[1]) == 1


def test_looking_at_no_workspace_makes_none(tmp_path):
    report, rows = open_and_refresh(Workspace(tmp_path / "nowhere"))
    assert (rows, report.read) == ([], ())
    assert not (tmp_path / "nowhere").exists()


def test_origin_is_what_the_import_wrote(workspace):
    write_cell(workspace.runs, "ipl")
    (workspace.runs / "stray").mkdir()  # no run, no harm
    (workspace.runs / "cell.lock").write_text("")
    imported = write_cell(workspace.runs, "sac", origin="lab-b")
    assert json.loads((imported / "origin.json").read_text()) == {"origin": "lab-b"}
    assert [row.tags["origin"] for row in open_and_refresh(workspace)[1]] == ["here", "lab-b"]


def test_the_benchmarks_made_up_runs_are_whole(workspace):
    path = Path(__file__).parents[2] / "benchmarks" / "leaderboard.py"
    spec = importlib.util.spec_from_file_location("benchmark_leaderboard", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for place in module.places({"settings": 1, "entries": 2, "tasks": 1, "seeds": 1}):
        module.write_cell(workspace.runs, place)
    report, rows = open_and_refresh(workspace)
    assert report.damaged == ()
    assert [row.status for row in rows] == ["ok", "ok"]
    assert all(len(row.slices[DICE]) == module.SLICES and len(row.panels) == 3 for row in rows)

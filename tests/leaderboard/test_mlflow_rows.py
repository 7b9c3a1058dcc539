"""Rows out of an MLflow store: the same as those of the run directories, or without slices where only numbers are."""

from __future__ import annotations

import shutil

import pytest
from made_up_cells import DICE, three_seeds, write_cell

from dabench.files.workspace import Workspace
from dabench.leaderboard.exports import to_json
from dabench.leaderboard.gather import load
from dabench.leaderboard.index import Index
from dabench.leaderboard.rows import rows_from_mlflow
from dabench.tracking.mlflow_store import connect
from dabench.tracking.replay import sync
from dabench.tracking.sqlite_file import TrackingError


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A workspace and its store."""
    place = Workspace(tmp_path_factory.mktemp("store"))
    for task in ("human2stem", "lucchi2vnc"):
        three_seeds(place.runs, "ipl", task, 0.8, cost=60.0, points=0.15)
        three_seeds(place.runs, "sac", task, 0.6)
    write_cell(place.runs, "ualr", slices=(0.7,), test_points=(0.5, 0.0))
    write_cell(place.runs, "cafa", status="failed", reason="why")
    sync(place)
    return place


def test_rows_of_local_artifacts_are_those_of_the_runs(filled):
    rows, damaged = rows_from_mlflow(filled.tracking_uri)
    with Index(filled) as index:
        index.refresh()
        ours = index.rows()
    assert damaged == []
    assert [row.cell_id for row in rows] == [row.cell_id for row in ours]
    for row, own in zip(rows, ours, strict=True):
        assert (row.tags, row.metrics, row.scores, row.status) == (own.tags, own.metrics, own.scores, own.status)
        assert {name: list(values) for name, values in row.slices.items()} == {
            name: list(values) for name, values in own.slices.items()
        }
        assert len(row.panels) == len(own.panels)
    assert load(filled, uri=filled.tracking_uri).boards()[0].standings[0].overall.mean == pytest.approx(0.8)


def test_summaries_and_half_written_runs_are_passed_over(filled):
    client = connect(filled.tracking_uri)
    experiment = client.get_experiment_by_name("dabench/adhoc").experiment_id
    for tags in (
        {"dabench.cell_id": "torn", "dabench.task": "human2stem"},
        {"dabench.cell_id": "mean", "dabench.kind": "summary", "dabench.journal_digest": "x"},
        {"somebody": "else's"},
    ):
        client.create_run(experiment, tags=tags)
    names = {row.cell_id for row in rows_from_mlflow(filled.tracking_uri)[0]}
    assert len(names) == 14
    assert not names & {"torn", "mean"}


def test_without_artifacts_there_are_numbers_without_slices(filled, tmp_path):
    elsewhere = Workspace(tmp_path / "elsewhere")
    elsewhere.root.mkdir()
    shutil.copy(filled.root / "mlflow.db", elsewhere.root)
    kept = filled.artifacts.rename(filled.root / "away")
    try:
        rows, damaged = rows_from_mlflow(elsewhere.tracking_uri)
        board = load(elsewhere, uri=elsewhere.tracking_uri).boards()[0]
    finally:
        kept.rename(filled.artifacts)
    assert damaged == []
    assert all(not row.slices and not row.panels and not row.path for row in rows)
    ualr = next(row for row in rows if row.tags["method"] == "ualr")
    assert ualr.tags["test_points"] == "0.5"
    assert ualr.scores[DICE] == pytest.approx(0.7)
    with Index(filled) as index:
        index.refresh()
        ours = {row.cell_id: row for row in index.rows()}
    assert all((row.scores, row.costs) == (ours[row.cell_id].scores, ours[row.cell_id].costs) for row in rows)
    failed = next(row for row in rows if row.tags["method"] == "cafa")
    assert (failed.status, failed.reason) == ("failed", "why")
    assert [s.entry for s in board.standings[:2]] == ["ipl", "sac"]
    assert board.standings[0].overall.mean == pytest.approx(0.8)
    assert any("not all cells have scores per slice" in note for note in board.notes)
    assert to_json([board], elsewhere.root)


@pytest.mark.parametrize("uri", ["sqlite:////nowhere/at/all.db", "sqlite:///{}/torn.db"])
def test_a_store_that_is_none_says_so(uri, tmp_path):
    (tmp_path / "torn.db").write_text("no database at all, but long enough to be looked at" * 99)
    with pytest.raises(TrackingError, match=r"MLflow store .*(there is no file|cannot be used)"):
        rows_from_mlflow(uri.format(tmp_path))
    assert not (tmp_path / "at").exists()

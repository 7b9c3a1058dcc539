"""Summaries in an MLflow store: the tree, what a search finds, and what becomes of them when their cells change."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from made_up_suite import write_cell, write_suite
from mlflow.tracking import MlflowClient

from dabench.files.workspace import Workspace
from dabench.tracking.mlflow_reader import read_cells
from dabench.tracking.mlflow_summaries import SummarySync
from dabench.tracking.mlflow_writer import MlflowWriter
from dabench.tracking.replay import sync

SUITE = "made-up"
GUIDE = Path(__file__).parents[2] / "docs" / "browsing.md"


class Store:
    """What a person finds in the store's experiment of the suite."""

    def __init__(self, uri, suite=SUITE):
        self.client = MlflowClient(uri)
        self.experiment = self.client.get_experiment_by_name(f"dabench/{suite}")

    def search(self, query=""):
        return list(self.client.search_runs([self.experiment.experiment_id], query))

    def summaries(self):
        return {run.info.run_name: run for run in self.search("tags.`dabench.kind` = 'summary'")}

    def below(self, run):
        return sorted(r.info.run_name for r in self.search(f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"))


@pytest.fixture(scope="module")
def filled(tmp_path_factory, empty_store):
    """A workspace of two rows, two tasks and two seeds, synchronised once: that takes seconds."""
    workspace = Workspace(tmp_path_factory.mktemp("filled"))
    shutil.copy(empty_store, workspace.root / "mlflow.db")
    cells = write_suite(workspace.runs, rows=("source only", "points"), seeds=2)
    report = sync(workspace, rows={SUITE: cells})
    assert (len(report.written), report.summaries) == (8, 6)
    return workspace, cells


@pytest.fixture
def workspace(filled, tmp_path):
    shutil.copytree(filled[0].root, tmp_path, dirs_exist_ok=True)
    place = Workspace(tmp_path)
    with pytest.warns(RuntimeWarning, match="its artifacts were at"):
        MlflowWriter(place.tracking_uri).stored(f"dabench/{SUITE}")
    return place


@pytest.fixture
def rows(filled):
    return dict(filled[1])


@pytest.fixture
def store(workspace):
    return Store(workspace.tracking_uri)


def test_rows_tasks_and_cells_are_a_tree(store):
    found = store.summaries()
    points = found["points"]
    assert store.below(points) == ["human2stem · points", "lucchi2vnc · points"]
    assert store.below(found["human2stem · points"]) == ["prompt-das s0 human2stem", "prompt-das s1 human2stem"]
    assert "mlflow.parentRunId" not in points.data.tags
    assert points.data.tags["dabench.task"] == "all"
    assert {"target_test/dice", "target_test/pq_high", "n_seeds", "cells/ok", "cost/train_seconds"} <= set(
        points.data.metrics
    )
    assert points.data.params == {"method": "prompt-das", "po": "none"}
    assert "seed 1: Dice" in points.data.tags["mlflow.note.content"]
    assert points.info.status == "FINISHED"


def test_leaves_can_be_searched_without_their_parents(store):
    cells = store.search("tags.`dabench.kind` = 'cell' and tags.`dabench.row` = 'points'")
    assert len(cells) == 4
    assert {run.data.tags["dabench.method"] for run in cells} == {"prompt-das"}
    colours = {run.data.tags["mlflow.runColor"] for run in cells}
    assert colours == {store.summaries()["points"].data.tags["mlflow.runColor"]}


def test_summaries_are_not_read_back_as_results(workspace, store):
    cells = list(read_cells(workspace.tracking_uri))
    assert len(cells) == 8
    assert {cell.tags["kind"] for cell in cells} == {"cell"}
    assert len(MlflowWriter(workspace.tracking_uri).stored(f"dabench/{SUITE}")) == 8


def test_again_changes_nothing(workspace, rows, store):
    before = {run.info.run_id: run.data.tags for run in store.search()}
    report = sync(workspace, rows={SUITE: rows})
    assert (report.written, report.summaries) == ((), 0)
    assert {run.info.run_id: run.data.tags for run in store.search()} == before


def test_a_new_seed_replaces_the_summaries_above_it_alone(workspace, rows, store):
    before = store.summaries()
    rows[write_cell(workspace.runs, "points", "human2stem", 2)] = "points"
    assert sync(workspace, rows={SUITE: rows}).summaries == 2
    after = store.summaries()
    kept = {name for name in after if after[name].info.run_id == before[name].info.run_id}
    assert kept == {"source only", "human2stem · source only", "lucchi2vnc · source only", "lucchi2vnc · points"}
    assert after["human2stem · points"].data.metrics["n_seeds"] == 3
    assert store.below(after["points"]) == ["human2stem · points", "lucchi2vnc · points"]
    assert len(store.below(after["human2stem · points"])) == 3


def test_a_failed_rerun_shows_in_the_summary(workspace, rows, store):
    shutil.rmtree(workspace.runs / "points-human2stem-s1")
    write_cell(workspace.runs, "points", "human2stem", 1, status="failed")
    sync(workspace, rows={SUITE: rows})
    found = store.summaries()["human2stem · points"]
    assert found.data.tags["dabench.status"] == "1 ok, 1 failed"
    assert found.info.status == "FAILED"
    assert len(store.below(found)) == 2


def test_a_row_that_is_gone_stays_while_its_cells_do(workspace, rows, store):
    kept = {cell: row for cell, row in rows.items() if row == "source only"}
    MlflowWriter(workspace.tracking_uri).summarise(SUITE, [])
    assert len(store.summaries()) == 6, "the store still has their cells"
    for run in store.search("tags.`dabench.row` = 'points' and tags.`dabench.kind` = 'cell'"):
        store.client.delete_run(run.info.run_id)
        shutil.rmtree(workspace.runs / run.data.tags["dabench.cell_id"])
    sync(workspace, rows={SUITE: kept})
    assert sorted(store.summaries()) == ["human2stem · source only", "lucchi2vnc · source only", "source only"]


def test_a_renamed_row_takes_its_cells_along(workspace, rows, store):
    renamed = {cell: "clicks" if row == "points" else row for cell, row in rows.items()}
    report = sync(workspace, rows={SUITE: renamed})
    assert len(report.written) == 4
    assert set(store.summaries()) & {"points", "clicks"} == {"clicks"}
    assert len(store.search("tags.`dabench.row` = 'clicks' and tags.`dabench.kind` = 'cell'")) == 4


def test_a_half_written_summary_is_replaced(workspace, rows, store, monkeypatch):
    rows[write_cell(workspace.runs, "points", "human2stem", 2)] = "points"
    with monkeypatch.context() as patch:
        patch.setattr(SummarySync, "put", lambda *a: 0)
        assert len(sync(workspace, rows={SUITE: rows}).written) == 1
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_terminated", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            sync(workspace, rows={SUITE: rows})
    assert len(store.search("tags.`dabench.kind` = 'summary'")) == 7
    sync(workspace, rows={SUITE: rows})
    assert len(store.search("tags.`dabench.kind` = 'summary'")) == 6
    assert len(store.below(store.summaries()["human2stem · points"])) == 3


def test_a_cell_of_two_suites_is_in_both(workspace, rows):
    cell = "points-human2stem-s0"
    report = sync(workspace, rows={SUITE: rows, "other": {cell: "ours"}})
    assert report.written == (cell,)
    other = Store(workspace.tracking_uri, "other")
    assert other.below(other.summaries()["ours"]) == ["prompt-das s0 human2stem"]
    assert len(Store(workspace.tracking_uri).search("tags.`dabench.kind` = 'cell'")) == 8


def test_single_runs_have_no_summaries(workspace, make_run):
    make_run(workspace.runs, "a")
    assert sync(workspace).summaries == 0
    assert [run.data.tags["dabench.row"] for run in Store(workspace.tracking_uri, "adhoc").search()] == ["none"]


def test_the_guides_searches_find_what_it_says(store):
    rows = "tags.`dabench.kind` = 'summary' and tags.`dabench.level` = 'row'"
    task = "tags.`dabench.kind` = 'summary' and tags.`dabench.task` = 'human2stem'"
    seed = "tags.`dabench.kind` = 'cell' and tags.`dabench.row` = 'points' and tags.`dabench.seed` = '0'"
    guide = re.findall(r"^ *(tags\..*)$", GUIDE.read_text(), re.MULTILINE)
    assert guide == [rows, task, seed]
    found = [sorted(run.info.run_name for run in store.search(query)) for query in guide]
    assert found[0] == ["points", "source only"]
    assert found[1] == ["human2stem · points", "human2stem · source only"]
    assert found[2] == ["prompt-das s0 human2stem", "prompt-das s0 lucchi2vnc"]


def test_of_mlflows_own_tags_an_experiment_gets_none(store):
    assert [name for name in store.experiment.tags if name.startswith("mlflow.sharedViewState")] == []

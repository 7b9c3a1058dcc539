"""Recorded cells count as done in an empty workspace, if their keys are the same; order by seed; speed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dabench.files.workspace import Workspace
from dabench.suites.planning import make_graph, report
from dabench.suites.schedule import run_suite
from dabench.tracking.recorded import add_recorded, read_recorded
from tests.suites.conftest import InlineExecutor


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return tmp_path_factory.mktemp("record") / "two-rows.jsonl"


@pytest.fixture
def recorded(record, suite, registry, workspace):
    """The record of the first seed, made once by a run in another workspace."""
    if not record.is_file():
        elsewhere = Workspace(record.parent / "elsewhere")
        graph = make_graph(suite.changed({}, {"seed": [0]}), registry, elsewhere)
        run_suite(graph, elsewhere, InlineExecutor(elsewhere.root), finished=lambda run: add_recorded(record, [run]))
    return read_recorded(record)


def test_recorded_cells_are_done_without_any_file(recorded, suite, registry, workspace):
    graph = make_graph(suite, registry, workspace, recorded=recorded)
    assert [n.state for n in graph.cells] == ["recorded", "new", "recorded", "new"]
    assert {job.arguments["config"]["seed"] for job in graph.jobs().values()} == {1}
    assert report(suite, registry, workspace, recorded).counts() == {"recorded": 2, "new": 2}
    seconds, unknown = graph.left()
    assert unknown == 0
    assert seconds > 0, "stages of the same name and preset tell the speed"
    assert set(graph.as_json()["estimated_core_hours_by_stage"]) == {"supervised", "prompt-das"}


def test_other_keys_are_other_cells(recorded, suite, registry, workspace):
    events = [replace(e, key="0" * 24) if e.kind == "stage_finished" else e for e in recorded[0].events]
    changed = replace(recorded[0], stages=tuple(e for e in events if e.kind == "stage_finished"))
    graph = make_graph(suite, registry, workspace, recorded=[changed])
    assert "recorded" not in {node.state for node in graph.cells}
    scored = replace(recorded[0], tags={**recorded[0].tags, "scoring_digest": "another"})
    assert "recorded" not in {n.state for n in make_graph(suite, registry, workspace, recorded=[scored]).cells}


def test_seeds_come_one_after_the_other(suite, registry, workspace):
    seeds = [job.arguments["config"]["seed"] for job in make_graph(suite, registry, workspace).jobs().values()]
    assert seeds == sorted(seeds)


def test_slices_and_digests_are_kept_and_runs_are_replaced(recorded, record, tmp_path):
    run = recorded[0]
    along = run.along_slices()["dice"]
    assert along[along == along].mean() == pytest.approx(run.cell_scores[0.0, "dice"], abs=1e-6)
    assert {"dice", "aji", "pq", "n_true", "n_pred"} <= set(run.along_slices())
    kept = next(event for event in run.events if event.kind == "kept")
    assert set(kept.digests) == {"supervised", "predictions/target_test.tif"}
    path = tmp_path / "some.jsonl"
    assert add_recorded(path, recorded[:1]) == 1
    assert add_recorded(path, [replace(run, tags={**run.tags, "row": "renamed"}), recorded[1]]) == 2
    assert [r.tags["row"] for r in read_recorded(path)] == ["renamed", "prompt"]

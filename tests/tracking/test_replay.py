"""The store can be lost without losing results."""

from __future__ import annotations

import shutil

from mlflow.tracking import MlflowClient

from dabench.tracking.replay import sync


def content(uri):
    """Everything that a store says about its runs, apart from ids that it made up."""
    client = MlflowClient(uri)
    found = {}
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id]):
            key = (experiment.name, run.data.tags["dabench.cell_id"])
            assert key not in found
            inputs = sorted((i.dataset.name, i.dataset.digest) for i in run.inputs.dataset_inputs)
            files = sorted(a.path for a in client.list_artifacts(run.info.run_id))
            tags = {k: v for k, v in run.data.tags.items() if k.startswith("dabench.")}
            times = (run.info.start_time, run.info.end_time, run.info.status)
            found[key] = (tags, run.data.params, run.data.metrics, inputs, files, times)
    return found


def test_lost_store_comes_back_with_the_same_content(workspace, empty_store, make_run):
    make_run(workspace.runs, "a")
    make_run(workspace.runs, "b", suite="table-2", seed=1)
    make_run(workspace.runs, "c", status="failed")
    assert sorted(sync(workspace).written) == ["a", "b", "c"]
    before = content(workspace.tracking_uri)
    assert len(before) == 3

    shutil.rmtree(workspace.artifacts)
    lost = workspace.root / "other" / "mlflow.db"
    lost.parent.mkdir()
    shutil.copy(empty_store, lost)
    assert len(sync(workspace, f"sqlite:///{lost}").written) == 3
    assert content(f"sqlite:///{lost}") == before
    assert (lost.parent / "mlartifacts").is_dir()


def test_again_changes_nothing_and_a_new_attempt_replaces(workspace, make_run):
    make_run(workspace.runs, "a", dice=0.5)
    make_run(workspace.runs, "b")
    seen = []
    sync(workspace, on_run=lambda run: seen.append(run.cell_id))
    assert seen == ["a", "b"]
    report = sync(workspace)
    assert (report.written, report.unchanged) == ((), ("a", "b"))
    make_run(workspace.runs, "a", dice=0.6)
    report = sync(workspace)
    assert (report.written, report.unchanged) == (("a",), ("b",))
    metrics = {key[1]: value[2] for key, value in content(workspace.tracking_uri).items()}
    assert metrics["a"]["target_test/dice"] == 0.6


def test_runs_of_one_cell_from_several_origins_are_kept_apart(workspace, make_run):
    make_run(workspace.runs, "a", dice=0.5)
    theirs = make_run(workspace.root / "theirs", "a", dice=0.7).rename(workspace.runs / "a@em-lab")
    (theirs / "origin.json").write_text('{"origin": "em-lab"}')
    assert sync(workspace).written == ("a", "a@em-lab")
    assert sync(workspace).unchanged == ("a", "a@em-lab")
    client = MlflowClient(workspace.tracking_uri)
    ids = [e.experiment_id for e in client.search_experiments()]
    found = {r.data.tags["dabench.origin"]: r.data.metrics["target_test/dice"] for r in client.search_runs(ids)}
    assert found == {"here": 0.5, "em-lab": 0.7}


def test_damaged_run_is_reported_and_the_others_are_written(workspace, make_run):
    make_run(workspace.runs, "a")
    bad = make_run(workspace.runs, "b") / "journal.jsonl"
    bad.write_text("{\n" + bad.read_text())
    report = sync(workspace)
    assert report.written == ("a",)
    assert "b/journal.jsonl, line 1 is damaged" in report.damaged[0]


def test_a_new_way_of_writing_reaches_old_runs(workspace, make_run, monkeypatch):
    make_run(workspace.runs, "a")
    sync(workspace)
    monkeypatch.setattr("dabench.tracking.translate.FORMAT", 99)
    assert sync(workspace).written == ("a",)
    assert sync(workspace).unchanged == ("a",)


def test_empty_workspace(workspace):
    assert sync(workspace).written == ()

"""A run directory read back: names of metrics, resumed and unfinished cells, artifacts."""

from __future__ import annotations

import pytest
from made_up_run import TAGS, scored

from dabench.errors import DataError
from dabench.tracking import CellStarted, Journal, StageFinished, read_run, read_runs


def test_metrics_have_the_documented_names(tmp_path, make_run):
    metrics = read_run(make_run(tmp_path)).metrics
    assert metrics["target_test/dice"] == 0.8
    assert metrics["target_test/aji"] == pytest.approx(0.7)
    assert metrics["target_test/points_100/dice"] == 0.9
    assert metrics["target_test/das-2d-pooled@1/dice"] == 0.7
    assert metrics["stage/prompt-das/dice"] == pytest.approx(0.7)
    assert metrics["stage/slpo/dice"] == 0.8
    assert metrics["oracle/target_train/slpo/dice"] == 0.95
    assert metrics["cost/annotation_seconds"] == 75
    assert metrics["cost/train_seconds"] == 25
    assert metrics["cost/peak_memory_bytes"] == 3_000_000
    assert metrics["time/score"] == 1.5


def test_what_used_target_labels_is_never_among_the_ranked(tmp_path, make_run):
    metrics = read_run(make_run(tmp_path)).metrics
    assert not [name for name, value in metrics.items() if value == 0.95 and not name.startswith("oracle/")]


def test_another_inference_profile_never_shares_a_column(tmp_path):
    journal = Journal(tmp_path)
    journal.append(CellStarted("c", TAGS, {}, stages=("s",)))
    journal.append(scored("s", 0.6))
    journal.append(scored("s", 0.7, inference="paper"))
    metrics = read_run(tmp_path).metrics
    assert metrics["target_test/dice"] == 0.6
    assert metrics["target_test/paper/dice"] == 0.7


def test_last_attempt_counts(tmp_path, make_run):
    run = make_run(tmp_path, dice=0.5)
    make_run(tmp_path, dice=0.6)
    record = read_run(run)
    assert record.attempts == 2
    assert record.metrics["target_test/dice"] == 0.6
    assert record.metrics["time/score"] == 1.5


def test_unfinished_cell_has_no_final_score_before_its_last_stage(tmp_path):
    journal = Journal(tmp_path)
    journal.append(CellStarted("c", TAGS, {}, stages=("one", "two")))
    journal.append(StageFinished("one", "k", False, 10, 1.0))
    journal.append(scored("one", 0.6))
    record = read_run(tmp_path)
    assert record.status == "unfinished"
    assert "target_test/dice" not in record.metrics
    assert record.metrics["stage/one/dice"] == 0.6


def test_artifacts_are_small_files_only(tmp_path, make_run):
    names = [p.as_posix() for p in read_run(make_run(tmp_path)).artifacts]
    assert "config.json" in names
    assert "per_slice/das-2d@1-0.csv" in names
    assert "curves/slpo.jsonl" in names
    assert not [n for n in names if n.startswith("predictions")]


def test_curves_by_stage(tmp_path, make_run):
    curves = read_run(make_run(tmp_path)).curves
    assert list(curves) == ["prompt-das", "slpo"]
    assert len(curves["slpo"].terms["loss"][0]) == 40


def test_tags_are_text_and_none_is_left_out(tmp_path, make_run):
    record = read_run(make_run(tmp_path))
    assert record.tags["points"] == "0.15"
    assert "suite" not in record.tags
    assert record.suite == "adhoc"


def test_damaged_run_does_not_hide_the_others(tmp_path, make_run):
    make_run(tmp_path, "a")
    bad = make_run(tmp_path, "b") / "journal.jsonl"
    bad.write_text("{\n" + bad.read_text())
    make_run(tmp_path, "c")
    found = list(read_runs(tmp_path))
    assert [isinstance(f, DataError) for f in found] == [False, True, False]
    assert "b/journal.jsonl, line 1" in str(found[1])


def test_not_a_run_directory(tmp_path):
    with pytest.raises(DataError, match="not a run directory"):
        read_run(tmp_path)
    (tmp_path / "journal.jsonl").write_text("")
    with pytest.raises(DataError, match="which cell"):
        read_run(tmp_path)

"""Summaries of made-up runs against numbers by hand."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_suite import SLICES, write_cell, write_suite

from dabench.statistics import Cell, mean_interval
from dabench.tracking.events import Cost, Scored
from dabench.tracking.record import RunRecord, slice_scores
from dabench.tracking.run_reader import read_run
from dabench.tracking.summary import Summary, summaries_of


def record(row: str, task: str, seed: int, dice: float | None, **changes: Any) -> RunRecord:
    """A run as it would be read, without files: no slices are known of it."""
    tags = {"row": row, "task": task, "seed": str(seed), "suite": "by-hand", "data": "phantom", "method": row}
    tags |= {"preset": "tiny", "protocol": "das-2d@1", "inference": "fast"} | changes.pop("tags", {})
    scored = Scored("only", "test", "das-2d@1", "fast", 0.0, {} if dice is None else {"dice": dice}, n=0)
    values: dict[str, Any] = {
        "path": Path("nowhere"),
        "cell_id": f"{row}-{task}-{seed}-{tags['preset']}",
        "status": "ok" if dice is not None else "failed",
        "reason": "",
        "started": f"2026-01-0{seed + 1}T00:00:00.000+00:00",
        "ended": f"2026-01-0{seed + 2}T00:00:00.000+00:00",
        "tags": tags,
        "params": {"row": row, "seed": seed, "method": {"beta": 0.1}},
        "inputs": (),
        "stages": (),
        "scores": (scored,),
        "attempts": 1,
        "events": () if dice is None else (scored, Cost(60.0 + seed)),
        "final": "only",
    }
    return RunRecord(**(values | changes))


def by_name(runs: list[RunRecord]) -> dict[str, Summary]:
    return {summary.name: summary for summary in summaries_of(runs)}


TWO_ROWS = [record(row, task, seed, dice) for row, task, seed, dice in (
    ("a", "t1", 0, 0.5), ("a", "t1", 1, 0.6), ("a", "t2", 0, 0.3), ("a", "t2", 1, 0.2),
    ("b", "t1", 0, 0.7), ("b", "t1", 1, 0.8), ("b", "t2", 0, 0.9), ("b", "t2", 1, None),
)]  # fmt: skip


def test_one_a_row_and_one_a_row_and_task():
    found = by_name(TWO_ROWS)
    assert list(found) == ["a", "b", "t1 · a", "t2 · a", "t1 · b", "t2 · b"]
    assert found["t2 · b"].parent == found["b"].key
    assert found["b"].cells == ()
    assert found["t2 · b"].cells == ("b-t2-0-tiny", "b-t2-1-tiny")
    assert len({summary.key for summary in found.values()}) == 6
    assert found["a"].colour == found["t1 · a"].colour != found["b"].colour


def test_means_over_seeds_then_over_tasks():
    found = by_name(TWO_ROWS)
    assert found["t1 · a"].metrics["target_test/dice"] == pytest.approx(0.55)
    assert found["t1 · a"].metrics["target_test/dice_sd"] == pytest.approx(stdev([0.5, 0.6]), abs=1e-6)
    assert found["a"].metrics["target_test/dice"] == pytest.approx((0.55 + 0.25) / 2)
    assert found["b"].metrics["target_test/dice"] == pytest.approx((0.75 + 0.9) / 2)
    assert found["a"].metrics["cost/annotation_seconds"] == pytest.approx(60.5)
    assert (found["a"].metrics["n_seeds"], found["b"].metrics["n_seeds"]) == (2, 1)


def test_a_failed_cell_is_counted_and_never_a_zero():
    found = by_name(TWO_ROWS)["t2 · b"]
    assert found.metrics["target_test/dice"] == 0.9
    assert (found.metrics["cells/ok"], found.metrics["cells/failed"]) == (1, 1)
    assert found.tags["status"] == "1 ok, 1 failed"
    assert (found.metrics["target_test/dice_low"], found.metrics["target_test/dice_high"]) == (0, 1)
    assert "target_test/dice_sd" not in found.metrics, "of one seed nothing is known"
    assert "- t2 seed 1: failed" in found.description


def test_a_row_that_misses_a_task_has_no_mean_over_tasks():
    found = by_name([run for run in TWO_ROWS if run.cell_id != "b-t2-0-tiny"])
    assert "target_test/dice" not in found["b"].metrics
    assert "cost/annotation_seconds" not in found["b"].metrics
    assert found["b"].metrics["n_seeds"] == 0
    assert found["b"].description.startswith("**No mean: 2 ok, 1 failed**")
    assert found["t1 · b"].metrics["target_test/dice"] == pytest.approx(0.75)
    assert found["a"].metrics == by_name(TWO_ROWS)["a"].metrics


def test_a_task_that_nobody_finished_is_no_part_of_the_mean():
    failed = [record(row, "t3", 0, None) for row in "ab"]
    found = by_name([*TWO_ROWS, *failed])["a"]
    assert found.metrics["target_test/dice"] == by_name(TWO_ROWS)["a"].metrics["target_test/dice"]
    assert (found.tags["tasks"], found.tags["status"]) == ("t1, t2", "4 ok, 1 failed")


def test_with_one_task_the_row_is_the_parent_of_its_cells():
    found = by_name([run for run in TWO_ROWS if run.tags["task"] == "t1"])
    assert list(found) == ["a", "b"]
    assert found["a"].cells == ("a-t1-0-tiny", "a-t1-1-tiny")
    assert (found["a"].tags["task"], found["a"].tags["level"]) == ("t1", "row")


def test_tags_and_settings_are_those_that_all_cells_share():
    found = by_name(TWO_ROWS)["t1 · a"]
    assert found.tags["method"] == "a"
    assert "seed" not in found.tags
    assert found.params == {"row": "a", "method.beta": "0.1"}


def test_presets_and_origins_are_never_averaged_together():
    small = [record(r.tags["row"], r.tags["task"], 0, 0.1, tags={"preset": "small"}) for r in TWO_ROWS[::2]]
    theirs = [record("a", "t1", 0, 0.2, origin="em-lab")]
    found = by_name([*TWO_ROWS, *small, *theirs])
    assert found["a [tiny here]"].metrics == by_name(TWO_ROWS)["a"].metrics
    assert found["a [small here]"].metrics["target_test/dice"] == 0.1
    assert found["a [tiny em-lab]"].cells == ("a-t1-0-tiny@em-lab",)


def test_of_two_cells_at_one_place_the_later_counts():
    found = by_name([record("a", "t1", 0, 0.1), record("a", "t1", 0, 0.4, cell_id="later")])
    assert found["a"].cells == ("later",)
    assert found["a"].metrics["target_test/dice"] == 0.4


def test_runs_without_a_row_have_no_summary():
    assert summaries_of([record("", "t1", 0, 0.5)]) == []
    assert summaries_of([]) == []


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(0, 1000), min_size=1, max_size=4), min_size=2, max_size=4))
def test_the_mean_of_a_row_is_the_mean_of_its_tasks_and_lies_in_its_interval(thousandths):
    values = [[dice / 1000 for dice in seeds] for seeds in thousandths]
    runs = [record("a", f"t{t}", s, dice) for t, seeds in enumerate(values) for s, dice in enumerate(seeds)]
    found = by_name(runs)["a"].metrics
    assert found["target_test/dice"] == pytest.approx(fmean(map(fmean, values)), abs=1e-6)
    assert 0 <= found["target_test/dice_low"] <= found["target_test/dice"] <= found["target_test/dice_high"] <= 1
    assert found["n_seeds"] == min(map(len, values))


def test_intervals_are_those_of_the_statistics_with_slices(tmp_path):
    write_suite(tmp_path, rows=("points",), tasks=("human2stem",))
    runs = [read_run(path) for path in sorted(tmp_path.iterdir())]
    cells = []
    for seed, run in enumerate(runs):
        along = slice_scores(run, ["dice"])["dice"]
        assert along.shape == (SLICES,)
        cells.append(Cell("points", "human2stem", seed, float(along.mean()), dict(enumerate(along.tolist()))))
    wanted = mean_interval(cells)
    placed = [record("points", "human2stem", s, r.metrics["target_test/dice"], path=r.path, stages=r.stages) for s, r in
              enumerate(runs)]  # fmt: skip
    found = by_name(placed)["points"].metrics
    assert found["target_test/dice_low"] == pytest.approx(wanted.low, abs=1e-6)
    assert found["target_test/dice_high"] == pytest.approx(wanted.high, abs=1e-6)
    assert 0.7 < wanted.low < wanted.high < 0.8, "slices and seeds narrow it down"


def test_the_digest_follows_the_runs_and_asks_for_no_statistics(tmp_path, monkeypatch):
    cells = write_suite(tmp_path, rows=("points",), seeds=2)

    def digests() -> dict[str, str]:
        runs = [read_run(tmp_path / cell) for cell in cells]
        placed = [replace(run, tags={**run.tags, "row": "points"}) for run in runs]
        return {summary.name: summary.digest for summary in summaries_of(placed)}

    with monkeypatch.context() as patch:
        patch.setattr("dabench.tracking.summary.mean_interval", lambda cells: pytest.fail("nothing has changed"))
        before = digests()
        assert digests() == before
        shutil.rmtree(tmp_path / "points-human2stem-s1")
        write_cell(tmp_path, "points", "human2stem", 1)
        after = digests()
    assert {name for name in after if after[name] != before[name]} == {"points", "human2stem · points"}
    monkeypatch.setattr("dabench.tracking.translate.FORMAT", 99)
    assert all(digest.startswith("99-") for digest in digests().values())

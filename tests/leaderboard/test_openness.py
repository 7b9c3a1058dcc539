"""Points of openness by hand: each falls with the one run that lacks it."""

from __future__ import annotations

import pytest

from dabench.leaderboard.entries import Entry, Gap
from dabench.leaderboard.openness import CRITERIA, domains_of, openness
from dabench.leaderboard.rows import Row

TASK = "vnc2lucchi"


@pytest.fixture
def rows(tmp_path):
    """Three seeds, each with a receipt and a prediction."""
    made = []
    for seed in range(3):
        path = tmp_path / f"run-{seed}"
        (path / "predictions").mkdir(parents=True)
        (path / "receipt.json").write_text("{}")
        (path / "predictions" / "test.tif").write_bytes(b"II*")
        tags = {
            "task": TASK,
            "source": "vnc",
            "target": "lucchi",
            "data": "real",
            "seed": str(seed),
            "git_commit": "abc",
        }
        made.append(Row(f"cell-{seed}", "ok", tags, {}, {}, path=str(path)))
    return made


def points(rows, absent=(), public=("vnc", "lucchi"), weighted=None):
    weighted = {row.path for row in rows} if weighted is None else weighted
    return openness(Entry("ours", tuple(rows), absent), [TASK], public, weighted)


def retagged(row, **tags):
    return Row(row.cell_id, row.status, {**row.tags, **tags}, {}, {}, path=row.path)


def test_all_that_there_is_are_five_points(rows):
    found = points(rows)
    assert (str(found), found.lacking) == ("5/5", ())
    assert tuple(found.met) == tuple(CRITERIA)


def test_one_run_that_lacks_something_takes_the_point(rows):
    assert points(rows[:2]).lacking == ("seeds",)
    assert points(rows, absent=(Gap(TASK, (3,), "not run"),)).lacking == ("seeds",)
    assert points(rows, public=("vnc",)).lacking == ("data",)
    assert points(rows, weighted={row.path for row in rows[:2]}).lacking == ("weights",)
    assert points([retagged(rows[0], git_commit="unknown"), *rows[1:]]).lacking == ("code",)


def test_predictions_count_with_their_receipt_alone(rows, tmp_path):
    (tmp_path / "run-1" / "receipt.json").unlink()
    assert points(rows).lacking == ("predictions",)


@pytest.mark.parametrize(
    ("versions", "has_code"), [("dabench==0.2.0", True), ("dabench==0.2.0.dev0", False), ("none", False)]
)
def test_released_versions_are_code_and_development_versions_are_not(rows, versions, has_code):
    found = points([retagged(row, git_commit="none", plugin_versions=versions) for row in rows])
    assert found.met["code"] is has_code


def test_a_failed_run_is_a_missing_seed(rows):
    failed = Row("cell-3", "failed", {**rows[0].tags, "seed": "3"}, {}, {})
    assert points([*rows, failed]).lacking == ("seeds",)


def test_an_entry_without_runs_has_no_point():
    assert str(points([])) == "0/5"


def test_phantoms_are_called_as_they_are_registered(rows):
    assert domains_of(rows[0]) == ("vnc", "lucchi")
    assert domains_of(retagged(rows[0], data="phantom")) == ("phantom-vnc", "phantom-lucchi")
    assert domains_of(retagged(rows[0], data="phantom", source="phantom-vnc")) == ("phantom-vnc", "phantom-lucchi")

"""Scores along slices, read back from a run's files."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_up_suite import SLICES, write_cell

from dabench.errors import DataError
from dabench.tracking.record import slice_scores
from dabench.tracking.run_reader import read_run

FILE = "per_slice/only-das-2d@1-points0.csv"


@pytest.fixture
def run_dir(tmp_path):
    return tmp_path / write_cell(tmp_path, "points", "human2stem", 0)


def rewrite(run_dir, change):
    lines = (run_dir / FILE).read_text().splitlines()
    (run_dir / FILE).write_text("\n".join(change(lines)) + "\n")


def test_columns_in_the_order_of_slices(run_dir):
    run = read_run(run_dir)
    found = slice_scores(run, ["dice", "pq"])
    assert set(found) == {"dice", "pq"}
    assert found["dice"].mean() == pytest.approx(run.metrics["target_test/dice"])
    lines = (run_dir / FILE).read_text().splitlines()
    assert found["dice"][3] == float(lines[4].split(",")[1])


def test_a_slice_that_was_left_out_is_nan(run_dir):
    along = slice_scores(read_run(run_dir), ["dice"])["dice"]
    rewrite(run_dir, lambda lines: [*lines, f"{SLICES},,,,empty"])
    longer = slice_scores(read_run(run_dir), ["dice"])["dice"]
    assert math.isnan(longer[-1])
    np.testing.assert_array_equal(longer[:-1], along)


def test_what_is_not_the_mean_of_its_slices_is_left_out(run_dir):
    rewrite(run_dir, lambda lines: lines[:-3])
    assert slice_scores(read_run(run_dir), ["dice"]) == {}


def test_unknown_metrics_points_and_runs_without_files(run_dir):
    run = read_run(run_dir)
    assert slice_scores(run, ["boundary"]) == {}
    assert slice_scores(run, ["dice"], test_points=0.15) == {}
    (run_dir / FILE).unlink()
    assert slice_scores(read_run(run_dir), ["dice"]) == {}


def test_a_damaged_file_is_named(run_dir):
    rewrite(run_dir, lambda lines: [lines[0], lines[1].replace("0.", "zero.", 1), *lines[2:]])
    with pytest.raises(DataError, match=r"per_slice/only-das-2d@1-points0.csv, line 2 is damaged"):
        slice_scores(read_run(run_dir), ["dice", "aji", "pq"])

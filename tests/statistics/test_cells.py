"""The table: what counts as missing, and what is refused."""

from __future__ import annotations

import math

import pytest
from made_up_tables import cells_of

from dabench.errors import DabenchError
from dabench.statistics import Cell
from dabench.statistics.cells import Table, spread_over_seeds


def test_two_results_of_one_cell_are_refused_with_both_values():
    cells = [Cell("ours", "a2b", 1, 0.5), Cell("ours", "a2b", 1, 0.7)]
    with pytest.raises(DabenchError, match=r"'ours' on task 'a2b' with seed 1: 0.5000 and 0.7000"):
        Table.of(cells)


def test_a_result_that_is_no_number_is_missing_and_not_zero():
    table = Table.of([Cell("ours", "a2b", 0, math.nan), Cell("ours", "a2b", 1, 0.6), Cell("ours", "b2a", 0, math.nan)])
    assert table.values("ours", "a2b") == {1: 0.6}
    assert table.missing("ours", ["a2b", "b2a"]) == ("b2a",)


def test_slices_that_are_no_number_are_not_counted():
    table = Table.of([Cell("ours", "a2b", 0, 0.5, {0: 0.5, 1: math.nan})])
    assert table.slices("a2b") == (0,)


def test_a_task_of_a_single_entry_is_no_task_of_the_table():
    cells = cells_of({"x": {"a": [0.5], "b": [0.5]}, "y": {"a": [0.5]}, "z": {"a": [0.5]}})
    assert Table.of(cells).tasks == ("a",)
    assert Table.of(cells[:2]).tasks == ("a", "b")  # an entry by itself keeps all of its tasks


def test_mean_is_of_task_means_whatever_the_numbers_of_seeds():
    table = Table.of(cells_of({"x": {"a": [0.2, 0.4, 0.6], "b": [0.8]}}))
    assert table.mean("x", ["a", "b"]) == pytest.approx(0.6)


def test_sd_is_of_the_means_over_tasks_of_the_seeds_in_common():
    by_task = [{0: 0.1, 1: 0.3, 2: 0.9}, {0: 0.3, 1: 0.5}]
    assert spread_over_seeds(by_task) == pytest.approx(math.sqrt(0.02))  # of 0.2 and 0.4
    assert spread_over_seeds([{0: 0.1}]) is None
    assert spread_over_seeds([]) is None

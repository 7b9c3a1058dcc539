"""Intervals against SciPy where a textbook has the answer, and what they must not depend on."""

from __future__ import annotations

import random

import numpy as np
import pytest
from made_up_tables import cell_of, cells_of
from scipy import stats

from dabench.errors import DabenchError
from dabench.statistics import Cell, mean_interval, summarise

#: A variance from 20,000 resamples is good to 1 % (one standard deviation).
MANY, CLOSE = 20_000, 0.04
SEEDS = [0.612, 0.655, 0.640, 0.598]
#: Neighbours fall on opposite sides of the mean: taken as independent slices.
ZIGZAG = [0.5, 0.8, 0.45, 0.7, 0.55, 0.9, 0.4, 0.75, 0.6, 0.85]


def half(interval):
    return (interval.high - interval.low) / 2


def test_seeds_alone_give_students_interval():
    found = mean_interval(cells_of({"x": {"a": SEEDS}}), resamples=MANY)
    low, high = stats.ttest_1samp(SEEDS, 0).confidence_interval(0.95)
    assert found.mean == pytest.approx(np.mean(SEEDS))
    assert half(found) == pytest.approx((high - low) / 2, rel=CLOSE)
    assert (found.sd, found.n) == (pytest.approx(np.std(SEEDS, ddof=1)), 4)


def test_slices_alone_give_students_interval_over_slices():
    cells = [cell_of("x", "a", seed, ZIGZAG) for seed in range(3)]  # seeds that do not differ
    low, high = stats.ttest_1samp(ZIGZAG, 0).confidence_interval(0.95)
    assert half(mean_interval(cells, resamples=MANY)) == pytest.approx((high - low) / 2, rel=CLOSE)


def test_two_tasks_give_welchs_interval():
    a, b = [0.61, 0.66, 0.64], [0.41, 0.43, 0.52]
    found = mean_interval(cells_of({"x": {"a": a, "b": b}}), resamples=MANY)
    welch = stats.ttest_ind(a, [-v for v in b], equal_var=False).confidence_interval(0.95)  # of the sum
    assert half(found) == pytest.approx((welch.high - welch.low) / 4, rel=CLOSE)


def test_six_tasks_are_a_sample_of_tasks():
    means = [0.5, 0.62, 0.7, 0.55, 0.81, 0.66]
    cells = cells_of({"x": {f"t{i}": [m - 0.01, m + 0.01] for i, m in enumerate(means)}})
    low, high = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert half(mean_interval(cells, resamples=MANY)) == pytest.approx((high - low) / 2, rel=CLOSE)
    fixed = mean_interval(cells, tasks_are_a_sample=False)
    assert half(fixed) < 0.3 * half(mean_interval(cells))
    five = [c for c in cells if c.task != "t5"]
    assert half(mean_interval(five)) < 0.1 < half(mean_interval(five, tasks_are_a_sample=True))


def test_levels_add_up_as_squares():
    spread = [0.02, -0.05, 0.03]
    both = [cell_of("x", "a", k, [v + d for v in ZIGZAG]) for k, d in enumerate(spread)]
    seeds = [Cell(c.entry, c.task, c.seed, c.value) for c in both]
    slices = [cell_of("x", "a", k, ZIGZAG) for k in range(3)]
    parts = [half(mean_interval(cells, level=0.8)) for cells in (seeds, slices)]
    assert half(mean_interval(both, level=0.8)) == pytest.approx(np.hypot(*parts), rel=1e-6)


def test_neighbours_that_resemble_each_other_widen():
    rough = [cell_of("x", "a", seed, ZIGZAG) for seed in range(3)]
    smooth = [cell_of("x", "a", seed, sorted(ZIGZAG)) for seed in range(3)]
    assert half(mean_interval(smooth)) > 1.8 * half(mean_interval(rough))


def test_a_pooled_number_keeps_its_value_and_takes_the_slices_deviations():
    cells = [cell_of("x", "a", seed, ZIGZAG) for seed in range(3)]
    pooled = [Cell("x", "a", c.seed, 0.5, c.slices) for c in cells]
    assert mean_interval(pooled).mean == 0.5
    assert half(mean_interval(pooled)) == pytest.approx(half(mean_interval(cells)))


def test_one_seed_says_nothing_and_says_so():
    one = mean_interval([cell_of("x", "a", 0, ZIGZAG)])
    assert (one.low, one.high, one.sd, one.n) == (0.0, 1.0, None, 1)
    mixed = mean_interval([*cells_of({"x": {"a": SEEDS, "b": [0.5]}})])
    assert (mixed.low, mixed.high, mixed.n) == (0.0, 1.0, 1)


def test_intervals_stay_on_the_scale():
    found = mean_interval(cells_of({"x": {"a": [0.99, 0.9]}}))
    assert found.high == 1.0
    assert 0 <= found.low < 0.9


def test_order_and_company_change_nothing():
    rows = {"x": {"a": SEEDS, "b": SEEDS[:3]}, "y": {"a": SEEDS[::-1], "b": SEEDS[1:]}}
    cells = cells_of(rows)
    shuffled = random.Random(0).sample(cells, len(cells))
    assert summarise(shuffled) == summarise(cells)
    assert summarise(cells)["x"][""] == mean_interval([c for c in cells if c.entry == "x"])
    assert summarise(cells, seed=1) != summarise(cells)


def test_an_entry_that_misses_a_task_has_no_overall_mean():
    cells = cells_of({"x": {"a": SEEDS, "b": SEEDS}, "y": {"a": SEEDS, "b": SEEDS}, "z": {"a": SEEDS}})
    summary = summarise(cells)
    assert {entry: sorted(row) for entry, row in summary.items()} == {
        "x": ["", "a", "b"],
        "y": ["", "a", "b"],
        "z": ["a"],
    }


@pytest.mark.parametrize("rows", [{}, {"x": {"a": [float("nan")]}}, {"x": {"a": [0.5]}, "y": {"a": [0.5]}}])
def test_an_interval_is_of_one_entry_with_results(rows):
    with pytest.raises(DabenchError, match="finite cells of one entry"):
        mean_interval(cells_of(rows))


def test_variances_too_small_to_be_squared_keep_their_degrees_of_freedom():
    from dabench.statistics.spread import Level, _of_mean

    found = _of_mean([Level(1e-200, 2.0), Level(1e-200, 2.0)])
    assert (found.variance, found.df) == (pytest.approx(0.5e-200), pytest.approx(4.0))

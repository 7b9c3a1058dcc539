"""Contrasts named beforehand: the paired t-test, Holm among themselves, fixed tasks, what the rest would need."""

from __future__ import annotations

import math

import pytest
from made_up_tables import cells_of
from scipy import stats

from dabench.statistics.contrasts import contrasts
from dabench.statistics.intervals import as_sample
from dabench.statistics.planning import detectable, seeds_needed, tasks_needed
from dabench.statistics.spread import Level, Spread

A, B, C = [0.70, 0.74, 0.69, 0.73], [0.66, 0.67, 0.66, 0.71], [0.71, 0.73, 0.70, 0.72]
MANY = 20_000


def test_each_is_the_paired_t_test_and_holm_counts_the_chosen_alone():
    cells = cells_of({"x": {"a": A}, "y": {"a": B}, "z": {"a": C}, "w": {"a": [0.1, 0.2, 0.3, 0.4]}})
    first, second = contrasts(cells, [("x", "y"), ("x", "z")], resamples=MANY)
    exact = [float(stats.ttest_rel(A, other).pvalue) for other in (B, C)]
    assert [first.test.p, second.test.p] == pytest.approx(exact, rel=0.05)
    assert [first.test.p_holm, second.test.p_holm] == pytest.approx([2 * exact[0], exact[1]], rel=0.05)
    assert first.test.difference.mean == pytest.approx(0.04)


def test_only_common_tasks_count_and_a_pair_without_any_is_left_out():
    cells = cells_of({"x": {"a": A, "b": A}, "y": {"b": B}, "z": {"c": C}})
    (found,) = contrasts(cells, [("x", "y"), ("x", "z"), ("x", "nobody")])
    assert (found.tasks, found.test.first, found.test.second) == (("b",), "x", "y")


def test_six_pairs_of_three_volumes_stay_fixed():
    pairs = [f"{a}2{b}" for a in "uvw" for b in "uvw" if a != b]
    assert not as_sample(pairs, None)
    assert as_sample([f"a{n}2b{n}" for n in range(6)], None)
    cells = cells_of(
        {
            "x": {t: [0.7 + n / 10, 0.7 + n / 10] for n, t in enumerate(pairs[:3])},
            "y": {t: [0.6, 0.6] for t in pairs[:3]},
        }
    )
    (found,) = contrasts(cells, [("x", "y")])
    assert found.test.p < 1e-10, "seeds do not vary; that tasks differ is no uncertainty of these tasks"


def test_one_seed_says_nothing():
    (found,) = contrasts(cells_of({"x": {"a": [0.9]}, "y": {"a": [0.1]}}), [("x", "y")])
    assert (found.test.p_holm, found.seeds_needed, found.tasks_needed) == (1.0, None, None)
    assert math.isinf(found.detectable)


def test_what_is_needed_is_the_least_that_does():
    spread, tail, power = Spread((Level(0.0004, 2), Level(0.0, 1.0))), 0.05 / 6, 0.8
    seeds = seeds_needed(spread, 0.05, 3, tail, power)
    assert seeds is not None
    for n, enough in ((seeds, True), (seeds - 1, False)):
        scaled = Spread((Level(0.0004 * 3 / n, 2 * (n - 1) / 2),))
        assert (detectable(scaled, tail, power) <= 0.05) == enough
    assert seeds_needed(Spread((Level(1e-8, 2), Level(0.01, 5))), 0.05, 3, tail, power) is None, "slices limit it"
    tasks = tasks_needed(spread, -0.05, 2, tail, power)
    assert tasks is not None
    assert tasks > 2
    assert tasks_needed(spread, 1e-6, 2, tail, power) is None

"""Paired tests against SciPy, what cancels in a pair, and when nothing can be said."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_tables import ROOT, cell_of, cells_of, coverage
from scipy import stats

from dabench.statistics import Cell, SignedRank, compare, signed_rank

A, B = [0.70, 0.74, 0.69, 0.73], [0.66, 0.67, 0.66, 0.71]
MANY = 20_000


def only_pair(cells, **options):
    (pair,) = compare(cells, **options).pairs
    return pair


def two_entries(shared_slice=0.0, shared_seed=0.0):
    """Two entries, two tasks, three seeds, twelve slices, with effects that both entries share."""
    rng = np.random.default_rng(4)
    along, by_seed = shared_slice * rng.normal(size=(2, 12)), shared_seed * rng.normal(size=(2, 3))
    rest = 0.02 * rng.normal(size=(2, 2, 3, 12))
    return [
        cell_of(entry, f"t{t}", k, (0.5 + 0.03 * e + along[t] + by_seed[t, k] + rest[e, t, k]).tolist())
        for e, entry in enumerate("xy")
        for t in range(2)
        for k in range(3)
    ]


def test_seeds_of_one_task_are_the_paired_t_test():
    pair = only_pair(cells_of({"x": {"a": A}, "y": {"a": B}}), resamples=MANY)
    reference = stats.ttest_rel(A, B)
    assert pair.p == pytest.approx(reference.pvalue, rel=0.06)
    low, high = reference.confidence_interval(0.95)
    assert (pair.difference.low, pair.difference.high) == (pytest.approx(low, abs=1e-3), pytest.approx(high, abs=1e-3))
    assert pair.difference.sd == pytest.approx(np.std(np.subtract(A, B), ddof=1))
    assert pair.p_holm == pair.p


def test_many_tasks_are_the_paired_t_test_over_tasks():
    x, y = [0.5, 0.62, 0.7, 0.55, 0.81, 0.66], [0.48, 0.63, 0.66, 0.5, 0.8, 0.6]
    rows = {e: {f"t{i}": [v] for i, v in enumerate(row)} for e, row in (("x", x), ("y", y))}
    assert only_pair(cells_of(rows), resamples=MANY).p == pytest.approx(stats.ttest_rel(x, y).pvalue, rel=0.06)


def test_the_tests_of_the_literature_are_scipys():
    cells = two_entries(shared_slice=0.05)
    found = signed_rank(cells, "x", "y")
    values = {(c.entry, c.task, c.seed): c for c in cells}
    places = [(t, k) for t in ("t0", "t1") for k in range(3)]
    by_cell = [values["x", t, k].value - values["y", t, k].value for t, k in places]
    assert found.over_cells == pytest.approx(stats.wilcoxon(by_cell).pvalue)
    along = [
        np.mean([values["x", t, k].slices[z] - values["y", t, k].slices[z] for k in range(3)])
        for t in ("t0", "t1")
        for z in range(12)
    ]
    assert found.over_slices == pytest.approx(stats.wilcoxon(along).pvalue)
    assert signed_rank(cells_of({"x": {"a": A}, "y": {"a": A}}), "x", "y") == SignedRank(None, 1.0)
    assert signed_rank(cells, "x", "nobody") == SignedRank(None, None)


@pytest.mark.parametrize("shared", [{"shared_slice": 0.1}, {"shared_seed": 0.1}], ids=str)
def test_what_both_share_cancels(shared):
    plain, moved = only_pair(two_entries()), only_pair(two_entries(**shared))
    assert moved.p == pytest.approx(plain.p, rel=1e-6)
    assert moved.difference.low == pytest.approx(plain.difference.low)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(range(1000)), st.sampled_from([1, 2, 3]), st.sampled_from([0.0, 0.01, 0.03, 0.1]))
def test_p_and_interval_agree(seed, tasks, gain):
    rng = np.random.default_rng(seed)
    rows = {
        e: {f"t{t}": (0.5 + gain * (e == "x") + 0.03 * rng.normal(size=3)).tolist() for t in range(tasks)} for e in "xy"
    }
    pair = only_pair(cells_of(rows), resamples=200)
    assert (pair.p < 0.05) == (not pair.difference.low <= 0 <= pair.difference.high)


def test_one_seed_tells_nothing_apart_however_far():
    found = compare(cells_of({"x": {"a": [0.9]}, "y": {"a": [0.1]}, "z": {"a": [0.3, 0.31, 0.32]}}))
    assert [pair.p for pair in found.pairs] == [1.0, 1.0, 1.0]
    assert found.pairs[0].difference.low == -1.0
    assert set(found.groups.values()) == {"a"}
    assert (found.ranks["x"].low, found.ranks["x"].high) == (1, 3)
    assert (found.ranks["z"].low, found.ranks["z"].high) == (1, 3)  # the others may lie anywhere


def test_pairs_use_the_seeds_that_both_have():
    cells = cells_of({"x": {"a": A}, "y": {"a": B}})
    fewer = [c for c in cells if not (c.entry == "y" and c.seed == 3)]
    pair = only_pair(fewer)
    assert pair.difference.n == 3
    assert pair.difference.mean == pytest.approx(np.mean(A[:3]) - np.mean(B[:3]))
    apart = [Cell(c.entry, c.task, c.seed + 10 * (c.entry == "y"), c.value) for c in cells]
    unpaired = only_pair(apart)
    assert (unpaired.p, unpaired.difference.n) == (1.0, 0)
    assert unpaired.difference.mean == pytest.approx(np.mean(A) - np.mean(B))


def test_the_same_numbers_are_a_tie():
    pair = only_pair(cells_of({"x": {"a": A}, "y": {"a": A}}))
    assert (pair.p, pair.difference.mean) == (1.0, 0.0)


def test_a_difference_without_any_spread_is_certain():
    pair = only_pair(cells_of({"x": {"a": A}, "y": {"a": [v - 0.125 for v in A]}}))
    assert pair.p < 1e-6
    assert pair.difference.high == pytest.approx(0.125)


def test_coverage_and_ties_on_tables_whose_truth_is_known():
    """A small version of benchmarks/statistics_coverage.py (docs/statistics.md has the full table)."""
    measure, setting = coverage().measure, coverage().Setting
    found = measure(setting(), tables=40, resamples=150)
    assert 0.93 <= found["mean, 95 % interval covers"] <= 0.995
    assert found["mean, naive percentile bootstrap covers"] < 0.75
    assert found["difference, 95 % interval covers"] >= 0.93
    assert found["mean rank, 95 % interval covers"] >= 0.93
    assert found["ties with p below 5 %"] <= 0.06
    assert found["ties with Wilcoxon over slices below 5 %"] > 0.2
    assert found["tables with any tie called different (Holm)"] <= 0.05
    many = measure(setting(seeds=5, slices=100), tables=4, resamples=150)
    assert many["differences of 0.1 found (Holm)"] > 0.9


def test_the_page_quotes_what_was_measured():
    recorded = json.loads((ROOT / "benchmarks" / "results" / "statistics-coverage.json").read_text())
    assert [row["setting"] for row in recorded["rows"]] == [asdict(setting) for setting in coverage().SETTINGS]
    page = (ROOT / "docs" / "statistics.md").read_text()
    assert recorded["command"] in page
    assert coverage().markdown(recorded["rows"]) in page

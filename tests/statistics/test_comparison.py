"""Ranks, groups, Friedman's test, and who is left out."""

from __future__ import annotations

import time
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_tables import cell_of, cells_of
from scikit_posthocs import compact_letter_display
from scipy import stats
from statsmodels.stats.multitest import multipletests

from dabench.statistics import compact_letters, compare, holm

ROWS = {
    "best": {"a": [0.80, 0.82, 0.81], "b": [0.70, 0.71, 0.72]},
    "good": {"a": [0.79, 0.80, 0.82], "b": [0.71, 0.70, 0.69]},
    "poor": {"a": [0.40, 0.41, 0.42], "b": [0.30, 0.29, 0.31]},
}


# ---------------------------------------------------------------- many pairs
@pytest.mark.parametrize("n", [1, 6, 45])
def test_holm_is_statsmodels(n):
    p_values = np.random.default_rng(n).uniform(size=n).round(1) ** 3  # with ties
    assert holm(p_values.tolist()) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_no_pair_needs_no_correction():
    assert holm([]) == []


names = st.sampled_from(range(2, 8)).flatmap(
    lambda n: st.tuples(st.just(n), st.sets(st.sampled_from(list(combinations([f"e{i}" for i in range(n)], 2)))))
)


@given(names)
def test_letters_are_shared_by_those_that_do_not_differ_and_no_others(case):
    n, different = case
    entries = [f"e{i}" for i in range(n)]
    letters = compact_letters(entries, different)
    for pair in combinations(entries, 2):
        assert bool(set(letters[pair[0]]) & set(letters[pair[1]])) == (pair not in different)
    p_values = pd.DataFrame(1.0, index=entries, columns=entries)
    for first, second in different:
        p_values.loc[first, second] = p_values.loc[second, first] = 0.001
    theirs = compact_letter_display(p_values)
    assert len(set("".join(letters.values()))) <= len(set("".join(theirs).replace(" ", "")))


def test_letters_follow_the_order_and_go_past_z():
    entries = [f"e{i}" for i in range(28)]
    letters = compact_letters(entries, combinations(entries, 2))
    assert [letters[e] for e in (entries[0], entries[25], entries[26])] == ["a", "z", "a2"]


def test_a_chain_of_ties_has_overlapping_groups():
    assert compact_letters(["x", "y", "z"], [("x", "z")]) == {"x": "a", "y": "ab", "z": "b"}


# ---------------------------------------------------------------- ranks and groups
def test_ties_share_a_group_and_a_worse_entry_does_not():
    found = compare(cells_of(ROWS))
    assert found.entries == ("best", "good", "poor")
    assert found.groups == {"best": "a", "good": "a", "poor": "b"}
    assert [(p.first, p.second) for p in found.pairs] == [("best", "good"), ("best", "poor"), ("good", "poor")]
    assert found.ranks["poor"].low == found.ranks["poor"].high == 3
    assert (found.ranks["best"].mean, found.ranks["best"].low, found.ranks["best"].high) == (1, 1, 2)


def test_mean_ranks_are_scipys_with_ties_shared():
    rows = {
        "x": {"a": [0.5, 0.6], "b": [0.4, 0.4]},
        "y": {"a": [0.6, 0.5], "b": [0.3, 0.3]},
        "z": {"a": [0.1, 0.1], "b": [0.7, 0.7]},
    }
    means = np.array([[np.mean(row) for row in tasks.values()] for tasks in rows.values()])
    by_hand = stats.rankdata(-means.round(12), axis=0).mean(1)
    found = compare(cells_of(rows))
    assert [found.ranks[e].mean for e in rows] == pytest.approx(by_hand.tolist())


def test_ranks_over_many_tasks_draw_tasks():
    rng = np.random.default_rng(2)
    rows = {
        e: {f"t{i}": [0.5 + g + 0.1 * rng.normal()] for i in range(10)} for e, g in (("x", 0.02), ("y", 0), ("z", -0.4))
    }
    found = compare(cells_of(rows))
    assert found.ranks["z"].low > 2
    assert found.ranks["x"].low < found.ranks["x"].mean < found.ranks["x"].high
    assert found.friedman_p == pytest.approx(
        stats.friedmanchisquare(*[[v[0] for v in row.values()] for row in rows.values()]).pvalue
    )


def test_friedman_over_the_cells_that_all_have():
    cells = [c for c in cells_of(ROWS) if not (c.entry == "poor" and c.task == "b" and c.seed == 2)]
    scores = [[*tasks["a"], *tasks["b"][:2]] for tasks in ROWS.values()]
    assert compare(cells).friedman_p == pytest.approx(stats.friedmanchisquare(*scores).pvalue)


def test_friedman_needs_three_entries_and_differences():
    assert compare(cells_of({k: ROWS[k] for k in ("best", "good")})).friedman_p is None
    assert compare(cells_of(dict.fromkeys("xyz", ROWS["best"]))).friedman_p == 1.0


# ---------------------------------------------------------------- missing cells
def test_an_entry_that_misses_a_task_is_left_out_and_moves_nobody():
    rows = {**ROWS, "half": {"a": [0.99, 0.99, 0.99]}}
    found = compare(cells_of(rows))
    assert found.left_out == {"half": "no result on b"}
    assert found == compare(cells_of(ROWS)).__class__(
        **{**compare(cells_of(ROWS)).__dict__, "left_out": found.left_out}
    )


def test_a_task_that_one_entry_has_run_leaves_nobody_out():
    rows = {**ROWS, "best": {**ROWS["best"], "c": [0.5, 0.5, 0.5]}}
    found = compare(cells_of(rows))
    assert (found.tasks, found.left_out) == (("a", "b"), {})
    chosen = compare(cells_of(rows), tasks=["a", "b", "c"])
    assert set(chosen.left_out) == {"good", "poor"}
    assert (chosen.groups, chosen.pairs) == ({"best": "a"}, ())


def test_entries_without_a_task_in_common_are_not_compared():
    found = compare(cells_of({"x": {"a": [0.5, 0.6]}, "y": {"b": [0.5, 0.6]}}))
    assert (found.entries, found.pairs) == ((), ())
    assert set(found.left_out) == {"x", "y"}
    assert compare([]).entries == ()


def test_an_extra_seed_of_one_entry_costs_the_others_nothing():
    more = cells_of({**ROWS, "best": {t: [*v, 0.75] for t, v in ROWS["best"].items()}})
    found = compare(more)
    assert found.left_out == {}
    assert {p.difference.n for p in found.pairs} == {3}
    assert found.ranks["best"].n == 4


def test_entries_with_one_seed_cost_the_others_no_power():
    rows = {**ROWS, **{f"once{i}": {"a": [0.6], "b": [0.6]} for i in range(5)}}
    found = {(p.first, p.second): p.p_holm for p in compare(cells_of(rows)).pairs}
    for pair in compare(cells_of(ROWS)).pairs:
        assert found[pair.first, pair.second] == pytest.approx(pair.p_holm)
    assert found["best", "once0"] == 1.0


# ---------------------------------------------------------------- size
def test_a_large_table_takes_seconds():
    rng = np.random.default_rng(0)
    scores = 0.6 + 0.05 * rng.normal(size=(20, 4, 5, 100))
    cells = [
        cell_of(f"e{e}", f"t{t}", k, scores[e, t, k].tolist()) for e in range(20) for t in range(4) for k in range(5)
    ]
    started = time.process_time()
    found = compare(cells)
    assert len(found.pairs) == 190
    assert time.process_time() - started < 8

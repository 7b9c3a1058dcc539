"""Gap closed, Pareto front, smallest difference that can be seen."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_tables import cells_of

from dabench.errors import DabenchError
from dabench.statistics import gap_closed, minimum_detectable_difference, pareto

ROWS = {
    "low": {"a": [0.4, 0.4], "b": [0.5, 0.5]},
    "high": {"a": [0.8, 0.8], "b": [0.7, 0.7]},
    "ours": {"a": [0.5, 0.7], "b": [0.65, 0.65]},
}


# ---------------------------------------------------------------- gap
def test_gap_closed_by_hand():
    shares = gap_closed(cells_of({**ROWS, "half": {"a": [0.3]}}), "low", "high")
    assert shares["ours"] == {"a": pytest.approx(0.5), "b": pytest.approx(0.75), "": pytest.approx(0.625)}
    assert shares["low"][""] == 0
    assert shares["high"][""] == 1
    assert shares["half"] == {"a": pytest.approx(-0.25)}  # below the lower bracket, and no overall share


def test_no_gap_no_share():
    rows = {**ROWS, "high": {"a": [0.8], "b": [0.45]}}
    assert gap_closed(cells_of(rows), "low", "high")["ours"] == {"a": pytest.approx(0.5)}
    assert gap_closed(cells_of(rows), "low", "nobody")["ours"] == {}


# ---------------------------------------------------------------- pareto
numbers = st.sampled_from([0.0, 1.0, 2.0, 3.0, math.nan, math.inf])


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(numbers, numbers)))
def test_the_front_is_what_nobody_beats(points):
    finite = {n: p for n, p in points.items() if all(map(math.isfinite, p))}
    beaten = {
        n
        for n, (cost, quality) in finite.items()
        if any(c <= cost and q >= quality and (c, q) != (cost, quality) for c, q in finite.values())
    }
    front = pareto(points)
    assert set(front) == set(finite) - beaten
    assert [finite[n][0] for n in front] == sorted(finite[n][0] for n in front)


# ---------------------------------------------------------------- planning
def pair(scale):
    return cells_of({"x": {"a": [0.5, 0.5 + scale, 0.5 - scale]}, "y": {"a": [0.4, 0.4, 0.4]}})


def test_detectable_by_hand():
    """One task, three seeds of sd 0.02: (t of 0.975 + t of 0.8, two degrees of freedom) x 0.02 / sqrt(3)."""
    found = minimum_detectable_difference(pair(0.02), "x", "y", resamples=20_000)
    assert found == pytest.approx((4.3027 + 1.0607) * 0.02 / math.sqrt(3), rel=0.03)


def test_more_seeds_see_more_and_more_pairs_less():
    plain = minimum_detectable_difference(pair(0.02), "x", "y")
    assert minimum_detectable_difference(pair(0.02), "x", "y", seeds=3) == pytest.approx(plain)
    assert minimum_detectable_difference(pair(0.02), "x", "y", seeds=12) < 0.35 * plain
    assert minimum_detectable_difference(pair(0.02), "x", "y", pairs=45) > 4 * plain
    assert minimum_detectable_difference(pair(0.04), "x", "y") == pytest.approx(2 * plain)


def test_one_seed_can_show_nothing():
    cells = [c for c in pair(0.02) if c.seed == 0]
    assert minimum_detectable_difference(cells, "x", "y") == math.inf


def test_what_cannot_be_asked():
    with pytest.raises(DabenchError, match="no task in common"):
        minimum_detectable_difference(pair(0.02), "x", "nobody")
    with pytest.raises(DabenchError, match="seeds is 1"):
        minimum_detectable_difference(pair(0.02), "x", "y", seeds=1)

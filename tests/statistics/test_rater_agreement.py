"""Agreement of raters: published worked examples, other libraries' figures, and what the coefficients must do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dabench.statistics.agreement import MISSING, agreement, category_counts, cohen_kappa

_ = MISSING
#: Four observers, twelve units, answers missing (Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011; Gwet
#: 2014 takes the same table).
OBSERVERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
        [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
    ]
).T
#: Three raters, ten items; the coefficients are those of krippendorff 0.9.0, irrCAC 0.4.4, statsmodels 0.15.0.
THREE = np.array(
    [[0, 0, 1], [1, 1, 1], [0, 0, 0], [2, 2, 0], [1, 1, 1], [0, 1, 1], [2, 2, 2], [0, 0, 0], [3, 0, 0], [1, 1, 2]]
)


def table(both, first, second, neither):
    """Two raters' answers from the four fields of their table."""
    return np.array([[0, 0]] * both + [[0, 1]] * first + [[1, 0]] * second + [[1, 1]] * neither)


def test_the_published_example_with_missing_answers():
    found = agreement(OBSERVERS)
    assert (found.items, found.raters) == (11, 4)
    assert found.alpha.mean == pytest.approx(0.743, abs=5e-4)
    assert found.ac1.mean == pytest.approx(0.77544, abs=5e-6)
    assert found.fleiss.mean == pytest.approx(0.76117, abs=5e-6)
    assert found.raw.mean == pytest.approx(9 / 11)


def test_figures_of_other_libraries():
    found = agreement(THREE)
    assert found.alpha.mean == pytest.approx(0.51505, abs=5e-6)
    assert found.fleiss.mean == pytest.approx(0.49833, abs=5e-6)
    assert found.ac1.mean == pytest.approx(0.57184, abs=5e-6)


def test_where_one_category_prevails_ac1_is_high_and_kappa_is_not():
    """118 of 125 items alike, 118 of one category: p_a = .944, e = 2 π (1 - π) with π = .028 (by hand).

    Cohen: by chance (123 · 120 + 2 · 5) / 125².
    """
    rare = table(118, 5, 2, 0)
    chance = 2 * 0.028 * 0.972
    found = agreement(rare)
    assert found.raw.mean == pytest.approx(0.944)
    assert found.ac1.mean == pytest.approx((0.944 - chance) / (1 - chance))
    assert found.fleiss.mean < 0 < found.ac1.low
    assert cohen_kappa(*rare.T) == pytest.approx((0.944 - 14770 / 15625) / (1 - 14770 / 15625))


def test_cohens_kappa_by_hand_and_where_there_is_none():
    """20, 5, 10, 15: .7 agree, .5 by chance."""
    assert cohen_kappa(*table(20, 5, 10, 15).T) == pytest.approx(0.4)
    assert cohen_kappa([], []) is None
    assert cohen_kappa("aaa", "aaa") is None


def test_intervals_hold_the_value_and_shrink_with_more_items():
    few, many = agreement(THREE), agreement(np.tile(THREE, (20, 1)))
    for name in ("raw", "alpha", "ac1", "fleiss"):
        short, long = getattr(many, name), getattr(few, name)
        assert short.low < short.mean < short.high
        assert short.high - short.low < 0.4 * (long.high - long.low)
    assert agreement(THREE) == agreement(THREE)


def test_an_interval_covers_what_it_should():
    """Two raters who agree with probability .8, 80 items: the 95 % interval holds .8 about as often."""
    rng = np.random.default_rng(0)
    held = []
    for _draw in range(150):
        first = rng.integers(0, 4, 80)
        other = (first + rng.integers(1, 4, 80)) % 4
        raw = agreement(np.stack([first, np.where(rng.random(80) < 0.8, first, other)], axis=1), resamples=300).raw
        held.append(raw.low <= 0.8 <= raw.high)
    assert 0.89 <= np.mean(held) <= 0.99


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(-1, 3), min_size=3, max_size=3), min_size=2, max_size=12))
def test_names_and_orders_do_not_matter(answers):
    codes = np.array(answers)
    found = agreement(codes, resamples=10)
    other = agreement(np.where(codes == MISSING, MISSING, 7 - codes)[::-1, ::-1], resamples=10)
    if found is None:
        assert other is None
        return
    for name in ("raw", "fleiss", "alpha", "ac1"):
        ours, theirs = getattr(found, name), getattr(other, name)
        if ours is not None and theirs is not None:
            assert ours.mean == pytest.approx(theirs.mean)
            assert ours.mean <= 1 + 1e-12


def test_chance_alone_is_worth_nothing():
    codes = np.random.default_rng(1).integers(0, 4, (4000, 2))
    found = agreement(codes, resamples=50)
    assert [found.alpha.mean, found.ac1.mean, found.fleiss.mean] == pytest.approx([0, 0, 0], abs=0.04)
    assert found.raw.mean == pytest.approx(0.25, abs=0.03)


def test_where_nothing_varies_there_is_no_coefficient():
    found = agreement(np.ones((5, 2), dtype=int))
    assert found.raw.mean == 1
    assert (found.fleiss, found.alpha, found.ac1) == (None, None, None)
    assert agreement(np.array([[0, MISSING], [MISSING, 1]])) is None
    assert category_counts(np.array([[2, MISSING], [5, 2]])).tolist() == [[1, 0], [1, 1]]

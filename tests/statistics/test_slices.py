"""What correlated slices are worth."""

from __future__ import annotations

import numpy as np
import pytest
from made_up_tables import coverage
from statsmodels.tsa.stattools import acf

from dabench.statistics import Cell
from dabench.statistics.cells import Table
from dabench.statistics.resampling import Resampler
from dabench.statistics.slices import _lag, _unbiased, independent_slices, pooled_inflation


def series(correlation: float, n: int, many: int = 1) -> list[np.ndarray]:
    return list(coverage().along_slices(np.random.default_rng(0), (many, n), correlation))


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8])
def test_long_series_are_worth_what_theory_says(correlation):
    (x,) = series(correlation, 20_000)
    assert independent_slices(x) == pytest.approx(20_000 * (1 - correlation) / (1 + correlation), rel=0.1)
    assert pooled_inflation([x]) == pytest.approx((1 + correlation) / (1 - correlation), rel=0.1)


def test_noise_of_single_slices_hides_memory_from_one_lag_only():
    rng = np.random.default_rng(1)
    noisy = [x + rng.normal(size=x.size) for x in series(0.9, 400, many=40)]
    theory = 1 + 2 * 0.5 * 0.9 / (1 - 0.9)  # half of the variance lasts
    assert pooled_inflation(noisy) == pytest.approx(theory, rel=0.15)


@pytest.mark.parametrize("k", [1, 2])
def test_lags_agree_with_statsmodels(k):
    (x,) = series(0.6, 50)
    assert _lag(x, k) == pytest.approx(acf(x, nlags=2, adjusted=True)[k])


def test_short_series_do_not_hide_their_correlation():
    """Of 20 slices the plain estimate is 0.34 on average where 0.5 is true."""
    short = series(0.5, 20, many=2000)
    plain = [(_lag(x, 1) or 0.0) * 19 / 20 for x in short]
    assert np.mean(plain) < 0.36
    assert np.mean([_unbiased(r, 20) for r in plain]) == pytest.approx(0.5, abs=0.05)


def test_a_series_counts_for_itself_only_where_it_clearly_stands_out():
    (smooth,) = series(0.9, 400)
    (rough,) = series(0.0, 400)
    alone = independent_slices(smooth)
    assert alone < independent_slices(smooth, pooled=3.0) < 400 / 3
    assert independent_slices(smooth, pooled=30.0) == pytest.approx(400 / 30)
    assert independent_slices(rough, pooled=3.0) == pytest.approx(400 / 3)
    assert independent_slices(rough, pooled=1.0) == 400


def test_slices_that_do_not_count_break_no_pair_but_their_own():
    (x,) = series(0.8, 2000)
    holes = x.copy()
    holes[::10] = np.nan
    assert independent_slices(holes) == pytest.approx(0.9 * independent_slices(x), rel=0.15)


def test_too_few_slices_are_taken_as_they_are():
    assert independent_slices(np.array([0.5, 0.6, 0.7])) == 3
    assert independent_slices(np.full(9, 0.5)) == 9
    assert pooled_inflation([np.array([0.5, 0.6])]) == 1.0


def test_a_cell_is_the_mean_of_the_drawn_slices_that_it_counts():
    """Slices 1 and 3 are empty for this cell and counted for another: they are drawn, and weigh nothing."""
    cells = [Cell("x", "a", 0, 0.4, {0: 0.2, 2: 0.6}), Cell("y", "a", 0, 0.5, dict.fromkeys(range(4), 0.5))]
    resampler = Resampler(Table.of(cells), 200, 0)
    weights = resampler._slice_weights("a")
    drawn = resampler.draws("x", "a").by_slice + 0.4
    some = weights[:, 0] + weights[:, 2] > 0
    by_hand = (0.2 * weights[:, 0] + 0.6 * weights[:, 2])[some] / (weights[:, 0] + weights[:, 2])[some]
    assert drawn[some] == pytest.approx(by_hand)
    assert drawn[~some] == pytest.approx(0.4)  # nothing drawn that counts: as it was
    assert 0 < (~some).sum() < 40

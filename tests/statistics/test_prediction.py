"""The interval in which one more value would lie."""

from __future__ import annotations

import numpy as np
import pytest

from dabench.errors import DabenchError
from dabench.statistics.prediction import prediction_interval


def test_by_hand():
    """Mean 0.82, sd 0.02, t(2) = 4.302653, and a further value varies like sd times the root of 1 + 1/3."""
    found = prediction_interval([0.80, 0.82, 0.84])
    assert (found.low, found.high) == (pytest.approx(0.720634, abs=1e-6), pytest.approx(0.919366, abs=1e-6))
    assert (found.mean, found.sd, found.n) == (pytest.approx(0.82), pytest.approx(0.02), 3)


def test_equal_values_leave_no_room():
    found = prediction_interval([0.5, 0.5, 0.5])
    assert (found.low, found.high) == (0.5, 0.5)


def test_it_holds_the_next_of_a_normal_distribution_95_times_of_100():
    draws = np.random.default_rng(0).normal(0.7, 0.05, (4000, 4))
    intervals = [prediction_interval(row[:3].tolist()) for row in draws]
    inside = sum(i.low <= row[3] <= i.high for i, row in zip(intervals, draws, strict=True))
    assert inside / 4000 == pytest.approx(0.95, abs=0.011)


def test_one_value_says_nothing():
    with pytest.raises(DabenchError, match="two or more values, not 1"):
        prediction_interval([0.8])

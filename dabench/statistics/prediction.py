"""Where one more result would lie, if it were like those there are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from dabench.errors import DabenchError
from dabench.statistics.intervals import Interval


def prediction_interval(values: Sequence[float], *, level: float = 0.95) -> Interval:
    """The interval in which one further value lies with the chance ``level``, by Student's t.

    Unlike a confidence interval of the mean it does not shrink to nothing: it tells whether a new seed is like the
    seeds before, taken as a sample of a normal distribution.

    Args:
        values: two or more, of any range.
        level: the chance.

    Raises:
        DabenchError: fewer than two values.

    Example:
        >>> found = prediction_interval([0.80, 0.82, 0.84])
        >>> round(found.low, 3), round(found.high, 3)
        (0.721, 0.919)
    """
    from scipy.special import stdtrit

    n = len(values)
    if n < 2:
        raise DabenchError(f"a prediction interval needs two or more values, not {n}")
    mean, sd = fmean(values), stdev(values)
    half = float(stdtrit(n - 1, (1 + level) / 2)) * sd * math.sqrt(1 + 1 / n)
    return Interval(mean, mean - half, mean + half, sd, n)

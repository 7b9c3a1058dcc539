"""How many independent slices the slices of a volume are worth: neighbours show the same mitochondria."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: A slice is never taken to be worth less than a hundredth of one, nor n slices less than two.
LARGEST_CORRELATION = 0.98
FEWEST = 2.0


def independent_slices(series: NDArray[np.float64], pooled: float | None = None) -> float:
    """N slices whose neighbours correlate by r, falling geometrically with distance, are worth n (1 - r) / (1 + r).

    Args:
        series: scores along the slices, (slices,), NaN where a slice is not counted.
        pooled: n over the result as estimated from many series (`pooled_inflation`). The series' own estimate then
            counts only where it is higher by more than its standard error: the larger of two noisy numbers is too
            large.
    """
    n = int(np.isfinite(series).sum())
    r = _lag(series, 1)
    if r is None:
        return max(n / (pooled or 1.0), FEWEST)
    r = _unbiased(r * (n - 1) / n, n)
    if pooled is not None:
        r -= math.sqrt(max(1 - r * r, 0.0) / n)
    return max(n / max(_inflation(r), pooled or 1.0), FEWEST)


def pooled_inflation(many: Sequence[NDArray[np.float64]]) -> float:
    """One estimate from many series of a task, where each alone is noisy; 1 means independent slices.

    Rests on lags 1 and 2, so that noise of single slices does not hide how long the rest is remembered: with a lasting
    part of share f and correlation r, lag 1 shows f r and lag 2 shows f r^2; the inflation is 1 + 2 f r / (1 - r).
    """
    found = [
        (a, b, np.isfinite(x).sum()) for x in many if (a := _lag(x, 1)) is not None and (b := _lag(x, 2)) is not None
    ]
    if not found:
        return 1.0
    first, second, n = (float(x) for x in np.mean(found, axis=0))
    # Subtracting the series' own mean takes about inflation / n off every lag.
    lost = _inflation(_unbiased(first * (n - 1) / n, n)) / n
    first, second = first + lost * (1 - first), second + lost * (1 - second)
    if first <= 0.1:
        return 1.0
    r = min(max(second / first, 0.0), 0.97)
    share = min(first / r, 1.0) if r > 0 else 1.0
    return 1 + 2 * share * r / (1 - r)


def _lag(series: NDArray[np.float64], k: int) -> float | None:
    """Correlation of slices ``k`` apart; None with fewer than four such pairs or no variation."""
    counted = np.isfinite(series)
    n, pairs = int(counted.sum()), int((counted[k:] & counted[:-k]).sum())
    if pairs < 4:
        return None
    x = np.where(counted, series, 0.0)
    x = np.where(counted, x - x.sum() / n, 0.0)
    variance = float(x @ x) / n
    return float(x[k:] @ x[:-k]) / pairs / variance if variance > 1e-24 else None


def _unbiased(r: float, n: float) -> float:
    """The usual lag-1 estimate falls short by about (1 + 4 r) / n (Marriott and Pope 1954)."""
    return r + (1 + 4 * r) / n


def _inflation(r: float) -> float:
    r = min(max(r, 0.0), LARGEST_CORRELATION)
    return (1 + r) / (1 - r)

"""How far a mean may be from the truth: variance and degrees of freedom of each level, widths and p-values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dabench.statistics.resampling import Array, Draws
from dabench.statistics.slices import independent_slices

#: From here on tasks count as a sample of tasks: the fewest with which an exact paired test over tasks alone can reach
#: 5 % (2 / 2^6 = 0.03). Below, the tasks are the ones named and nothing is claimed of others.
TASKS_ARE_A_SAMPLE = 6
#: Smallest p-value that is given.
SMALLEST_P = 1e-50
#: Differences below are rounding.
SAME = 1e-12


@dataclass(frozen=True)
class Level:
    """One source of variation: the variance that it gives the mean, and the degrees of freedom behind that number."""

    variance: float
    df: float

    def width(self, tail: float) -> float:
        """Half the width of an interval with ``tail`` probability outside, if this were the only level."""
        from scipy.special import stdtrit

        return float(-stdtrit(self.df, tail / 2)) * math.sqrt(self.variance)


@dataclass(frozen=True)
class Spread:
    """All levels of a mean. None of them known (``levels`` empty): nothing can be said."""

    levels: tuple[Level, ...]

    def half_width(self, tail: float) -> float:
        """Half an interval with ``tail`` probability outside: the levels' own t-widths, squared and added.

        Each level keeps the quantile of its own few degrees of freedom ("method of variance estimates recovery", Zou
        and Donner 2008). One pooled Satterthwaite quantile is closer to nominal in the middle and far too hopeful in
        the tails that a correction for many pairs needs.
        """
        return math.hypot(*(part.width(tail) for part in self.levels)) if self.levels else math.inf


def p_values(spreads: Sequence[Spread], differences: Sequence[float]) -> list[float]:
    """Two-sided p-values of no difference: the tail whose interval just reaches 0; 1 where nothing is known."""
    from scipy.special import stdtrit

    parts = [[*spread.levels, *[Level(0.0, 1.0)] * (2 - len(spread.levels))] for spread in spreads]
    variance = np.array([[part.variance for part in two] for two in parts]).reshape(-1, 2)
    df = np.array([[part.df for part in two] for two in parts]).reshape(-1, 2)
    sizes = np.abs(np.array(differences, dtype=np.float64))
    low, high = np.full(sizes.shape, np.log(SMALLEST_P)), np.zeros(sizes.shape)
    for _ in range(50):  # halve the range of log p: widths fall as tails grow
        middle = (low + high) / 2
        too_wide = (stdtrit(df, np.exp(middle)[:, None] / 2) ** 2 * variance).sum(1) > sizes**2
        low, high = np.where(too_wide, middle, low), np.where(too_wide, high, middle)
    unknown = np.array([not spread.levels for spread in spreads], dtype=bool)
    found: list[float] = np.where(unknown | (sizes < SAME), 1.0, np.exp(high)).tolist()
    return found


def spread_of(parts: Sequence[Draws], inflations: Sequence[float] | None = None) -> Spread:
    """The spread of the mean of ``parts``, one a task, over seeds and slices of these tasks.

    Unknown if any task has one seed only: a single run says nothing of what another seed would have given.

    Args:
        parts: one a task.
        inflations: slices over independent slices, one a task, as estimated from many entries (`pooled_inflation`).
    """
    if any(part.seeds < 2 for part in parts):
        return Spread(())
    pooled: Sequence[float | None] = inflations or [None] * len(parts)
    seeds = [Level(float(part.by_seed.var()), part.seeds - 1) for part in parts]
    slices = [slice_level(part, inflation) for part, inflation in zip(parts, pooled, strict=True)]
    return Spread((_of_mean(seeds), _of_mean(slices)))


def spread_over_tasks(points: Sequence[float], weights: Array) -> Spread:
    """The spread of the mean of tasks that are a sample of tasks; unknown for a single one.

    What seeds and slices do is in the tasks' numbers already: they are not drawn once more (Davison and Hinkley 1997,
    section 3.8).

    Args:
        points: mean of each task.
        weights: (resamples, tasks).
    """
    if len(points) < 2:
        return Spread(())
    deviations = weights @ (np.array(points) - np.mean(points))
    return Spread((Level(float(deviations.var()), len(points) - 1),))


def slice_level(part: Draws, inflation: float | None = None) -> Level:
    """Slices as a level: what drawing them gives, enlarged because neighbours resemble each other."""
    n = int(np.isfinite(part.series).sum())
    if n < 2:
        return Level(0.0, 1.0)
    independent = independent_slices(part.series, inflation)
    return Level(float(part.by_slice.var()) * n / (independent - 1), independent - 1)


def _of_mean(tasks: Sequence[Level]) -> Level:
    """One level of the mean over tasks, with Satterthwaite's degrees of freedom."""
    largest = max((task.variance for task in tasks), default=0.0)
    if largest == 0:
        return Level(0.0, 1.0)
    shares = [task.variance / largest for task in tasks]  # squares of tiny variances would vanish
    df = sum(shares) ** 2 / sum(share**2 / task.df for share, task in zip(shares, tasks, strict=True))
    return Level(largest * sum(shares) / len(tasks) ** 2, df)

"""How far raters agree beyond chance: nominal categories, any number of raters, answers missing or not.

With n_ik of r_i raters of item i in category k, and π_k the mean of n_ik / r_i over all items::

    raw    p_a = mean over items with r_i > 1 of Σ_k n_ik (n_ik - 1) / (r_i (r_i - 1))
    Fleiss κ   = (p_a - Σ_k π_k²) / (1 - Σ_k π_k²)
    Gwet   AC1 = (p_a - e) / (1 - e),  e = Σ_k π_k (1 - π_k) / (q - 1),  q categories that occur
    Krippendorff α = 1 - D_o / D_e,  of the pairs of answers to the same item, and of any two answers

With missing answers κ and AC1 are Gwet's generalisations (Handbook of Inter-Rater Reliability, 4th ed., 2014). κ is low
where one category prevails although raters agree (the prevalence paradox); AC1 is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dabench.statistics.intervals import Interval
from dabench.statistics.resampling import multinomial_weights

Floats = NDArray[np.float64]
#: A rater did not answer this item.
MISSING = -1


@dataclass(frozen=True)
class Agreement:
    """Of raters on the same items; a coefficient is None where all answers are of one category.

    Attributes:
        items: with answers of two or more raters.
        raters: with answers to these.
        raw: share of pairs of answers to the same item that are equal.
        fleiss: Fleiss' κ.
        alpha: Krippendorff's α.
        ac1: Gwet's AC1.
    """

    items: int
    raters: int
    raw: Interval
    fleiss: Interval | None
    alpha: Interval | None
    ac1: Interval | None


def agreement(
    codes: NDArray[np.int64], *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Agreement | None:
    """Coefficients of agreement with bootstrap intervals: items are drawn again with replacement.

    Args:
        codes: (items, raters) numbers of categories, `MISSING` where a rater did not answer.
        level: nominal coverage of the percentile intervals.
        resamples: of the bootstrap; those in which all answers are equal give no coefficient and are left out.
        seed: of the bootstrap.

    Returns:
        None where no item has two answers.

    Example:
        >>> found = agreement(np.array([[0, 0], [1, 1], [0, 1], [2, 2]]))
        >>> found.items, round(found.raw.mean, 2), round(found.alpha.mean, 3)
        (4, 0.75, 0.667)
    """
    rated = codes[(codes != MISSING).any(axis=1)]
    counts = category_counts(rated)
    pairable = counts.sum(axis=1) > 1
    if not pairable.any():
        return None
    n = len(rated)
    draws = multinomial_weights(np.random.default_rng(seed), n, n, resamples) * n
    exact, drawn = _coefficients(counts, np.ones((1, n))), _coefficients(counts, draws)
    found = {name: _interval(float(exact[name][0]), drawn[name], level) for name in ("fleiss", "alpha", "ac1", "raw")}
    raters = int((rated[pairable] != MISSING).any(axis=0).sum())
    raw = found.pop("raw")
    assert raw is not None
    return Agreement(int(pairable.sum()), raters, raw, **found)


def category_counts(codes: NDArray[np.int64]) -> Floats:
    """(items, categories) how many raters chose each category that occurs."""
    names = [code for code in np.unique(codes) if code != MISSING]
    return np.stack([(codes == name).sum(axis=1) for name in names], axis=1).astype(np.float64)


def _coefficients(counts: Floats, weights: Floats) -> dict[str, Floats]:
    """Each coefficient, (draws,), for weights (draws, items) of items; NaN where it is not defined."""
    ratings = counts.sum(axis=1)
    several = ratings > 1
    n, r, w = counts[several], ratings[several], weights[:, several]
    agreeing = (n * (n - 1)).sum(axis=1) / (r - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        raw = (w @ (agreeing / r)) / w.sum(axis=1)
        shares = weights @ (counts / ratings[:, None]) / weights.sum(axis=1, keepdims=True)
        squares, categories = (shares**2).sum(axis=1), (shares > 0).sum(axis=1)
        by_gwet = (1 - squares) / (categories - 1)
        total, of_category = w @ r, w @ n
        observed = 1 - (w @ agreeing) / total
        expected = 1 - (of_category * (of_category - 1)).sum(axis=1) / (total * (total - 1))
        return {
            "raw": raw,
            "fleiss": (raw - squares) / (1 - squares),
            "ac1": (raw - by_gwet) / (1 - by_gwet),
            "alpha": np.where(expected > 0, 1 - observed / expected, np.nan),
        }


def _interval(value: float, draws: Floats, level: float) -> Interval | None:
    """The percentile interval about a value; None where either is not defined."""
    defined = draws[np.isfinite(draws)]
    if not np.isfinite(value) or not len(defined):
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high))


def cohen_kappa(first: Sequence[Any], second: Sequence[Any]) -> float | None:
    """Cohen's κ of two raters, of their answers to the same items.

    Args:
        first: a category an item.
        second: likewise.

    Returns:
        None without items, or where both use one category alone.

    Example:
        >>> cohen_kappa("yyyn", "yynn")
        0.5
    """
    if not len(first):
        return None
    names = sorted({*first, *second}, key=str)
    one, two = (np.array([[name == answer for name in names] for answer in given]) for given in (first, second))
    agreed, chance = float((one & two).any(axis=1).mean()), float(one.mean(axis=0) @ two.mean(axis=0))
    return None if chance == 1 else (agreed - chance) / (1 - chance)

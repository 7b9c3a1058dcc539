"""What choices tell: shares with intervals, how often the first place should have won, strengths of what was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Share:
    """``count`` of ``of`` cases, with a confidence interval of the probability; 0 to 1 where there is no case."""

    count: int
    of: int
    low: float
    high: float

    @property
    def value(self) -> float | None:
        """The share, None where there is no case."""
        return self.count / self.of if self.of else None


def share(count: int, of: int, level: float = 0.95) -> Share:
    """A share with Wilson's interval.

    Example:
        >>> found = share(9, 10)
        >>> round(found.low, 3), round(found.high, 3)
        (0.596, 0.982)
    """
    if not of:
        return Share(0, 0, 0.0, 1.0)
    interval = stats.binomtest(count, of).proportion_ci(level, method="wilson")
    return Share(count, of, float(interval.low), float(interval.high))


def chance_of_at_least(probabilities: Sequence[float], count: int) -> float:
    """Probability that ``count`` or more of independent cases happen, each with its own probability, exactly.

    Example:
        >>> chance_of_at_least([0.5, 0.5, 0.25], 3)
        0.0625
    """
    distribution = np.ones(1)
    for probability in probabilities:
        distribution = np.convolve(distribution, [1 - probability, probability])
    return float(min(1.0, distribution[max(count, 0) :].sum()))


def luce_strengths(chosen: Bools, shown: Bools, weights: Floats | None = None, prior: float = 0.1) -> Floats:
    """Strengths γ of options of which one is chosen at a time: P(k) = γ_k / Σ γ of those shown (Bradley-Terry-Luce).

    Fitted by Hunter's minorisation-maximisation (2004). So that an option that never or always won has a strength too,
    every two options that were shown have been compared ``prior`` times more, with an even outcome.

    Args:
        chosen: (choices, options), one True per row.
        shown: (choices, options), the options to choose from, the chosen one among them.
        weights: (draws, choices) how often each choice counts in each of several fits; None is one fit, all count once.
        prior: comparisons of every two options beside the given ones.

    Returns:
        (draws, options) strengths, each row sums to 1; 0 for an option that was never shown.

    Example:
        >>> chosen = np.array([[True, False]] * 3 + [[False, True]])
        >>> luce_strengths(chosen, np.ones((4, 2), dtype=bool), prior=0.0).round(3).tolist()
        [[0.75, 0.25]]
    """
    given = np.ones((1, len(chosen))) if weights is None else weights
    pairs = _pairs(np.asarray(shown.any(axis=0)))
    sets = np.concatenate([shown.astype(np.float64), pairs])
    counts = np.concatenate([given, np.full((len(given), len(pairs)), prior)], axis=1)
    wins = given @ chosen + prior / 2 * pairs.sum(axis=0)
    strengths = np.full(wins.shape, 1 / wins.shape[1])
    for _ in range(1000):
        rivals = (counts / (strengths @ sets.T)) @ sets
        new = np.divide(wins, rivals, out=np.zeros_like(wins), where=rivals > 0)
        new /= new.sum(axis=1, keepdims=True)
        moved, strengths = float(np.abs(new - strengths).max()), new
        if moved < 1e-9:
            break
    return strengths


def _pairs(known: Bools) -> Floats:
    """Every two of the known options, (pairs, options) of 0 and 1."""
    options = np.eye(len(known))[known]
    first, second = np.triu_indices(len(options), 1)
    pairs: Floats = options[first] + options[second]
    return pairs

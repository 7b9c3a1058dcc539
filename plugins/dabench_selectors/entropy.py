"""Entropy of a yes-or-no prediction."""

from __future__ import annotations

import numpy as np
from scipy.special import entr

from dabench.plugin import Array


def bits(probability: Array | np.floating) -> Array:
    """Entropy of Bernoulli probabilities, in bits.

    Args:
        probability: in [0, 1], any shape, float64 where sums of many are to be exact.

    Returns:
        The same shape, in [0, 1]: 0 where sure, 1 at a half.
    """
    found: Array = (entr(probability) + entr(1 - probability)) / np.log(2)
    return found

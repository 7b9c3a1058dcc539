"""Probabilities of a model whose domain had another share of foreground."""

from __future__ import annotations

from typing import TypeVar

from torch import Tensor

from dabench.types import Array

Probability = TypeVar("Probability", Tensor, Array)


def shift_odds(probability: Probability, threshold: float) -> Probability:
    """Multiply the odds by one factor, so that the threshold becomes one half.

    This is Bayes' rule when only the share of foreground changes (Saerens et al. 2002, Neural Computation 14(1)).

    Args:
        probability: in [0, 1], any shape.
        threshold: in (0, 1); at one half nothing changes.

    Returns:
        In [0, 1], the same shape; 0 and 1 stay.

    >>> shift_odds(torch.tensor([0.0, 0.1, 0.5, 1.0]), 0.1).tolist()
    [0.0, 0.5, 0.8999999761581421, 1.0]
    """
    if threshold == 0.5:
        return probability
    foreground = probability * (1 - threshold)
    return foreground / (foreground + (1 - probability) * threshold)

"""How far the teacher's probability falls short of 1 on what is known to be foreground.

Across a domain gap confidence falls: on dense tissue a teacher sees .02 to .2 on half of the foreground and labels it
background. A given point is foreground for certain. Elkan & Noto (KDD 2008) divide the probability of a classifier that
knows positives alone by its mean at them; that is right where points are drawn at random from the objects.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

#: Share of the old level that one more point keeps: about the last twenty points count.
_KEPT = 0.95
#: Probabilities are at most doubled, whatever few points say, or points that lie beside their object.
_LOWEST = 0.5


class PointLevel:
    """Moving average of the teacher's probability at given points; 1 before any.

    >>> level = PointLevel()
    >>> level.look(torch.full((1, 8, 8), 0.6), [torch.tensor([[3.0, 4.0]])])
    >>> round(level.value, 3)
    0.98
    """

    def __init__(self, value: float = 1.0) -> None:
        """Start at a level in [0.5, 1]."""
        self.value = value

    def look(self, probability: Tensor, points: Sequence[Tensor]) -> None:
        """Take in what a probability ``(B, H, W)``, not yet calibrated, is at points ``(N, 2)`` (x, y) of each crop."""
        seen = [at_points(crop, given) for crop, given in zip(probability, points, strict=True)]
        for value in torch.cat(seen).tolist():
            self.value = max(_LOWEST, _KEPT * self.value + (1 - _KEPT) * value)

    def calibrated(self, probability: Tensor) -> Tensor:
        """Probability over the level, at most 1; same shape."""
        return (probability / self.value).clamp(max=1)


def at_points(values: Tensor, points: Tensor) -> Tensor:
    """Values ``(N,)`` of a map ``(H, W)`` at points ``(N, 2)`` (x, y); a point beyond the border counts at its edge."""
    columns, rows = points.to(values.device).round().long().unbind(dim=1)
    return values[rows.clamp(0, values.shape[0] - 1), columns.clamp(0, values.shape[1] - 1)]

"""What a model predicts must be probabilities: numbers, in 0 to 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dabench.errors import PredictionError

if TYPE_CHECKING:
    from dabench.types import Array

#: By as much a probability may leave 0 to 1: half floats add up to that.
_ROUNDING = 0.01


def need_probabilities(probability: Array, z: int) -> None:
    """Raises PredictionError for NaN, infinite values and values beyond 0 and 1 on a predicted slice."""
    low, high = float(probability.min()), float(probability.max())
    if low >= -_ROUNDING and high <= 1 + _ROUNDING:
        return
    if broken := int(np.count_nonzero(~np.isfinite(probability))):
        raise PredictionError(
            f"slice {z}: the model gives {broken} probabilities that are NaN or infinite.",
            "Use --precision float32; if it stays, the model's weights are damaged.",
        )
    raise PredictionError(f"slice {z}: the model gives values from {low:g} to {high:g}; probabilities lie in 0 to 1.")

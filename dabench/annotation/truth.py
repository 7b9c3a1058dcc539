"""Dense labels behind the narrow interface that raters see."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from dabench.errors import DataError
from dabench.types import IGNORE

if TYPE_CHECKING:
    from dabench.interfaces import Truth, Volume
    from dabench.types import Array


def opened(truth: Truth | Callable[[], Truth]) -> Truth:
    """Labels that are given, or that a function opens: a run's desk holds such functions, and no labels."""
    return truth() if callable(truth) else truth


class VolumeTruth:
    """Truth over a label volume whose pixels are 0, 1 or 255 (ignore)."""

    def __init__(self, labels: Volume) -> None:
        """Wrap without reading."""
        self._labels = labels

    def labels(self, z: int) -> Array:
        """``(H, W)`` uint8 {0, 1, 255} of slice ``z``. Raises DataError naming the slice and another value."""
        label = self._labels.read(z)
        strange = (label != 0) & (label != 1) & (label != IGNORE)
        if strange.any():
            raise DataError(f"slice {z}: label value {label[strange][0]}; labels are 0, 1 or {IGNORE} (ignore)")
        result: Array = label.astype(np.uint8)
        return result

    def __len__(self) -> int:
        """Number of slices."""
        return self._labels.shape[0]

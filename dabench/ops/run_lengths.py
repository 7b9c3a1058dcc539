"""Runs: the maximal stretches of one id along the rows of an array.

An EM slice of 4096 x 4096 with hundreds of objects has some 10^5 runs and 10^7 pixels: sizes, first pixels, moments,
boxes and contacts all follow exactly from the runs, at a fraction of the cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[Any]
Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RunLengths:
    """Stretches of foreground, in raster order.

    Args:
        ids: ``(N,)`` the id of each, > 0, in the array's type.
        row: ``(N,)`` int64, index of its row; rows of a ``(Z, H, W)`` array are counted z first, ``z * H + y``.
        start: ``(N,)`` int64, its first column.
        length: ``(N,)`` int64, its pixels.
        width: columns of the array.
    """

    ids: Ids
    row: Index
    start: Index
    length: Index
    width: int

    @property
    def first(self) -> Index:
        """``(N,)`` raster index of each run's first pixel in the array."""
        return self.row * self.width + self.start


def runs_of(ids: Ids) -> RunLengths:
    """The runs of whole-number ids; 0 and everything below is background.

    Args:
        ids: ``(..., W)`` of any whole-number type, C order is fastest.
    """
    starts, lengths = stretches(ids)
    values = ids.reshape(-1)[starts]
    there = values > 0
    row, start = np.divmod(starts[there], max(ids.shape[-1], 1))
    return RunLengths(values[there], row, start, lengths[there], ids.shape[-1])


def stretches(*arrays: Ids) -> tuple[Index, Index]:
    """First raster index and length of the stretches along rows in which none of the arrays changes.

    Args:
        arrays: one or more of the same shape ``(..., W)``.

    Returns:
        Two ``(N,)`` int64; together the stretches cover the array, background included.
    """
    changes = np.zeros(arrays[0].shape, bool)
    changes[..., :1] = True
    for array in arrays:
        changes[..., 1:] |= array[..., 1:] != array[..., :-1]
    starts = np.flatnonzero(changes)
    return starts, np.diff(starts, append=changes.size)


__all__ = ["RunLengths", "runs_of", "stretches"]

"""All patches that could be asked about, and what the reference knows of each (`PatchPool`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from dabench.ops.candidates import threshold_candidates
from dabench.ops.choice import disagreement
from dabench.plugin import Array, CropId, Window


class Pool:
    """Patches of tiles.

    Args:
        tiles: the tiles.
        places: of each patch, its tile's number and its window of the slice.
        proposal: the reference's logits on the tiles, ``(T, S, S)`` in half precision.
        thresholds: of the candidates.
    """

    def __init__(
        self,
        tiles: Sequence[CropId],
        places: Sequence[tuple[int, Window]],
        proposal: Array,
        thresholds: tuple[float, ...],
    ) -> None:
        self._tiles, self._places, self._proposal, self._thresholds = tiles, places, proposal, thresholds
        self.slices = np.array([tiles[i].z for i, _ in places], np.int64)

    def informative(self) -> Array:
        """``(N,)`` bool: whether any two candidates of a patch differ: a pixel lies between two thresholds."""
        low, high = min(self._thresholds), max(self._thresholds)
        return np.array([bool(((p > low) & (p <= high)).any()) for p in self._probability()])

    def disagreement(self) -> Array:
        """``(N,)``, see `PatchPool`."""
        found = (threshold_candidates(p, self._thresholds).masks for p in self._probability())
        return np.array([disagreement(masks.numpy()) for masks in found])

    def uncertainty(self) -> Array:
        """``(N,)``, see `PatchPool`."""
        halves = (torch.special.entr(torch.stack([p, 1 - p])).sum(dim=0).mean() for p in self._probability())
        return np.where(self.informative(), np.array([float(h) for h in halves]) / np.log(2), 0.0)

    def _probability(self) -> Iterator[Tensor]:
        for i, patch in self._places:
            yield probability_of(self._proposal[i][local(self._tiles[i], patch).slices])


def probability_of(logits: Array) -> Tensor:
    """Probabilities, float32 on the CPU, of logits in half precision."""
    return torch.from_numpy(np.asarray(logits, np.float32)).sigmoid()


def local(tile: CropId, patch: Window) -> Window:
    """A patch of the slice in its tile's own pixels."""
    return Window(patch.y - tile.window.y, patch.x - tile.window.x, patch.height, patch.width)

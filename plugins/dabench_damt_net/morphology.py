"""DAMT-Net's own post-processing of whole slices: fill holes, open, drop what is small. Far heavier than others'."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from skimage.morphology import disk, opening

from dabench.ops.components import remove_small
from dabench.plugin import Array, Prediction, Predictor


class MorphologyPredictor(Predictor):
    """Any predictor, with slices finished as the release does."""

    def __init__(self, predictor: Predictor, width: int, smallest: int) -> None:
        """``width`` of the opening's disc and ``smallest`` component that stays, in pixels."""
        self.predictor, self.neighbour = predictor, predictor.neighbour
        self.width, self.smallest = width, smallest

    def predict(
        self, images: torch.Tensor, points: Sequence[torch.Tensor] | None = None, *, density: bool = False
    ) -> Prediction:
        return self.predictor.predict(images, points, density=density)

    def finish(self, mask: Array) -> Array:
        return finish(self.predictor.finish(mask), self.width, self.smallest)


def finish(mask: Array, width: int, smallest: int) -> Array:
    """A slice after hole filling, opening and removal of small components.

    Args:
        mask: (H, W) bool.
        width: of the opening's disc in pixels (rounded down to an odd number); below 2 nothing is opened.
        smallest: components (8-connected) of fewer pixels go; below 2 all stay.

    Returns:
        (H, W) bool; the input is left alone.
    """
    # What lies beyond the slice is not known: repeated edges keep objects there from being opened away.
    radius = max(0, (width - 1) // 2)
    filled = np.pad(ndimage.binary_fill_holes(mask), radius, mode="edge")
    opened = opening(filled, disk(radius)) if radius else filled  # type: ignore[no-untyped-call]
    inside = opened[radius : radius + mask.shape[0], radius : radius + mask.shape[1]]
    return remove_small(inside, smallest - 1)

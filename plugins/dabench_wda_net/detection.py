"""Detection where every centre is known: weighted regression of centre densities."""

from __future__ import annotations

from torch import Tensor

from dabench.ops.density import density_maps, peak_weights
from dabench.ops.losses import detection_loss
from dabench.ops.prompts import pad_points


def dense_detection(density: Tensor, points: list[Tensor]) -> Tensor:
    """Weighted mean squared error of a density (B, H, W) where every centre is known; scalar."""
    size = (int(density.shape[-2]), int(density.shape[-1]))
    return detection_loss(density, density_maps(pad_points(points), size), peak_weights(points, size))

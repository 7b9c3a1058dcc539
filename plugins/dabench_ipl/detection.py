"""Detection loss on target crops, of whose centres only some are known (IPL, Eq. 1; weights of the release)."""

from __future__ import annotations

import torch
from torch import Tensor

from dabench.ops.density import density_maps
from dabench.ops.precision import full_precision
from dabench.ops.prompts import pad_points

#: Kernel in pixels of the extra weight at a centre, and its height.
_SHARP, _HEIGHT = 11, 3.0


def detection_targets(points: list[Tensor], background: Tensor) -> tuple[Tensor, Tensor]:
    """Density and weights of crops, of whose centres only some are known.

    Args:
        points: of each crop (N, 2) given and selected centres.
        background: (B, H, W) bool, confident background.

    Returns:
        Density (B, H, W) in [0, 1]. Weights (B, H, W): 1 where a centre is near or background is sure, 0 where an
        unknown centre may lie, and up to 3 more at a centre.
    """
    size = (background.shape[-2], background.shape[-1])
    prompts = pad_points(points)
    density = density_maps(prompts, size)
    known = (background | (density > 0)).float()
    return density, known + _HEIGHT * density_maps(prompts, size, _SHARP)


def weighted_detection_loss(density: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Weighted squared error, summed, over the number of pixels that have a weight plus one; scalar >= 0.

    Args:
        density: (B, H, W) float, predicted.
        target: (B, H, W) float in [0, 1].
        weights: (B, H, W) float >= 0.
    """
    with full_precision(density):
        errors = weights * (density.float() - target) ** 2
        return errors.sum() / (torch.count_nonzero(weights) + 1)

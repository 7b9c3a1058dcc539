"""Detection: weighted regression of centre densities, from all centres (source) or a few (target)."""

from __future__ import annotations

from torch import Tensor

from dabench.ops.density import density_maps
from dabench.ops.losses import detection_loss
from dabench.ops.prompts import pad_points

#: Width of the bump that raises the weight at a point, and how much it raises it (release: 1 + 3 blur11).
_PEAK_KERNEL, _PEAK_WEIGHT = 11, 3.0


def peak_weights(points: list[Tensor], size: tuple[int, int]) -> Tensor:
    """1 far from any point, 4 at one; ``(B, H, W)`` float32."""
    return 1 + _PEAK_WEIGHT * density_maps(pad_points(points), size, _PEAK_KERNEL)


def dense_detection(density: Tensor, points: list[Tensor]) -> Tensor:
    """Weighted mean squared error of a density (B, H, W) where every centre is known; scalar."""
    size = (int(density.shape[-2]), int(density.shape[-1]))
    return detection_loss(density, density_maps(pad_points(points), size), peak_weights(points, size))


def sparse_detection(density: Tensor, points: list[Tensor], probability: Tensor, background: float) -> Tensor:
    """Weighted mean squared error where the truth is known: around given points, and on sure background.

    Args:
        density: (B, H, W) float on the 0-1 scale.
        points: given points of each crop, (N, 2).
        probability: (B, H, W) float, the foreground's, without gradient.
        background: below it a pixel holds no centre (release: 0.1).

    Returns:
        Scalar: squared errors of the known pixels ÷ their number; 0 when there are none. An object nobody pointed at
        is neither foreground nor background and asks for nothing.
    """
    size = (int(density.shape[-2]), int(density.shape[-1]))
    truth = density_maps(pad_points(points), size)
    known = (truth > 0) | (probability < background)
    errors = (density.float() - truth) ** 2 * peak_weights(points, size)
    return (errors * known).sum() / known.sum().clamp(min=1)

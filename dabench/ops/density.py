"""Centre density maps: dots blurred to bumps of height one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dabench.ops.precision import full_precision
from dabench.ops.prompts import Prompts

KERNEL = 61
"""Kernel size in pixels; OpenCV's "sigma 0" turns it into 9.5 px."""


def kernel_sigma(kernel: int) -> float:
    """OpenCV's rule for a Gaussian kernel of unstated width: 61 → 9.5."""
    return 0.3 * ((kernel - 1) / 2 - 1) + 0.8


def density_maps(prompts: Prompts, size: tuple[int, int], kernel: int = KERNEL) -> Tensor:
    """Density of each image's points.

    Dots are blurred with a zero border, divided by the smallest blurred value at a point and clipped to one: a bump
    alone reaches 1, bumps that overlap are flat-topped (FACTS 1.5; 0-1 scale instead of 0-255). Two bumps of unequal
    crowding thus both reach 1. The map does not count.

    Args:
        prompts: points ``(x, y)`` of B images; those outside the image are left out.
        size: (H, W).
        kernel: size of the Gaussian kernel, odd.

    Returns:
        (B, H, W) float32 in [0, 1]; zero for an image without points.
    """
    height, width = size
    pixel = prompts.points.round().long()
    x, y = pixel[..., 0], pixel[..., 1]
    inside = prompts.valid & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    flat = (y * width + x).clamp(0, height * width - 1)
    batch = len(prompts.points)
    dots = torch.zeros(batch, height * width, device=flat.device)
    dots = dots.scatter_reduce(1, flat, inside.float(), reduce="amax")
    with full_precision(dots):
        blurred = _blur(dots.view(batch, height, width), kernel)
    at_dots = torch.where(dots > 0, blurred.flatten(1), torch.inf).amin(dim=1)
    lowest = torch.where(torch.isfinite(at_dots), at_dots, 1.0)
    return (blurred / lowest[:, None, None]).clamp(max=1)


def _blur(maps: Tensor, kernel: int) -> Tensor:
    """Separable Gaussian of a (B, H, W) map, zero border."""
    offsets = torch.arange(kernel, device=maps.device, dtype=maps.dtype) - (kernel - 1) / 2
    weights = torch.exp(-0.5 * (offsets / kernel_sigma(kernel)) ** 2)
    weights = weights / weights.sum()
    half = kernel // 2
    rows = F.conv2d(maps[:, None], weights.view(1, 1, -1, 1), padding=(half, 0))
    return F.conv2d(rows, weights.view(1, 1, 1, -1), padding=(0, half))[:, 0]

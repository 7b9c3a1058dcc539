"""Centre density maps: dots blurred to bumps of height one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dabench.ops.precision import full_precision
from dabench.ops.prompts import Prompts, pad_points

KERNEL = 61
"""Kernel size in pixels; OpenCV's "sigma 0" turns it into 9.5 px."""

#: Kernel in pixels of the bump that raises the weight at a centre, and how much it raises it (WDA-Net's and IPL's
#: releases: 1 + 3 blur11).
_PEAK_KERNEL, _PEAK_WEIGHT = 11, 3.0


def kernel_sigma(kernel: int) -> float:
    """OpenCV's rule for a Gaussian kernel of unstated width: 61 → 9.5."""
    return 0.3 * ((kernel - 1) / 2 - 1) + 0.8


def bump_mass(kernel: int = KERNEL) -> float:
    """Sum over the density map of one isolated centre: 565.6 for kernel 61 (release: 144,219 on 0-255 maps)."""
    offsets = torch.arange(kernel, dtype=torch.float64) - (kernel - 1) / 2
    return float(torch.exp(-0.5 * (offsets / kernel_sigma(kernel)) ** 2).sum() ** 2)


def density_maps(prompts: Prompts, size: tuple[int, int], kernel: int = KERNEL) -> Tensor:
    """Density of each image's points.

    Dots are blurred with a zero border, divided by the smallest blurred value at a point and clipped to one: a bump
    alone reaches 1, bumps that overlap are flat-topped (0-1 scale instead of 0-255). Two bumps of unequal
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
    counted = inside & ~_repeated(pixel, inside)
    with full_precision(prompts.points):
        rows = _bumps(y, height, kernel) * counted[..., None]
        blurred = torch.einsum("bnh,bnw->bhw", rows, _bumps(x, width, kernel))
    flat = (y * width + x).clamp(0, height * width - 1)
    at_dots = torch.where(inside, blurred.flatten(1).gather(1, flat), torch.inf)
    # The column of infinity stands for an image without points.
    lowest = F.pad(at_dots, (0, 1), value=torch.inf).amin(dim=1)
    lowest = torch.where(torch.isfinite(lowest), lowest, 1.0)
    return (blurred / lowest[:, None, None]).clamp(max=1)


def peak_weights(points: list[Tensor], size: tuple[int, int]) -> Tensor:
    """Weights of a density's errors: 1 far from any centre, 4 at one.

    Args:
        points: centres of each image, (N, 2).
        size: (H, W).

    Returns:
        (B, H, W) float32 in [1, 4].
    """
    return 1 + _PEAK_WEIGHT * density_maps(pad_points(points), size, _PEAK_KERNEL)


def sparse_density(points: list[Tensor], background: Tensor) -> tuple[Tensor, Tensor]:
    """Density of images of whose centres only some are known, and where it is to be believed.

    Args:
        points: known centres of each image, (N, 2).
        background: (B, H, W) bool, where surely no centre is.

    Returns:
        Density (B, H, W) float32 in [0, 1]. Weights (B, H, W) float32: `peak_weights` where a known centre is near or
        background is sure, 0 where an unknown centre may lie.
    """
    size = (int(background.shape[-2]), int(background.shape[-1]))
    density = density_maps(pad_points(points), size)
    return density, peak_weights(points, size) * (background | (density > 0))


def _repeated(pixel: Tensor, inside: Tensor) -> Tensor:
    """Which points (B, N, 2) share their pixel with an earlier one: a dot is there once. (B, N) bool."""
    same = (pixel[:, :, None] == pixel[:, None]).all(dim=-1) & inside[:, None]
    return same.tril(diagonal=-1).any(dim=-1)


def _bumps(centres: Tensor, length: int, kernel: int) -> Tensor:
    """The Gaussian kernel along one axis around each pixel (B, N), cut at the border: (B, N, length) float32.

    A blurred dot is the product of one along each axis; so a map costs its points, not its pixels times the kernel.
    """
    half, sigma = (kernel - 1) / 2, kernel_sigma(kernel)
    offsets = torch.arange(kernel, device=centres.device, dtype=torch.float32) - half
    total = torch.exp(-0.5 * (offsets / sigma) ** 2).sum()
    distance = (torch.arange(length, device=centres.device) - centres[..., None]).float()
    return torch.exp(-0.5 * (distance / sigma) ** 2) / total * (distance.abs() <= half)

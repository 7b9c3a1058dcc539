"""Discs at points: the certain foreground around a centre that a person gave."""

from __future__ import annotations

import torch
from torch import Tensor


def stamp_discs(labels: Tensor, points: Tensor, radius: float, value: int) -> Tensor:
    """Labels with a disc of ``value`` at each point.

    Args:
        labels: (H, W) integer.
        points: (N, 2) float ``(x, y)``.
        radius: in pixels; 0 changes nothing.
        value: label inside the discs.

    Returns:
        (H, W) of the same type; the input is left alone.
    """
    if radius <= 0 or len(points) == 0:
        return labels
    y = torch.arange(labels.shape[0], device=labels.device)[:, None, None]
    x = torch.arange(labels.shape[1], device=labels.device)[None, :, None]
    inside = ((x - points[:, 0]) ** 2 + (y - points[:, 1]) ** 2 <= radius**2).any(dim=2)
    return labels.masked_fill(inside, value)

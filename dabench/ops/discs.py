"""Discs at points: the certain foreground around a centre that a person gave."""

from __future__ import annotations

import math

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
    # Only the square around each point is looked at: a slice has many pixels and a disc few.
    height, width = labels.shape
    reach = torch.arange(-math.ceil(radius), math.ceil(radius) + 2, device=labels.device)
    y, x = (points[:, axis].floor().long()[:, None] + reach for axis in (1, 0))
    squares = (y - points[:, 1:]).square()[:, :, None] + (x - points[:, :1]).square()[:, None, :]
    on_slice = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]
    number, row, column = torch.nonzero((squares <= radius**2) & on_slice, as_tuple=True)
    out = labels.clone()
    out[y[number, row], x[number, column]] = value
    return out

"""Grey values of crops."""

from __future__ import annotations

import torch
from torch import Tensor


def stretched(images: Tensor) -> Tensor:
    """Each crop from its least value, which becomes 0, to its greatest, 1.

    Args:
        images: (B, C, H, W) float, each channel a section of its own.

    Returns:
        The same shape in [0, 1]; a section of a single value is 0.5.

    >>> stretched(torch.tensor([[[[0.2, 0.4]]]]))
    tensor([[[[0., 1.]]]])
    """
    low, high = images.amin(dim=(-2, -1), keepdim=True), images.amax(dim=(-2, -1), keepdim=True)
    spread = high - low
    return torch.where(spread > 0, (images - low) / spread.clamp(min=torch.finfo(spread.dtype).tiny), 0.5)

"""Random Fourier features: the position code of points and of the image grid.

As in Prompt-DAS (and SAM, without its learned point types): one frozen Gaussian matrix turns a coordinate into
sines and cosines. Points and image cells share it, so a point finds its place in the image by similarity.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class FourierPositions(nn.Module):
    """Maps pixel coordinates to features of a given width through a frozen random projection."""

    projection: Tensor

    def __init__(self, width: int, scale: float = 1.0) -> None:
        """Draws the projection.

        Args:
            width: feature width D, even.
            scale: standard deviation of the projection's entries (1 in the paper).
        """
        super().__init__()
        if width % 2:
            raise ValueError(f"width must be even, got {width}")
        self.register_buffer("projection", scale * torch.randn(2, width // 2))

    def points(self, points: Tensor, size: tuple[int, int]) -> Tensor:
        """Encodes points.

        Args:
            points: (..., 2) float, ``(x, y)`` pixels; the half pixel to the cell centre is added here.
            size: (H, W) of the image in pixels.

        Returns:
            (..., D) float32.
        """
        height, width = size
        extent = torch.tensor([width, height], dtype=torch.float32, device=points.device)
        return self._encode((points.float() + 0.5) / extent)

    def grid(self, size: tuple[int, int]) -> Tensor:
        """Encodes the centres of a feature map's cells.

        Args:
            size: (h, w) of the feature map in cells.

        Returns:
            (h * w, D) float32, row by row.
        """
        height, width = size
        device = self.projection.device
        y = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) / height
        x = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) / width
        rows, columns = torch.meshgrid(y, x, indexing="ij")
        return self._encode(torch.stack([columns, rows], dim=-1).reshape(-1, 2))

    def _encode(self, unit: Tensor) -> Tensor:
        # Kept in float32 under autocast: half precision loses whole pixels in the phase of the sines.
        with torch.autocast(device_type=unit.device.type, enabled=False):
            phase = 2 * math.pi * ((2 * unit - 1) @ self.projection.float())
            return torch.cat([phase.sin(), phase.cos()], dim=-1)

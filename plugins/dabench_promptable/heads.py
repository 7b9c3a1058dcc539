"""Heads of the promptable network: up-scaler, mixing, MLPs and the detection head."""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from dabench.ops.norms import GroupNorm


class LayerNorm2d(nn.Module):
    """LayerNorm over the channels of a (B, C, H, W) map."""

    def __init__(self, channels: int) -> None:
        """Builds the norm for `channels` channels."""
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) → the same shape."""
        return cast(Tensor, self.norm(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


def upscaler(width: int) -> nn.Sequential:
    """×4 by two transposed convolutions: (B, D, h, w) → (B, D / 8, 4h, 4w)."""
    return nn.Sequential(
        nn.ConvTranspose2d(width, width // 4, kernel_size=2, stride=2),
        LayerNorm2d(width // 4),
        nn.GELU(),
        nn.ConvTranspose2d(width // 4, width // 8, kernel_size=2, stride=2),
        nn.GELU(),
    )


class Mixing(nn.Module):
    """Lets neighbours on a map agree: a residual pair of 3×3 convolutions, the identity when it is made."""

    def __init__(self, channels: int) -> None:
        """Builds it for a (B, channels, H, W) map."""
        super().__init__()
        self.enter = nn.Conv2d(channels, channels, 3, padding=1)
        self.leave = nn.Conv2d(channels, channels, 3, padding=1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) → the same shape."""
        return cast(Tensor, maps + self.leave(F.relu(self.enter(maps))))


def three_layer_mlp(width: int, out: int) -> nn.Sequential:
    """D → D → D → out with ReLU between."""
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out))


class DetectionHead(nn.Module):
    """Centre density from the up-scaled map; linear output, as in Prompt-DAS."""

    def __init__(self, channels: int, hidden: int, heatmap_scale: float, *, full_resolution: bool) -> None:
        """Builds the head.

        Args:
            channels: of the up-scaled map (D / 8).
            hidden: width, divisible by 8 (256 in the paper).
            heatmap_scale: the raw output is multiplied by it; the paper regresses a 0-255 map with a raw output,
                which for our 0-1 map is a factor 1/255. 1 learns faster.
            full_resolution: enlarge the features before the second convolution (paper) or only the density, which
                is smooth, after it (four times cheaper at stride 2: the small presets).
        """
        super().__init__()
        self.full_resolution = full_resolution
        self.scale = heatmap_scale
        self.enter = nn.Sequential(nn.Conv2d(channels, hidden, 3, padding=1), GroupNorm(8, hidden), nn.ReLU())
        self.refine = nn.Sequential(nn.Conv2d(hidden, hidden, 3, padding=1), GroupNorm(8, hidden), nn.ReLU())
        self.leave = nn.Conv2d(hidden, 1, 1)

    def forward(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """Regresses the density.

        Args:
            maps: (B, D / 8, h, w).
            size: (H, W) of the image.

        Returns:
            (B, H, W) float32, 0-1 scale, unbounded.
        """
        hidden = self.enter(maps)
        if self.full_resolution:
            hidden = F.interpolate(hidden, size=size, mode="bilinear", align_corners=False)
        density = self.leave(self.refine(hidden)).float() * self.scale
        if not self.full_resolution:
            density = F.interpolate(density, size=size, mode="bilinear", align_corners=False)
        return cast(Tensor, density[:, 0])

"""Counting: the count that a density map implies, the network that learns to count, and the constraint it gives."""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from dabench.ops.density import bump_mass
from dabench.ops.norms import GroupNorm
from dabench.ops.precision import full_precision
from dabench.ops.prompts import NetworkOutput

#: Factor between a density map and the grid of the count branch.
_POOL = 4


def implied_count(density: Tensor) -> Tensor:
    """Number of objects that a density map (B, H, W) on the 0-1 scale implies: (B,) float32 >= 0."""
    return density.float().relu().sum(dim=(1, 2)) / bump_mass()


def count_ranking(detected: Tensor, counted: Tensor, margin: float) -> Tensor:
    """How far the detected numbers (B,) lie outside ``counted`` ± ``margin``, mean; without gradient to ``counted``."""
    return ((detected - counted.detach()).abs() - margin).relu().mean()


class CountBranch(nn.Module):
    """Reads a density map: what the map implies, corrected by two convolutions that start at no correction."""

    def __init__(self, width: int = 8) -> None:
        """Builds the convolutions."""
        super().__init__()
        self.enter, self.leave = nn.Conv2d(1, width, 5, padding=2), nn.Conv2d(width, 1, 1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(cast(Tensor, self.leave.bias))

    def forward(self, density: Tensor) -> Tensor:
        """(B, H, W) on the 0-1 scale → counts (B,) float32."""
        with full_precision(density):
            grid = F.avg_pool2d(density.float()[:, None].relu(), _POOL, ceil_mode=True)
            correction = self.leave(self.enter(grid).relu()).mean(dim=(1, 2, 3))
        counts: Tensor = implied_count(density) + correction * (density[0].numel() / bump_mass())
        return counts


class DensityEncoder(nn.Module):
    """A small convolutional encoder with a density head: the counting network's body in the small presets.

    GroupNorm, for what was trained on the source is used frozen on the target.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        """Builds one strided convolution a width, then a plain one."""
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for width in widths:
            layers += [nn.Conv2d(before, width, 5, stride=2, padding=2), GroupNorm(4, width), nn.ReLU(inplace=True)]
            before = width
        layers += [nn.Conv2d(before, before, 5, padding=2), GroupNorm(4, before), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(before, 1, 1))

    def forward(self, images: Tensor, *, with_density: bool = True) -> NetworkOutput:
        """(B, 1, H, W) → density (B, H, W); its logits are the same map and mean nothing."""
        del with_density
        coarse = self.layers(images).float()
        density = F.interpolate(coarse, size=images.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
        return NetworkOutput(density[:, None], density)


class CountingNetwork(nn.Module):
    """A network with a density, and the branch that counts on it."""

    def __init__(self, body: nn.Module) -> None:
        """Take any network with a detection head; it may have a segmentation head that is not trained."""
        super().__init__()
        self.body, self.branch = body, CountBranch()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, H, W) → counts (B,) and density (B, H, W)."""
        density = self.body(images, with_density=True).density
        return self.branch(density), density

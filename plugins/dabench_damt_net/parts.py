"""What DAMT-Net adds to a segmenter: a decoder that gives the image back, and a discriminator of features."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from dabench.ops.norms import GroupNorm

#: Groups of the decoder's GroupNorm where the channels allow it.
_GROUPS = 32
#: Side of the pooled map that the discriminator of features flattens.
_POOLED = 4


class ReconstructionDecoder(nn.Module):
    """Image from the deepest encoder map alone, without skips: what lies there must describe both domains.

    Upwards as the segmenter's own decoder: enlarge bilinearly, two 3x3 convolutions with GroupNorm (no affine
    parameters) and ReLU; at the end a 1x1 convolution.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        """``channels`` of the encoder's maps, deepest last; 9,402,305 parameters with the published U-Net's."""
        super().__init__()
        widths = list(reversed(channels)) if len(channels) > 1 else [channels[0], max(1, channels[0] // 2)]
        self.blocks = nn.ModuleList(_block(a, b) for a, b in pairwise(widths))
        self.head = nn.Conv2d(widths[-1], 1, 1)

    def forward(self, encoder: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
        """Rebuild images.

        Args:
            encoder: maps, deepest last; of all but the last only the size is read.
            size: (H, W) of the image.

        Returns:
            (B, H, W) float32, unbounded; an image is in [0, 1].
        """
        sizes = [tuple(m.shape[-2:]) for m in reversed(encoder[:-1])] or [size]
        maps = encoder[-1]
        for block, larger in zip(self.blocks, sizes, strict=True):
            maps = block(F.interpolate(maps, size=larger, mode="bilinear", align_corners=False))
        grey = self.head(maps).float()
        return F.interpolate(grey, size=size, mode="bilinear", align_corners=False)[:, 0]


def _block(enter: int, leave: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (enter, leave):
        layers += [
            nn.Conv2d(channels, leave, 3, padding=1),
            GroupNorm(math.gcd(_GROUPS, leave), leave, affine=False),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


class FeatureDiscriminator(nn.Module):
    """One output per crop from the finest decoder map: three convolutions, then 288, 144 and 2 units."""

    def __init__(self, channels: int, width: int = 48) -> None:
        """``channels`` of the map that it looks at, ``width`` of each convolution."""
        super().__init__()
        layers: list[nn.Module] = []
        for enter in (channels, width, width):
            layers += [nn.Conv2d(enter, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2, inplace=True)]
        self.convolve = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(_POOLED), nn.Flatten())
        self.discriminator = nn.Sequential(
            nn.Linear(width * _POOLED**2, 6 * width),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(6 * width, 3 * width),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(3 * width, 2),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) → (B,) logit of "target": the difference of the two units, whose softmax is its sigmoid."""
        source, target = self.discriminator(self.convolve(maps)).unbind(dim=1)
        logit: Tensor = target - source
        return logit

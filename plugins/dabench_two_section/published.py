"""The network of DA-ISC and CAFA: a U-Net with InstanceNorm on two sections, 20,755,814 parameters.

Known of the release are the normalisation, the shared encoder, the fusion at a quarter of the resolution, the three
decoders, 32 channels before the heads, and the number of parameters. How its convolutions are arranged is not; the
arrangement here is ours, and the simplest found that keeps all of these facts and that number to the last parameter.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from dabench.plugin import ConfigError
from dabench_two_section.network import MAPS, TwoSectionNetwork, convolution

_CHANNELS = (32, 64, 128, 256, 512)
#: The level (stride 4) from which on both sections have one map.
_FUSED = 2
#: Of the deepest level.
_STRIDE = 2 ** (len(_CHANNELS) - 1)


class Level(nn.Module):
    """Four convolutions of one resolution, a shortcut around the last three."""

    def __init__(self, enter: int, leave: int) -> None:
        """From so many channels to so many."""
        super().__init__()
        self.entry = convolution(enter, leave)
        self.body = nn.Sequential(*(convolution(leave, leave) for _ in range(3)))

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C', H, W)."""
        entered = self.entry(maps)
        return cast(Tensor, entered + self.body(entered))


class Decoder(nn.Module):
    """From the deepest map to the finest: transposed convolution, skip, one convolution a level."""

    def __init__(self, skips: tuple[int, ...]) -> None:
        """Channels of the skips, finest first; the deepest map has as many as the encoder's."""
        super().__init__()
        self.rise = nn.ModuleList(
            nn.ConvTranspose2d(deep, leave, 3, stride=2, padding=1, output_padding=1)
            for leave, deep in pairwise(_CHANNELS)
        )
        self.merge = nn.ModuleList(
            convolution(leave + skip, leave) for leave, skip in zip(_CHANNELS, skips, strict=False)
        )

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps finest first → (B, 32, H, W)."""
        found = maps[-1]
        levels = list(zip(self.rise, self.merge, maps[:-1], strict=True))
        for rise, merge, skip in reversed(levels):
            found = merge(torch.cat([rise(found), skip], dim=1))
        return found


class Head(nn.Module):
    """A 3x3 convolution to two classes; their softmax is the sigmoid of the logits' difference."""

    def __init__(self) -> None:
        """On the decoder's 32 channels."""
        super().__init__()
        self.classes = nn.Conv2d(_CHANNELS[0], 2, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, 32, H, W) → (B, 1, H, W)."""
        background, foreground = self.classes(maps).chunk(2, dim=1)
        return cast(Tensor, foreground - background)


class PublishedTwoSection(TwoSectionNetwork):
    """Sides of images are multiples of 16, at least 32: halved four times, and InstanceNorm needs more than a pixel."""

    encoder_channels = _CHANNELS
    decoder_channels = _CHANNELS[0]

    def __init__(self) -> None:
        """Random weights: none were published that can be had."""
        super().__init__()
        self.levels = nn.ModuleList(Level(e, c) for e, c in zip((1, *_CHANNELS[:-1]), _CHANNELS, strict=True))
        self.pool = nn.MaxPool2d(2)
        self.fuse = nn.Conv2d(2 * _CHANNELS[_FUSED], _CHANNELS[_FUSED], 3, padding=1)
        doubled = tuple(c * (2 if level < _FUSED else 1) for level, c in enumerate(_CHANNELS[:-1]))
        skips = {"current": _CHANNELS[:-1], "auxiliary": _CHANNELS[:-1], "difference": doubled}
        self.decoders = nn.ModuleDict({name: Decoder(skips[name]) for name in MAPS})
        self.heads = nn.ModuleDict({name: Head() for name in MAPS})

    def encode(self, current: Tensor, auxiliary: Tensor) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        _check_sides(current)
        maps = self._descend(torch.cat([current, auxiliary]), 0, _FUSED + 1)
        first, second = ([m.chunk(2)[i] for m in maps] for i in range(2))
        both = [self.fuse(torch.cat([first[-1], second[-1]], dim=1))]
        both += self._descend(both[0], _FUSED + 1, len(_CHANNELS))
        return first[:-1], second[:-1], both

    def _descend(self, maps: Tensor, begin: int, end: int) -> list[Tensor]:
        found = []
        for level in range(begin, end):
            maps = self.levels[level](maps if level == 0 else self.pool(maps))
            found.append(maps)
        return found


def _check_sides(images: Tensor) -> None:
    """Raises ConfigError for a height or width that cannot be halved four times, or not to more than a pixel."""
    for side in images.shape[-2:]:
        if side % _STRIDE or side < 2 * _STRIDE:
            raise ConfigError(
                f"two-section without a backbone cannot see images with a side of {side} pixels.",
                f"Set crop to a multiple of {_STRIDE}, {2 * _STRIDE} or more.",
            )

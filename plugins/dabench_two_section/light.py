"""The same fusion on any encoder, with three light decoders.

With the encoder that every method of a preset has, only the method differs. The backbone runs on each section to its
end (the published network encodes the fused map further); each of its maps from stride 4 on is fused by a convolution.
"""

from __future__ import annotations

from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dabench_two_section.network import MAPS, TwoSectionNetwork, convolution

#: Maps of this stride and coarser belong to both sections.
_QUARTER = 4


class FeatureBackbone(Protocol):
    """What the network needs to know of a backbone: (B, 1, H, W) in [0, 1] → feature maps, deepest last."""

    channels: tuple[int, ...]
    strides: tuple[int, ...]


class LightDecoder(nn.Module):
    """From the deepest map to the finest: bilinear resize, skip, one convolution a level."""

    def __init__(self, channels: tuple[int, ...], skips: tuple[int, ...]) -> None:
        """Channels of the decoder's levels and of the skips, finest first."""
        super().__init__()
        deeper = channels[1:]
        self.merge = nn.ModuleList(
            convolution(deep + skip, leave) for leave, deep, skip in zip(channels, deeper, skips, strict=False)
        )

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps finest first → (B, C, h, w) at the finest one's resolution."""
        found = maps[-1]
        for merge, skip in reversed(list(zip(self.merge, maps[:-1], strict=True))):
            risen = F.interpolate(found, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            found = merge(torch.cat([risen, skip], dim=1))
        return found


class LightTwoSection(TwoSectionNetwork):
    """Two sections on a backbone with any number of maps."""

    def __init__(self, backbone: nn.Module) -> None:
        """Takes a `FeatureBackbone`."""
        super().__init__()
        self.backbone = backbone
        channels, strides = (getattr(cast(FeatureBackbone, backbone), name) for name in ("channels", "strides"))
        self.encoder_channels, self.decoder_channels = channels, channels[0]
        # The deepest map is always one for both, whatever its stride.
        self.fine = sum(stride < _QUARTER for stride in strides[:-1])
        self.fuse = nn.ModuleList(nn.Conv2d(2 * c, c, 3, padding=1) for c in channels[self.fine :])
        doubled = tuple(2 * c for c in channels[: self.fine]) + channels[self.fine :]
        skips = {"current": channels, "auxiliary": channels, "difference": doubled}
        self.decoders = nn.ModuleDict({name: LightDecoder(channels, skips[name]) for name in MAPS})
        self.heads = nn.ModuleDict({name: nn.Conv2d(channels[0], 1, 3, padding=1) for name in MAPS})

    def encode(self, current: Tensor, auxiliary: Tensor) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        maps = self.backbone(torch.cat([current, auxiliary]))
        first, second = ([m.chunk(2)[i] for m in maps] for i in range(2))
        coarse = zip(self.fuse, first[self.fine :], second[self.fine :], strict=True)
        both = [fuse(torch.cat([a, b], dim=1)) for fuse, a, b in coarse]
        return first[: self.fine], second[: self.fine], both

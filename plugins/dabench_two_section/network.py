"""What both networks of two sections have in common: a shared encoder, three decoders, three heads.

Maps finer than a quarter of the resolution stay with their section; from a quarter on there is one map for both. The
decoders of the current and of the auxiliary section get their own fine maps as skips, the decoder of the difference
gets both (DA-ISC).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dabench.ops.greys import stretched
from dabench.ops.precision import full_precision
from dabench.ops.prompts import Features, NetworkOutput, Prompts
from dabench.ops.sections import PairOutput

MAPS = ("current", "auxiliary", "difference")


class TwoSectionNetwork(nn.Module, ABC):
    """Subclasses fill in the encoder, the decoders and the heads.

    Attributes:
        sections: images have so many channels, one a section.
        encoder_channels: of `Features.encoder`, finest first.
        decoder_channels: of `Features.decoder`, the current section's.
        stretch: whether each section is stretched to [0, 1] first.
        decoders: by `MAPS`; maps, finest first → (B, decoder_channels, h, w).
        heads: by `MAPS`; the decoder's map → one logit.
    """

    sections = 2
    stretch = False
    encoder_channels: tuple[int, ...]
    decoder_channels: int
    decoders: nn.ModuleDict
    heads: nn.ModuleDict

    @abstractmethod
    def encode(self, current: Tensor, auxiliary: Tensor) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Two sections (B, 1, H, W) → fine maps of each, and maps of both from a quarter of the resolution on."""

    def forward(
        self,
        images: Tensor,
        prompts: Prompts | None = None,
        with_density: bool = False,
        with_features: bool = False,
        with_pair: bool = False,
    ) -> NetworkOutput:
        """Segments the first section of pairs.

        Args:
            images: (B, 2, H, W) float in [0, 1].
            prompts: ignored.
            with_density: ignored, there is no density.
            with_features: also hand out the current section's maps.
            with_pair: also segment the second section and the difference.

        Returns:
            `PairOutput`.
        """
        del prompts, with_density
        images = stretched(images) if self.stretch else images
        current, auxiliary, both = self.encode(images[:, :1], images[:, 1:])
        size = (images.shape[-2], images.shape[-1])
        maps = self.decoders["current"]([*current, *both])
        logits = self._logits("current", maps, size)
        features = Features(maps, [*current, *both]) if with_features else None
        if not with_pair:
            return PairOutput(logits, features=features)
        pairs = [torch.cat(pair, dim=1) for pair in zip(current, auxiliary, strict=True)]
        second = self._logits("auxiliary", self.decoders["auxiliary"]([*auxiliary, *both]), size)
        difference = self._logits("difference", self.decoders["difference"]([*pairs, *both]), size)
        return PairOutput(logits, features=features, auxiliary=second, difference=difference)

    def _logits(self, name: str, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, 1, H, W) float32."""
        logits = cast(Tensor, self.heads[name](maps))
        with full_precision(logits):
            return F.interpolate(logits.float(), size=size, mode="bilinear", align_corners=False)


def convolution(enter: int, leave: int) -> nn.Sequential:
    """3x3 convolution, InstanceNorm with scale and shift, ReLU."""
    return nn.Sequential(
        nn.Conv2d(enter, leave, 3, padding=1), nn.InstanceNorm2d(leave, affine=True), nn.ReLU(inplace=True)
    )

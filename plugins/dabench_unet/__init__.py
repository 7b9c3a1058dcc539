"""U-Net with GroupNorm: the published network of DAMT-Net.

Five levels of two 3x3 convolutions, 64 to 1024 channels, each followed by a GroupNorm of 32 groups without affine
parameters and a ReLU; upwards a 1x1 convolution halves the channels, the map is enlarged bilinearly and joined to the
skip (Ronneberger et al. 2015; widths and norm of Peng et al. 2020).

Deviations: see docs/methods/unet.md.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from dabench.ops.greys import stretched
from dabench.ops.norms import GroupNorm
from dabench.ops.prompts import Features, NetworkOutput, Prompts, binary_logits
from dabench.plugin import Component, Register, Settings, hookimpl

_LEVELS = 5


class UNetSettings(Settings):
    """Width and normalisation."""

    width: int = Field(64, ge=2, description="Channels of the finest level; each deeper one has twice as many (64).")
    groups: int = Field(32, ge=1, description="Groups of the GroupNorm without affine parameters (paper: 32).")

    stretch: bool = Field(
        False,
        description="Stretch every crop from its minimum, 0, to its maximum, 1, instead of standardising it (release).",
    )

    @model_validator(mode="after")
    def _divisible(self) -> UNetSettings:
        if self.width % self.groups:
            raise ValueError(f"width {self.width} is not divisible by {self.groups} groups")
        return self


class DoubleConvolution(nn.Sequential):
    """Two 3x3 convolutions, each with GroupNorm (no affine parameters) and ReLU; the map keeps its size."""

    def __init__(self, enter: int, leave: int, groups: int) -> None:
        """``leave`` is divisible by ``groups``."""
        layers: list[nn.Module] = []
        for channels in (enter, leave):
            layers += [
                nn.Conv2d(channels, leave, 3, padding=1),
                GroupNorm(groups, leave, affine=False),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


class UNet(nn.Module):
    """Its own encoder; two logits and a softmax, whose second channel is the foreground."""

    def __init__(self, width: int = 64, groups: int = 32, *, stretch: bool = False) -> None:
        """28,941,698 parameters at the published width."""
        super().__init__()
        self.stretch = stretch
        self.encoder_channels = tuple(width * 2**level for level in range(_LEVELS))
        self.decoder_channels = width
        enter = (1, *self.encoder_channels[:-1])
        pairs = list(zip(enter, self.encoder_channels, strict=True))
        self.down = nn.ModuleList(DoubleConvolution(a, b, groups) for a, b in pairs)
        # Halved before it is enlarged: a 1x1 convolution and bilinear resizing commute, and this order is cheaper.
        self.halve = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in reversed(pairs[1:]))
        self.up = nn.ModuleList(DoubleConvolution(b, a, groups) for a, b in reversed(pairs[1:]))
        self.head = nn.Conv2d(width, 2, 1)

    def forward(
        self,
        images: Tensor,
        prompts: Prompts | None = None,
        with_density: bool = False,
        with_features: bool = False,
    ) -> NetworkOutput:
        """Segments ``(B, 1, H, W)`` in [0, 1], H and W at least 16; prompts are ignored, there is no density."""
        del prompts, with_density
        encoder = self._encode(images)
        maps = encoder[-1]
        for halve, join, skip in zip(self.halve, self.up, reversed(encoder[:-1]), strict=True):
            larger = F.interpolate(halve(maps), size=skip.shape[-2:], mode="bilinear", align_corners=False)
            maps = join(torch.cat([skip, larger], dim=1))
        logits = binary_logits(self.head(maps))
        return NetworkOutput(logits, features=Features(maps, encoder) if with_features else None)

    def _encode(self, images: Tensor) -> list[Tensor]:
        """Maps at strides 1, 2, 4, 8 and 16."""
        # Domains arrive with mean 0.5 and standard deviation 1/6.
        maps, encoder = stretched(images) if self.stretch else (images - 0.5) * 6, []
        for level, block in enumerate(self.down):
            maps = block(F.max_pool2d(maps, 2) if level else maps)
            encoder.append(maps)
        return encoder


def _make(settings: UNetSettings, backbone: nn.Module | None) -> UNet:
    """The network is its own encoder."""
    del backbone
    return UNet(settings.width, settings.groups, stretch=settings.stretch)


@hookimpl
def register_networks(register: Register) -> None:
    """Register ``unet``."""
    register(
        Component(
            name="unet",
            factory=_make,
            config=UNetSettings,
            summary="U-Net 64-1024 with GroupNorm, the published network of DAMT-Net (its own encoder).",
            paper="Ronneberger et al., U-Net, MICCAI 2015; Peng et al., DAMT-Net, 2020",
            licence="Apache-2.0, own implementation",
            presets={"tiny": {"width": 16, "groups": 8}, "paper": {"stretch": True}},
        )
    )

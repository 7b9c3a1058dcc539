"""Residual symmetric U-Net in two dimensions: the published network of UALR (Wu et al., MICCAI 2021).

Five levels of 16, 32, 48, 64 and 80 channels without normalisation. A block has three 3x3 convolutions and ELUs; the
second and third form a residual around the first's output. Downwards maximum pooling, then dropout of whole feature
maps; upwards bilinear, a 1x1 convolution, the skip added, ELU. Two logits and a softmax (after Lee et al. 2017).
Weights that the authors released load as they are: `_RELEASED` translates their names.

Deviations: see docs/methods/residual-unet.md.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from dabench.ops.prompts import Features, NetworkOutput, Prompts, binary_logits
from dabench.plugin import Component, Register, Settings, WeightsError, hookimpl, read_weights

WIDTHS = (16, 32, 48, 64, 80)
#: Names in the released files → names here. The decoder counts from the finest level there, from the deepest here.
_RELEASED = (
    (r"^(embed_in|embed_out)\.conv\.conv\.", lambda m: f"{m[1]}."),
    (r"^convmod(\d)\.conv(\d)\.conv\.", lambda m: f"down.{m[1]}.conv{m[2]}."),
    (r"^upsample(\d)_o\.conv\.conv\.", lambda m: f"narrow.{3 - int(m[1])}."),
    (r"^dconvmod(\d)_o\.conv(\d)\.conv\.", lambda m: f"up.{3 - int(m[1])}.conv{m[2]}."),
)


class ResidualUNetSettings(Settings):
    """Dropout, and weights to begin with."""

    dropout: float = Field(
        0.5, ge=0, lt=1, description="Share of feature maps dropped after each pooling (paper: 0.5)."
    )
    always: bool = Field(
        False, description="Drop in evaluation too, so that no two predictions are equal (release: yes)."
    )
    pretrained: str = Field("none", description="Name of added weights to start from; none: from scratch.")


class ResidualBlock(nn.Module):
    """y = ELU(conv1 x); then ELU(y + conv3 ELU(conv2 y)). The map keeps its size."""

    def __init__(self, enter: int, leave: int) -> None:
        """Channels before and after."""
        super().__init__()
        self.conv1 = nn.Conv2d(enter, leave, 3, padding=1)
        self.conv2 = nn.Conv2d(leave, leave, 3, padding=1)
        self.conv3 = nn.Conv2d(leave, leave, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C', H, W)."""
        first = F.elu(self.conv1(maps))
        return F.elu(first + self.conv3(F.elu(self.conv2(first))))


class MapDropout(nn.Dropout2d):
    """Dropout of whole feature maps while training, and in evaluation where ``always`` is set."""

    def __init__(self, rate: float, always: bool) -> None:
        """``rate`` in [0, 1)."""
        super().__init__(rate)
        self.always = always

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) → the same shape."""
        return F.dropout2d(maps, self.p, self.training or self.always)


class ResidualUNet(nn.Module):
    """Its own encoder; the softmax's second channel is the foreground."""

    encoder_channels = WIDTHS
    decoder_channels = WIDTHS[0]

    def __init__(self, dropout: float = 0.5, always: bool = False) -> None:
        """567,314 parameters."""
        super().__init__()
        self.embed_in = nn.Conv2d(1, WIDTHS[0], 3, padding=1)
        self.down = nn.ModuleList(ResidualBlock(a, b) for a, b in zip((WIDTHS[0], *WIDTHS[:-1]), WIDTHS, strict=True))
        self.drop = MapDropout(dropout, always)
        pairs = list(zip(WIDTHS[:0:-1], WIDTHS[-2::-1], strict=True))
        self.narrow = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in pairs)
        self.up = nn.ModuleList(ResidualBlock(b, b) for _, b in pairs)
        self.embed_out = nn.Conv2d(WIDTHS[0], 2, 3, padding=1)
        self.register_load_state_dict_pre_hook(_translate)  # type: ignore[no-untyped-call]

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
        for narrow, block, skip in zip(self.narrow, self.up, reversed(encoder[:-1]), strict=True):
            larger = F.interpolate(maps, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            maps = block(F.elu(narrow(larger) + skip))
        logits = binary_logits(self.embed_out(maps))
        return NetworkOutput(logits, features=Features(maps, encoder) if with_features else None)

    def _encode(self, images: Tensor) -> list[Tensor]:
        """Maps of all levels, the finest first."""
        maps = F.elu(self.embed_in(images))
        encoder = [self.down[0](maps)]
        for block in self.down[1:]:
            encoder.append(block(self.drop(F.max_pool2d(encoder[-1], 2))))
        return encoder


def _translate(network: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Rename what comes from the authors' files; names of our own stay as they are."""
    del network
    for key in [key for key in state if key.startswith(prefix)]:
        name = key.removeprefix(prefix).removeprefix("module.")
        for pattern, replacement in _RELEASED:
            name = re.sub(pattern, replacement, name)
        state[prefix + name] = state.pop(key)


def _make(settings: ResidualUNetSettings, backbone: nn.Module | None, weights: Path | None = None) -> ResidualUNet:
    """The network is its own encoder. Raises WeightsError for weights that are not there or do not fit."""
    del backbone
    network = ResidualUNet(settings.dropout, settings.always)
    if settings.pretrained == "none":
        return network
    if weights is None:
        raise WeightsError(
            f"residual-unet: no weights {settings.pretrained!r} were added.",
            f"Add them: dabench weights add {settings.pretrained} FILE",
        )
    try:
        network.load_state_dict(read_weights(weights))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"{weights.name}: not weights of residual-unet: {reason}") from None
    return network


@hookimpl
def register_networks(register: Register) -> None:
    """Register ``residual-unet``."""
    register(
        Component(
            name="residual-unet",
            factory=_make,
            config=ResidualUNetSettings,
            summary="Residual U-Net with ELU, additive skips and dropout, the published network of UALR (own encoder).",
            paper="Wu et al., UALR, MICCAI 2021; Lee et al., Superhuman accuracy on the SNEMI3D challenge, 2017",
            licence="Apache-2.0, own implementation (the release has no licence)",
        )
    )

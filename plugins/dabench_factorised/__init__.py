"""The network of WDA-Net and IPL: a light encoder-decoder of factorised convolutions with two heads.

One head segments, the other detects centres. Registered as ``factorised`` (WDA-Net: two blocks in the detection head)
and ``factorised-deep`` (IPL: four).

Space-to-depth halves the image, so every convolution works at half resolution or below. A block fuses six branches of
factorised (1x3, then 3x1) convolutions with selective-kernel attention; InstanceNorm has no parameters.

Feature maps (``features.encoder``), for a contrast or an adversary:

    index   channels   side    what
    0       72         1/2     encoder
    1       144        1/4     encoder
    2       288        1/8     encoder
    3       288        1/8     decoder, after its block: **the map that IPL's contrast branch reads**
    4       576        1/16    encoder, the deepest

IPL's branch takes 288 channels to 144 and 128 and works at quarter resolution: enlarge map 3 twice first. The branch
belongs to IPL's stage, not to this network. ``features.decoder`` is the decoder's last map, 72 channels at 1/2.

The published counts, and how far this layout is from them: docs/methods/factorised.md.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from pydantic import Field
from torch import nn

from dabench.plugin import Component, Register, Settings, hookimpl
from dabench_factorised.network import FactorisedNetwork


class FactorisedSettings(Settings):
    """Sizes of the network."""

    widths: tuple[int, int, int, int] = Field(
        (72, 144, 288, 576), description="Channels at strides 2, 4, 8 and 16; each twice the one before (release: 72)."
    )
    stretch: bool = Field(
        False, description="Stretch every crop from its minimum, 0, to its maximum, 1 (release: yes)."
    )
    heatmap_scale: float = Field(
        1.0, gt=0, description="Factor on the detection head's raw output (release: 0-255 maps, so 1/255 here)."
    )


def make_factorised(settings: FactorisedSettings, backbone: nn.Module | None, blocks: int) -> FactorisedNetwork:
    """The network with so many blocks in its detection head; it is its own encoder."""
    del backbone
    return FactorisedNetwork(settings.widths, blocks, settings.heatmap_scale, stretch=settings.stretch)


_PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {"widths": (12, 24, 48, 96)},
    "small": {"widths": (24, 48, 96, 192)},
    "paper": {"stretch": True, "heatmap_scale": 1 / 255},
}


@hookimpl
def register_networks(register: Register) -> None:
    """Register ``factorised`` and ``factorised-deep``."""
    register(
        Component(
            "factorised",
            partial(make_factorised, blocks=2),
            FactorisedSettings,
            "Factorised convolutions with selective kernels, WDA-Net's network (its own encoder).",
            paper="Qiu et al., WDA-Net, BIBM 2022",
            licence="Apache-2.0, own implementation (layout of the blocks inferred)",
            presets=_PRESETS,
        )
    )
    register(
        Component(
            "factorised-deep",
            partial(make_factorised, blocks=4),
            FactorisedSettings,
            "WDA-Net's network with four blocks in the detection head, IPL's (its own encoder).",
            paper="Xiong et al., instance-aware pseudo-labels and class-focused contrast; network of WDA-Net",
            licence="Apache-2.0, own implementation (layout of the blocks inferred)",
            presets=_PRESETS,
        )
    )

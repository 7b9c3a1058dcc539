"""First-party image encoders: ``conv-tiny`` and ``conv-small`` from scratch, ``vit-s8-dino`` through timm."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from torch import nn

from dabench.plugin import Component, PublishedWeights, Register, Settings, hookimpl
from dabench_backbones.conv import ConvEncoder


class ConvSettings(Settings):
    """A residual convolutional encoder, trained from scratch."""

    channels: tuple[int, int, int] = Field((24, 48, 96), description="Channels at strides 2, 4 and 8.")
    blocks: tuple[int, int, int] = Field((1, 1, 2), description="Residual blocks at each stride.")
    norm: Literal["batch", "group"] = Field("batch", description="Normalisation; batch learns faster from scratch.")


class TinySettings(ConvSettings):
    """The same at the widths of the preset ``tiny``."""

    channels: tuple[int, int, int] = Field((16, 32, 64), description="Channels at strides 2, 4 and 8.")
    blocks: tuple[int, int, int] = Field((1, 1, 1), description="Residual blocks at each stride.")


class ViTSettings(Settings):
    """ViT-S/8; patch tokens only."""

    pretrained: str = Field(
        "dino-vits8",
        description="Name of added weights (paper: DINO); requested from the timm hub if not added; none: from "
        "scratch.",
    )
    grid_offset: float = Field(
        0.0, ge=0, description="Added to the grid size when the position table is resized (release, after DINO: 0.1)."
    )


def make_conv(config: ConvSettings) -> ConvEncoder:
    """A convolutional encoder."""
    return ConvEncoder(config.channels, config.blocks, config.norm)


def make_vit(config: ViTSettings, weights: Path | None = None) -> nn.Module:
    """A ViT-S/8 with the weights of a file, of the timm hub, or none."""
    # timm takes a second to import; listings should not wait for it.
    from dabench_backbones.vit import PatchTokenViT, hub_weights

    if config.pretrained == "none":
        return PatchTokenViT(grid_offset=config.grid_offset)
    found = weights if weights is not None else hub_weights(config.pretrained)
    return PatchTokenViT(found, grid_offset=config.grid_offset)


DINO = PublishedWeights(
    name="dino-vits8",
    file="model.safetensors",
    where="timm/vit_small_patch8_224.dino, from https://github.com/facebookresearch/dino",
    trained_on="ImageNet-1k, without its labels",
    licences={"code": "Apache-2.0", "weights": "Apache-2.0", "data": "ImageNet's terms, research"},
    saw=(),
    hub=True,
)


@hookimpl
def register_backbones(register: Register) -> None:
    """Register the encoders."""
    register(
        Component(
            "conv-small",
            make_conv,
            ConvSettings,
            "Residual convolutions at strides 2, 4, 8; 0.3 M parameters, from scratch.",
            licence="Apache-2.0, own implementation",
        )
    )
    register(
        Component(
            "conv-tiny",
            make_conv,
            TinySettings,
            "The same, narrower: for phantoms and tests.",
            licence="Apache-2.0, own implementation",
        )
    )
    register(
        Component(
            "vit-s8-dino",
            make_vit,
            ViTSettings,
            "ViT-S/8 with DINO weights, patch tokens only; 21.7 M parameters.",
            paper="Caron et al., Emerging properties in self-supervised vision transformers, ICCV 2021",
            licence="Apache-2.0 (timm and DINO weights)",
            weights=(DINO,),
            presets={"paper": {"grid_offset": 0.1}},
        )
    )

"""The library's model in any of our sizes, with random weights that can be trained."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from dabench_sam_model.adapters import ChannelSpaceAdapter, hang_beside
from dabench_sam_model.sizes import Size, library_config


def build(size: Size) -> Any:
    """``transformers.SamModel`` of a size, SAM-Med2D's adapters beside its MLPs where it has them."""
    from transformers import SamModel

    model: Any = SamModel(library_config(size))
    if size.adapters:
        for layer in model.vision_encoder.layers:
            hang_beside(layer.mlp, ChannelSpaceAdapter(size.width))
    _start(model, size)
    return model


def _start(model: Any, size: Size) -> None:
    """Where training from scratch begins: positions of scale 1, as SAM had them, and a table that is not zero."""
    with torch.no_grad():
        # The library multiplies them by half the encoder's width, which loading then overwrites.
        matrix = torch.randn(2, size.channels // 2)
        for shared in (model.shared_image_embedding, model.prompt_encoder.shared_embedding):
            shared.positional_embedding.copy_(matrix)
        nn.init.trunc_normal_(model.vision_encoder.pos_embed, std=0.02)

"""Low-rank updates of the encoder's queries and values, by `peft`."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn


class QueryValueUpdates:
    """The updates of every block; the library has queries, keys and values in one product, of which keys stay."""

    def __init__(self, network: nn.Module, rank: int) -> None:
        """Put them into a network; from then on nothing else of it learns. They begin at zero."""
        from peft import LoraConfig, inject_adapter_in_model

        sam = cast(Any, network).sam
        config = LoraConfig(r=rank, lora_alpha=rank, target_modules=r"vision_encoder\.layers\.\d+\.attn\.qkv")
        inject_adapter_in_model(config, sam)
        self._ups = [cast(Tensor, layer.attn.qkv.lora_B["default"].weight) for layer in sam.vision_encoder.layers]

    @torch.no_grad()
    def keep_keys(self) -> None:
        """Undo what an update did to the keys: the middle third of the product's rows."""
        for rows in self._ups:
            queries, keys, values = rows.chunk(3)
            del queries, values
            keys.zero_()

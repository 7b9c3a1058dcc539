"""Med-SA (Wu et al.): SAM with two small adapters in every block of its image encoder, tuned on labelled images.

Written from the paper alone. One adapter follows the attention, a residual bottleneck; one lies beside the MLP and is
scaled down. The rest of the encoder stays as it was; adapters and decoder learn the labelled source, prompt by prompt
and without a prompt. Up-projections begin at zero, so that training begins with the model that it starts from.

Deviations: see docs/methods/med-sa.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, cast

from pydantic import Field
from torch import Tensor, nn

from dabench.ops.augmentation import ViewOptions
from dabench.ops.prompted import InstanceNetwork, PromptedWeights, prompted_terms
from dabench.ops.views import view_source
from dabench.plugin import (
    Batch,
    Component,
    FineTuning,
    FineTuningSettings,
    NetworkStage,
    Predictor,
    Register,
    hookimpl,
)


class MedSASettings(FineTuningSettings):
    """Adapters, and how they learn."""

    start: str = "source-promptable"
    ratio: float = Field(0.25, gt=0, le=1, description="Width of an adapter, as a share of the block's (release: .25).")
    scale: float = Field(0.5, gt=0, description="Factor on the adapter parallel to the MLP (release: 0.5).")
    prompts: int = Field(6, ge=1, description="Most objects of a crop with a point of their own an update.")
    background: int = Field(
        0, ge=0, description="Points on the background of each crop, whose mask is empty (paper: none)."
    )
    focal: float = Field(1.0, ge=0, description="Weight of a mask's focal loss to a Dice loss of 1 (as SAM).")
    quality: float = Field(1.0, ge=0, description="Weight of the error of the expected IoU (as SAM).")
    whole: float = Field(1.0, ge=0, description="Weight of the segmentation without a prompt.")

    def weights(self) -> PromptedWeights:
        """What is asked of a crop."""
        return PromptedWeights(self.prompts, self.background, self.focal, self.quality, self.whole, self.overlap)


class Adapter(nn.Module):
    """A bottleneck ``(..., D)`` to ``(..., D)`` that answers 0 before it has learnt anything."""

    def __init__(self, width: int, ratio: float, scale: float = 1.0) -> None:
        """Down to ``ratio`` of the width and up again, times ``scale``."""
        super().__init__()
        hidden = max(1, round(width * ratio))
        self.scale = scale
        self.down, self.activate, self.up = nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """What is added."""
        return cast(Tensor, self.scale * self.up(self.activate(self.down(tokens))))


def add_adapters(network: nn.Module, ratio: float, scale: float) -> nn.ModuleList:
    """Hang both adapters into every block of a network's encoder; the list of them all."""
    encoder = cast(Any, network).sam.vision_encoder
    made = []
    for layer in encoder.layers:
        width = layer.layer_norm1.normalized_shape[0]
        layer.attn.med_sa, layer.mlp.med_sa = Adapter(width, ratio), Adapter(width, ratio, scale)
        layer.attn.register_forward_hook(_after_attention)
        layer.mlp.register_forward_hook(_beside_mlp)
        made += [layer.attn.med_sa, layer.mlp.med_sa]
    return nn.ModuleList(made)


def _after_attention(part: Any, arguments: tuple[Any, ...], output: tuple[Tensor, Any]) -> tuple[Tensor, Any]:
    """The attention's answer and what the adapter makes of it; the library hands out its weights beside it."""
    del arguments
    return output[0] + part.med_sa(output[0]), output[1]


def _beside_mlp(part: Any, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """The MLP's answer and the adapter's to the same input."""
    return cast(Tensor, output + part.med_sa(arguments[0]))


class MedSAStage(NetworkStage):
    """Adapters and decoder on the labelled source; the encoder is frozen."""

    settings: MedSASettings

    def __init__(self, settings: MedSASettings, network: nn.Module) -> None:
        """Take a network, which the stage owns, and hang adapters into it."""
        super().__init__(settings, network)
        sam = cast(Any, network).sam
        sam.vision_encoder.requires_grad_(False)
        add_adapters(network, settings.ratio, settings.scale).requires_grad_(True)
        self.view = ViewOptions()

    def parameters(self) -> Iterator[nn.Parameter]:
        return (p for p in super().parameters() if p.requires_grad)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.source is not None
        crops = view_source(batch.source, self.view, batch.generator)
        network = cast(InstanceNetwork, self.student)
        return prompted_terms(network, crops, self.settings.weights(), batch.generator)

    def predictor(self) -> Predictor:
        return cast(Any, self.student).predictor("whole")  # type: ignore[no-any-return]


@hookimpl
def register_methods(register: Register) -> None:
    """Register ``med-sa``."""
    register(
        Component(
            "med-sa",
            partial(FineTuning, name="med-sa", stage=MedSAStage),
            MedSASettings,
            "Adapters in the encoder of a promptable model, and its decoder, tuned on the labelled source.",
            paper="Wu et al., Medical SAM Adapter, Medical Image Analysis 2025 (arXiv 2304.12620)",
            licence="Apache-2.0, own implementation from the paper (the release is GPL-3.0 and was not read)",
            presets={
                "tiny": {"crop": 96, "iterations": 60},
                "small": {},
                "paper": {
                    "start": "sam",
                    "crop": 1024,
                    "batch": 1,
                    "iterations": 20_000,
                    "optimizer": "adam",
                    "lr": 1e-4,
                    "weight_decay": 0.0,
                    "warmup": 0,
                    "clip": 0.0,
                    "focal": 20.0,
                },
            },
            needs={"transformers": "dabench[sam]"},
        )
    )

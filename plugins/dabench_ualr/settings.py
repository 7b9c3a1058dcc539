"""Settings of UALR: the recipe of both models, the labelling, and the paper's values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from dabench.plugin import OptimizerSpec, TrainingSettings


class RecipeSettings(TrainingSettings):
    """How a network learns from labels, of whichever domain."""

    network: str = Field("residual-unet", description="Network of a separate source model.")
    backbone: str = Field("none", description="Encoder of the network; none: it has its own.")
    batch: int = 4
    iterations: int = Field(1000, ge=1, description="Updates of the target model.")
    lr: float = 1e-3
    warmup: int = 50
    power: float = Field(0.9, ge=0, description="Power of the learning rate's decay.")
    dropout: float = Field(0.2, ge=0, lt=1, description="Share of feature maps dropped while training.")
    test_dropout: bool = Field(False, description="Drop at the final prediction too (paper: yes).")

    def optimizer_spec(self) -> OptimizerSpec:
        return replace(super().optimizer_spec(), power=self.power)


class UALRSettings(RecipeSettings):
    """The recipe of both models, the start, and the scheme that labels the target."""

    start: Literal["source-only", "scratch"] = Field(
        "source-only", description="Label with the shared source model, or train one by the same recipe (paper)."
    )
    source_iterations: int = Field(1000, ge=1, description="Updates of a separate source model (paper: 20,000).")
    self_training: str = Field("uncertainty", description="Scheme that labels the target.")
    recalibrate: int = Field(
        60,
        ge=0,
        description="Target batches whose BatchNorm statistics are mixed into the labelling model (0: none).",
    )


PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {"crop": 96, "iterations": 400, "source_iterations": 400, "warmup": 20, "recalibrate": 20},
    "small": {},
    "paper": {
        "start": "scratch",
        "crop": 256,
        "batch": 64,
        "iterations": 10_000,
        "source_iterations": 20_000,
        "optimizer": "adam",
        "weight_decay": 0.0,
        "warmup": 1000,
        "power": 2.0,
        "floor": 0.1,
        "clip": 0.0,
        "overlap": 0.0,
        "foreground": 0.0,
        "dropout": 0.5,
        "test_dropout": True,
        "recalibrate": 0,
    },
}

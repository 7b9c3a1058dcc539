"""Settings of DAMT-Net: ours, and the paper's values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import Field

from dabench.plugin import AdaptationSettings, AdversarialSettings, OptimizerSpec


class DAMTNetSettings(AdversarialSettings, AdaptationSettings):
    """Weights of segmenter, discriminators and reconstruction; what is done to a prediction."""

    start: str = "source-only"
    network: str = "promptable"
    backbone: str = "conv-small"
    momentum: tuple[float, float] = Field((0.9, 0.999), description="Betas of the optimizer.")
    discriminator_floor: float = Field(
        0.0, ge=0, le=1, description="Lowest share of the discriminators' learning rate (paper ends at 0.03)."
    )
    feature_width: int = Field(48, ge=1, description="Channels of the feature discriminator's layers (paper: 48).")
    label_adversary: float = Field(1e-3, ge=0, description="λ of the adversarial loss on labels (paper: 1e-3).")
    feature_adversary: float = Field(1e-3, ge=0, description="λ of the adversarial loss on features (paper: 1e-3).")
    reconstruction: float = Field(5e-4, ge=0, description="λ of the reconstruction (paper: 5e-4).")
    reconstruction_after: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the updates before reconstruction joins (paper: 0; release's notes: > 0).",
    )
    elastic: float = Field(
        0.0, ge=0, le=1, description="Probability of elastic deformation of the source (paper: 0.3)."
    )
    flips: bool = Field(False, description="Predict the mean of four flips (paper: yes).")
    morphology: bool = Field(
        False, description="Apply the method's own post-processing to slices (paper: yes; no other method has one)."
    )
    opening: int = Field(15, ge=1, description="Width of the opening in pixels (paper: 15, at the end 10).")
    smallest: int = Field(
        400, ge=1, description="Size in pixels of the smallest component that is kept (paper: 400, 600)."
    )

    def optimizer_spec(self) -> OptimizerSpec:
        return replace(super().optimizer_spec(), betas=self.momentum)

    def discriminator_spec(self) -> OptimizerSpec:
        return replace(super().discriminator_spec(), floor=self.discriminator_floor)


PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "crop": 96,
        "iterations": 120,
        "recalibrate": 20,
        "discriminator_widths": (16, 32, 64),
        "feature_width": 16,
    },
    "small": {},
    "paper": {
        "start": "scratch",
        "network": "unet",
        "backbone": "none",
        "crop": 512,
        "batch": 1,
        "iterations": 100_000,
        "optimizer": "adam",
        "lr": 5e-5,
        "momentum": (0.9, 0.99),
        "weight_decay": 0.0,
        "warmup": 0,
        "clip": 0.0,
        "floor": 0.18,
        "discriminator_floor": 0.03,
        "discriminator_widths": (64, 128, 256, 512),
        "overlap": 0.0,
        "foreground": 0.0,
        "elastic": 0.3,
        "recalibrate": 0,
        "flips": True,
    },
}

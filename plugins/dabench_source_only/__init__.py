"""Source-only: a network trained on the labelled source and applied to the target as it is: the lower bracket.

It is Model I of Prefer-DAS, Table II ("our source model"): segmentation and centre detection on the source, with a
random number of true centres as prompts, so that the same network works with any number of points at test.
Implements the source terms of Prefer-DAS Eqs. 5-6.

Deviations: (1) presets `tiny` and `small` train a convolutional encoder from scratch and add a soft-Dice term, because
a rare foreground is not found in hundreds of updates by cross-entropy alone; (2) one augmentation list for every
method (the release's for Prefer-DAS).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from pydantic import Field
from torch import nn

from dabench.ops.augmentation import ViewOptions
from dabench.ops.losses import DETECTION_WEIGHT
from dabench.ops.objectives import LabelledWeights, labelled_terms, total
from dabench.ops.views import view_source
from dabench.plugin import (
    Batch,
    Budget,
    Component,
    Components,
    CropSpec,
    Method,
    NetworkPredictor,
    OptimizerSpec,
    OptimizerStep,
    Predictor,
    Register,
    Settings,
    Stage,
    StageSpec,
    TaskInfo,
    hookimpl,
    starting_point,
)


class SourceOnlySettings(Settings):
    """How the labelled domain is learnt."""

    network: str = Field("promptable", description="Segmentation network.")
    backbone: str = Field(
        "conv-small", description="Image encoder (paper: ViT-S/8 DINO); none: the network has its own."
    )
    crop: int = Field(192, ge=16, description="Side of a crop in pixels (paper: 384).")
    batch: int = Field(4, ge=1, description="Crops an update (paper: 2).")
    iterations: int = Field(1000, ge=1, description="Updates (paper: 16,000).")
    lr: float = Field(1e-3, gt=0, description="Learning rate of AdamW (paper: 1e-5).")
    weight_decay: float = Field(0.01, ge=0, description="Weight decay (paper: not stated; AdamW's default).")
    warmup: int = Field(50, ge=0, description="Updates of linear warm-up (paper: none).")
    floor: float = Field(0.0, ge=0, le=1, description="Lowest share of the learning rate (release: 0.1).")
    clip: float = Field(1.0, ge=0, description="Largest gradient norm, 0 = off (paper: none).")
    foreground: float = Field(0.7, ge=0, le=1, description="Share of crops that must hold foreground (release: 0.7).")
    detection: float = Field(10.0, ge=0, description="λ1 on 0-1 maps (paper: 1e-3 on 0-255, that is 65).")
    overlap: float = Field(1.0, ge=0, description="Weight of the soft-Dice term (paper: 0).")
    prompts: bool = Field(True, description="Give a random number of centres as prompts (paper: yes).")
    motion_blur: float = Field(0.0, ge=0, le=1, description="Probability of motion blur (release: for Lucchi).")
    elastic: float = Field(0.0, ge=0, le=1, description="Probability of elastic deformation (Prompt-DAS: 0.3).")


class Supervised(Stage):
    """Learns from dense labels: segmentation, and detection of centres."""

    def __init__(self, settings: SourceOnlySettings, network: nn.Module) -> None:
        """Take a network with the promptable signature."""
        self.settings, self._network = settings, network
        self.view = ViewOptions(elastic=settings.elastic, motion_blur=settings.motion_blur)

    def modules(self) -> Mapping[str, nn.Module]:
        return {"network": self._network}

    def optimizer_steps(self) -> Sequence[OptimizerStep]:
        s = self.settings
        spec = OptimizerSpec(s.lr, weight_decay=s.weight_decay, warmup=s.warmup, floor=s.floor, clip=s.clip)
        return [OptimizerStep("network", self._network.parameters, spec)]

    def step(self, batch: Batch, optimizer: str) -> dict[str, torch.Tensor]:
        del optimizer
        assert batch.source is not None
        s = self.settings
        crops = view_source(batch.source, self.view, batch.generator)
        weights = LabelledWeights(s.detection, s.overlap, s.prompts)
        terms = labelled_terms(self._network, crops, weights, batch.generator)
        return {"loss": total(terms), **terms}

    def predictor(self) -> Predictor:
        return NetworkPredictor(self._network)


class SourceOnly(Method):
    """One stage, ``supervised``, on the source."""

    def __init__(self, settings: SourceOnlySettings, components: Components) -> None:
        """Keep the settings; nothing is built before a stage is."""
        self.settings, self.components = settings, components

    def stages(self, task: TaskInfo, budget: Budget) -> list[StageSpec]:
        s = self.settings
        start = starting_point(self.components, task, budget, "scratch", s.network, s.backbone)
        return [
            StageSpec(
                name="supervised",
                method="source-only",
                config=s,
                components=start.components,
                crops=CropSpec(s.crop, source=s.batch, foreground=s.foreground),
                iterations=s.iterations,
                build=lambda parent: Supervised(s, start.network(parent)),
                title="source-only",
            )
        ]


@hookimpl
def register_methods(register: Register) -> None:
    """Register ``source-only``."""
    register(
        Component(
            name="source-only",
            bracket="lower",
            factory=SourceOnly,
            config=SourceOnlySettings,
            summary="Train on the labelled source, apply to the target as is (lower bracket of every table).",
            paper="Prefer-DAS (2026), Table II, Model I",
            licence="Apache-2.0, own implementation",
            presets={
                "tiny": {"backbone": "conv-tiny", "crop": 96, "iterations": 400, "batch": 4, "warmup": 20},
                "small": {},
                "paper": {
                    "backbone": "vit-s8-dino",
                    "crop": 384,
                    "iterations": 16_000,
                    "batch": 2,
                    "lr": 1e-5,
                    "warmup": 0,
                    "floor": 0.1,
                    "clip": 0.0,
                    "detection": DETECTION_WEIGHT,
                    "overlap": 0.0,
                },
            },
        )
    )

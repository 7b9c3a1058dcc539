"""Source-only: a network trained on the labelled source and applied to the target as it is: the lower bracket.

It is Model I of Prefer-DAS, Table II ("our source model"): segmentation and centre detection on the source, with a
random number of true centres as prompts, so that the same network works with any number of points at test.
Implements the source terms of Prefer-DAS Eqs. 5-6.

Deviations: (1) presets `tiny` and `small` train a convolutional encoder from scratch and add a soft-Dice term, because
a rare foreground is not found in hundreds of updates by cross-entropy alone; (2) one augmentation list for every
method (the release's for Prefer-DAS).
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor, nn

from dabench.ops.augmentation import ViewOptions
from dabench.ops.losses import DETECTION_WEIGHT
from dabench.ops.objectives import LabelledWeights, labelled_terms
from dabench.ops.views import view_source
from dabench.plugin import (
    Batch,
    Budget,
    Component,
    Components,
    Method,
    NetworkStage,
    Register,
    StageSpec,
    TaskInfo,
    TrainingSettings,
    hookimpl,
    starting_point,
)


class SourceOnlySettings(TrainingSettings):
    """How the labelled domain is learnt."""

    network: str = Field("promptable", description="Segmentation network.")
    backbone: str = Field("conv-small", description="Image encoder; none: the network has its own.")
    batch: int = 4
    iterations: int = 1000
    lr: float = 1e-3
    warmup: int = 50
    detection: float = Field(10.0, ge=0, description="λ1 on 0-1 maps (paper: 1e-3 on 0-255, that is 65).")
    prompts: bool = Field(True, description="Give a random number of centres as prompts (paper: yes).")
    motion_blur: float = Field(0.0, ge=0, le=1, description="Probability of motion blur (release: for Lucchi).")
    elastic: float = Field(0.0, ge=0, le=1, description="Probability of elastic deformation (Prompt-DAS: 0.3).")


class Supervised(NetworkStage):
    """Learns from dense labels: segmentation, and detection of centres."""

    settings: SourceOnlySettings

    def __init__(self, settings: SourceOnlySettings, network: nn.Module) -> None:
        """Take a network with the promptable signature."""
        super().__init__(settings, network)
        self.view = ViewOptions(elastic=settings.elastic, motion_blur=settings.motion_blur)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.source is not None
        s = self.settings
        crops = view_source(batch.source, self.view, batch.generator)
        return labelled_terms(self.student, crops, LabelledWeights(s.detection, s.overlap, s.prompts), batch.generator)


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
                crops=s.crops(),
                iterations=s.iterations,
                build=lambda parent: Supervised(s, start.network(parent)),
                title="source-only",
            )
        ]


_PAPER = {
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
}


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
                "paper": _PAPER,
            },
        )
    )

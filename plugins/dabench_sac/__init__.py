"""SAC (Araslanov & Roth, CVPR 2021): self-supervised augmentation consistency.

First the running statistics of BatchNorm are made the target's (adaptive batch normalisation). Then a momentum teacher
labels target crops from several aligned looks, with a threshold and a weight for each class, and the student learns
these labels on a jittered view of the crop beside the source's (Eqs. 1-6). One round, no style transfer, no adversary.

The labels are those of the scheme ``class-balanced``. Deviations: see docs/methods/sac.md.
"""

from __future__ import annotations

from functools import partial

import torch
from pydantic import Field
from torch import Tensor

from dabench.ops.augmentation import STRONG, WEAK
from dabench.ops.losses import pixel_cross_entropy
from dabench.ops.views import draw_views, view_images, view_labels, view_maps
from dabench.plugin import (
    Adaptation,
    AdaptationSettings,
    AdaptationStage,
    Batch,
    Budget,
    Component,
    Register,
    SchemeSettings,
    SelfTrainingStage,
    StageSpec,
    StartingPoint,
    TaskInfo,
    TrainingData,
    copied,
    hookimpl,
)


class SACSettings(SchemeSettings, AdaptationSettings):
    """Baseline and self-training."""

    start: str = "source-only"
    network: str = "promptable"
    backbone: str = "conv-small"
    self_training: str = "class-balanced"
    baseline: int = Field(400, ge=1, description="Updates of SAC's own baseline, if no other method is the start.")
    target_weight: float = Field(5.0, ge=0, description="Weight of the target's loss (release: 5).")


class BaselineStage(AdaptationStage):
    """Source supervision; target crops pass through only to set BatchNorm's running statistics (section 4.1)."""

    def prepare(self, data: TrainingData) -> None:
        """The batches' own target crops renew the statistics."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        _, crops = batch.both()
        with torch.no_grad():
            self.student(crops.images)
        return self.source_losses(batch, WEAK)


class SACStage(SelfTrainingStage):
    """The student learns from source labels and from the teacher's labels of jittered target crops."""

    settings: SACSettings
    target_share = 1.0  # adaptive batch normalisation

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Eq. 6 on a jittered view; its mean is over all pixels, those without a label too (release)."""
        _, crops = batch.both()
        pseudo = self.pseudo_targets(crops, batch.generator)
        terms = self.source_losses(batch, WEAK)
        views = draw_views(crops.images, STRONG, batch.generator)
        output = self.student(view_images(views, crops.images))
        losses = pixel_cross_entropy(output.logits, view_labels(views, pseudo.labels))
        terms["target"] = self.settings.target_weight * (losses * view_maps(views, pseudo.weights)).mean()
        return terms


class SAC(Adaptation):
    """The shared source model or SAC's own baseline, then ``sac``."""

    settings: SACSettings

    def start(self, task: TaskInfo, budget: Budget) -> StartingPoint:
        found, s = super().start(task, budget), self.settings
        if found.before:
            return found
        baseline = StageSpec(
            name="sac-baseline",
            method="sac",
            config=s,
            components=found.components,
            crops=s.crops(),
            iterations=s.baseline,
            build=lambda parent: BaselineStage(s, found.network(parent)),
        )
        return StartingPoint([baseline], found.components, copied)


_PAPER = {
    "start": "scratch",
    "network": "deeplab-v2",
    "backbone": "none",
    "crop": 512,  # 512 x 1024 street scenes
    "batch": 8,  # of the source; 2 of the target
    "iterations": 20_000,  # not stated, nor the baseline's
    "baseline": 20_000,
    "optimizer": "sgd",
    "lr": 2.5e-4,
    "weight_decay": 5e-4,
    "warmup": 0,
    "clip": 0.0,
    "overlap": 0.0,
    "foreground": 0.0,  # not known
    "recalibrate": 0,
}


@hookimpl
def register_methods(register: Register) -> None:
    """Register ``sac``."""
    register(
        Component(
            name="sac",
            factory=partial(SAC, name="sac", stage=SACStage),
            config=SACSettings,
            summary="Target BatchNorm, then a momentum teacher with class-balanced thresholds and weights.",
            paper="Araslanov & Roth, Self-supervised Augmentation Consistency, CVPR 2021",
            licence="Apache-2.0, own implementation",
            presets={
                "tiny": {"crop": 96, "iterations": 120, "baseline": 120, "recalibrate": 20},
                "small": {},
                "paper": _PAPER,
            },
        )
    )

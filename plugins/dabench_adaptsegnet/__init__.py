"""AdaptSegNet (Tsai et al., CVPR 2018): adversaries on the segmentation map, at two levels of the network.

A discriminator learns to tell source from target by the segmentation; the segmenter learns to mislead it on the
target, since segmentations have the same structure in both domains. A second classifier on the encoder's last map but
one, with a discriminator of its own, adapts what lies deep (multi-level adaptation, Eqs. 1-5 there).

Deviations: see docs/methods/adaptsegnet.md.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from dabench.ops.adversarial import PatchDiscriminator, two_classes
from dabench.ops.augmentation import WEAK
from dabench.ops.batchnorm import frozen_statistics
from dabench.ops.objectives import supervised_terms
from dabench.ops.prompts import NetworkOutput
from dabench.ops.views import view_source
from dabench.plugin import (
    Adaptation,
    AdaptationSettings,
    AdversarialSettings,
    AdversarialStage,
    Batch,
    Component,
    OptimizerSpec,
    Register,
    hookimpl,
)


class AdaptSegNetSettings(AdversarialSettings, AdaptationSettings):
    """Weights of segmenter and discriminators."""

    start: str = "source-only"
    network: str = "promptable"
    backbone: str = "conv-small"
    span: int = Field(0, ge=0, description="Updates after which learning rates have fallen to 0; 0: the last update.")
    adversarial: float = Field(1e-3, ge=0, description="λ_adv of the final map (paper: 1e-3).")
    adversarial_deep: float = Field(2e-4, ge=0, description="λ_adv of the deep map (paper: 2e-4).")
    deep: float = Field(0.1, ge=0, description="λ_seg of the deep classifier (paper: 0.1).")

    def optimizer_spec(self) -> OptimizerSpec:
        return replace(super().optimizer_spec(), span=self.span)

    def discriminator_spec(self) -> OptimizerSpec:
        return replace(super().discriminator_spec(), span=self.span)


class DeepClassifier(nn.Module):
    """Sum of four dilated 3x3 convolutions: DeepLab-v2's classifier, here of one class."""

    def __init__(self, channels: int, rates: tuple[int, ...] = (6, 12, 18, 24)) -> None:
        """``channels`` of the encoder's map that it reads."""
        super().__init__()
        branches = [nn.Conv2d(channels, 1, 3, padding=r, dilation=r) for r in rates]
        for branch in branches:
            nn.init.normal_(branch.weight, std=0.01)  # as in the release, and as DeepLab's own classifier here
        self.branches = nn.ModuleList(branches)

    def forward(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, C, h, w) → logits (B, 1, H, W) float32."""
        logits = torch.stack([branch(maps) for branch in self.branches]).sum(dim=0)
        return F.interpolate(logits.float(), size=size, mode="bilinear", align_corners=False)


class AdaptSegNetStage(AdversarialStage):
    """Supervision of the source and discriminators of both domains, on the final and on a deep map."""

    settings: AdaptSegNetSettings

    def __init__(self, settings: AdaptSegNetSettings, network: nn.Module) -> None:
        """Take a network with feature maps; the stage owns it."""
        channels = cast(Any, network).encoder_channels
        classifier = DeepClassifier(channels[-2] if len(channels) > 1 else channels[-1])
        maps = {name: PatchDiscriminator(2, settings.discriminator_widths) for name in ("final", "deep")}
        super().__init__(settings, network, maps, classifier=classifier)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Eqs. 1, 3 and 5."""
        s, (labelled, unlabelled) = self.settings, batch.both()
        source = view_source(labelled, WEAK, batch.generator)
        with frozen_statistics(self.student):
            final, deep = self._both(source.images)
        seen_final, seen_deep = self._both(unlabelled.images)
        terms = supervised_terms(final, source.labels, s.overlap)
        of_deep = supervised_terms(deep, source.labels, s.overlap)
        terms |= {f"deep_{name}": s.deep * term for name, term in of_deep.items()}
        shown = {
            "final": (two_classes(final.logits), two_classes(seen_final.logits)),
            "deep": (two_classes(deep.logits), two_classes(seen_deep.logits)),
        }
        return terms | self.adversarial_losses(shown, {"final": s.adversarial, "deep": s.adversarial_deep})

    def _both(self, images: Tensor) -> tuple[NetworkOutput, NetworkOutput]:
        """What the network answers, and the deep classifier."""
        output = self.student(images, with_features=True)
        encoder = output.features.encoder
        deep = self.trained["classifier"](encoder[-2] if len(encoder) > 1 else encoder[-1], images.shape[-2:])
        return output, NetworkOutput(deep)


_PAPER = {
    "start": "scratch",
    "network": "deeplab-v2",
    "backbone": "none",
    "crop": 512,
    "batch": 1,
    "iterations": 150_000,
    "span": 250_000,
    "optimizer": "sgd",
    "lr": 2.5e-4,
    "weight_decay": 5e-4,
    "warmup": 0,
    "clip": 0.0,
    "discriminator_widths": (64, 128, 256, 512),
    "overlap": 0.0,
    "foreground": 0.0,
    "recalibrate": 0,
}


@hookimpl
def register_methods(register: Register) -> None:
    """Register ``adaptsegnet``."""
    register(
        Component(
            name="adaptsegnet",
            factory=partial(Adaptation, name="adaptsegnet", stage=AdaptSegNetStage),
            config=AdaptSegNetSettings,
            summary="Adversaries on the segmentation map at two levels of the network.",
            paper="Tsai et al., Learning to Adapt Structured Output Space for Semantic Segmentation, CVPR 2018",
            licence="Apache-2.0, own implementation",
            presets={
                "tiny": {"crop": 96, "iterations": 120, "recalibrate": 20, "discriminator_widths": (16, 32, 64)},
                "small": {},
                "paper": _PAPER,
            },
        )
    )

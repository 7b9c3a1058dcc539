"""DA-ISC (Huang et al., MICCAI 2022): what changes from one section to the next is the same in both domains.

A network segments two sections of a pair and their difference. On the target, where nothing is labelled, the difference
of the segmentations and the segmentation of the difference label each other; discriminators on the maps make target
predictions look like source predictions.

Deviations: see docs/methods/da-isc.md.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from pydantic import Field
from torch import Tensor, nn

from dabench.ops.adversarial import PatchDiscriminator, two_classes
from dabench.ops.augmentation import STRONG, WEAK
from dabench.ops.batchnorm import frozen_statistics
from dabench.ops.sections import PairOutput, pair_terms, section_consistency, sigmoid_ramp, stack_sections, view_pairs
from dabench.ops.views import view_source
from dabench.plugin import (
    Adaptation,
    AdversarialSettings,
    AdversarialStage,
    Batch,
    Component,
    OptimizerSpec,
    PairsSettings,
    Register,
    hookimpl,
)


class DAISCSettings(AdversarialSettings, PairsSettings):
    """Consistency and discriminators. Where the two published configurations differ, both values are said."""

    start: str = "source-pairs"
    network: str = "two-section"
    backbone: str = "conv-small"
    batch: int = 1
    adversarial: float = Field(
        1e-3, ge=0, description="Weight of the adversarial loss (paper: 1e-3 human to rat, 1e-2 rat to human)."
    )
    consistency: float = Field(
        0.1, ge=0, description="Weight of the cross pseudo-labels of a target pair (paper: 0.1)."
    )
    ramp: int = Field(
        200,
        ge=0,
        description="Updates until these terms have full weight (paper: 50,000 human to rat; 0, immediately, rat to "
        "human).",
    )

    def optimizer_spec(self) -> OptimizerSpec:
        return replace(super().optimizer_spec(), betas=(0.9, 0.99))


class DAISCStage(AdversarialStage):
    """Supervision of source pairs; consistency of target pairs; discriminators of both domains' maps."""

    settings: DAISCSettings

    def __init__(self, settings: DAISCSettings, network: nn.Module) -> None:
        """Take a network of two sections; the stage owns it."""
        # Of segmentations (within a section) and of differences (from one section to the next).
        maps = {name: PatchDiscriminator(2, settings.discriminator_widths) for name in ("section", "difference")}
        super().__init__(settings, network, maps)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        s, (labelled, unlabelled) = self.settings, batch.both()
        crops = view_source(labelled, STRONG, batch.generator)
        with frozen_statistics(self.student):
            source: PairOutput = self.student(stack_sections(crops), with_pair=True)
        target: PairOutput = self.student(view_pairs(unlabelled, WEAK, batch.generator), with_pair=True)
        terms = pair_terms(source, crops, s.overlap)
        terms["consistency"] = s.consistency * sigmoid_ramp(batch.step, s.ramp) * section_consistency(target)
        shown = {
            "section": (sections(source), sections(target)),
            "difference": (difference(source), difference(target)),
        }
        return terms | self.adversarial_losses(shown, dict.fromkeys(shown, s.adversarial))


def sections(output: PairOutput) -> Tensor:
    """Both segmentations of a pair as two classes, for the discriminator: ``(2 B, 2, H, W)`` in [0, 1]."""
    current, auxiliary, _ = output.maps()
    return two_classes(torch.cat([current, auxiliary]))


def difference(output: PairOutput) -> Tensor:
    """The difference of a pair as two classes, for the discriminator: ``(B, 2, H, W)`` in [0, 1]."""
    return two_classes(output.maps()[2])


_PAPER = {
    "start": "scratch",
    "backbone": "none",
    "crop": 512,
    "batch": 1,
    "iterations": 200_000,
    "optimizer": "adam",
    "lr": 1e-4,
    "weight_decay": 0.0,
    "warmup": 0,
    "discriminator_widths": (64, 128, 256, 512),
    "ramp": 50_000,
    "overlap": 0.0,
    "foreground": 0.0,
    "recalibrate": 0,
}


@hookimpl
def register_methods(register: Register) -> None:
    """Register ``da-isc``."""
    register(
        Component(
            name="da-isc",
            factory=partial(Adaptation, name="da-isc", stage=DAISCStage),
            config=DAISCSettings,
            summary="Two sections and their difference: consistent on the target, adversaries on the maps.",
            paper="Huang et al., Domain Adaptive Mitochondria Segmentation via Enforcing Inter-Section Consistency, "
            "MICCAI 2022",
            licence="Apache-2.0, own implementation",
            presets={
                "tiny": {
                    "crop": 96,
                    "iterations": 120,
                    "ramp": 60,
                    "recalibrate": 20,
                    "discriminator_widths": (16, 32, 64),
                },
                "small": {},
                "paper": _PAPER,
            },
        )
    )

"""DA-ISC (Huang et al., MICCAI 2022): what changes from one section to the next is the same in both domains.

A network segments two sections of a pair and their difference. On the target, where nothing is labelled, the difference
of the segmentations and the segmentation of the difference label each other; discriminators on the maps make target
predictions look like source predictions.

Deviations: see docs/methods/da-isc.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from dabench.ops.adversarial import SOURCE, PatchDiscriminator, discriminator_terms, domain_loss, frozen, two_classes
from dabench.ops.augmentation import STRONG, WEAK
from dabench.ops.batchnorm import frozen_statistics, recalibrate
from dabench.ops.objectives import total
from dabench.ops.sections import PairOutput, pair_terms, section_consistency, sigmoid_ramp, stack_sections, view_pairs
from dabench.ops.views import view_source
from dabench.plugin import (
    Adaptation,
    Batch,
    Component,
    NetworkPredictor,
    OptimizerSpec,
    OptimizerStep,
    Predictor,
    Register,
    Settings,
    Stage,
    TrainingData,
    hookimpl,
    plain_batches,
)


class DAISCSettings(Settings):
    """Pairs, consistency and discriminators. Where the two published configurations differ, both values are said."""

    start: Literal["source-pairs", "scratch"] = Field(
        "source-pairs", description="Begin with the same network trained on source pairs, or with nothing (paper)."
    )
    network: str = Field(
        "two-section", description="Network of two sections of a start from scratch (paper: two-section)."
    )
    backbone: str = Field("conv-small", description="Its encoder; none: the published network, its own (paper).")
    neighbour: float = Field(
        40.0, gt=0, description="nm from a section to its partner (paper: 1 section of 30 nm, or 10 of 5 nm)."
    )
    # A discriminator of five convolutions halves a crop five times: of a smaller one nothing would be left.
    crop: int = Field(192, ge=32, description="Side of a crop in pixels (paper: 512).")
    batch: int = Field(1, ge=1, description="Pairs of each domain an update (paper: 1).")
    iterations: int = Field(400, ge=1, description="Updates (paper: 200,000).")
    optimizer: Literal["adamw", "sgd", "adam"] = Field("adamw", description="Of the segmenter (paper: adam).")
    lr: float = Field(3e-4, gt=0, description="Learning rate of the segmenter (paper: 1e-4).")
    weight_decay: float = Field(0.01, ge=0, description="Weight decay of the segmenter (paper: 0).")
    warmup: int = Field(20, ge=0, description="Updates of linear warm-up (paper: none).")
    clip: float = Field(1.0, ge=0, description="Largest gradient norm of the segmenter, 0 = off (paper: 1).")
    discriminator_lr: float = Field(1e-4, gt=0, description="Learning rate of the discriminators, Adam (paper: 1e-4).")
    discriminator_widths: tuple[int, ...] = Field(
        (16, 32, 64, 128), description="Channels of their convolutions before the last (paper: 64 to 512)."
    )
    adversarial: float = Field(
        1e-3, ge=0, description="Weight of the adversarial loss (paper: 1e-3 human to rat, 1e-2 rat to human)."
    )
    consistency: float = Field(
        0.1, ge=0, description="Weight of the cross pseudo-labels of a target pair (paper: 0.1)."
    )
    ramp: int = Field(
        200,
        ge=0,
        description="Updates until they count in full (paper: 50,000 human to rat, 0 = at once rat to human).",
    )
    overlap: float = Field(1.0, ge=0, description="Weight of the soft-Dice terms (paper: 0).")
    foreground: float = Field(
        0.7, ge=0, le=1, description="Share of source crops that must hold foreground (paper: not known; 0)."
    )
    recalibrate: int = Field(60, ge=0, description="Target batches that renew BatchNorm statistics first (0: none).")


class DAISCStage(Stage):
    """The segmenter's turn, then the discriminators' on what it has just predicted."""

    def __init__(self, settings: DAISCSettings, network: nn.Module) -> None:
        """Take a network of two sections; the stage owns it."""
        self.settings, self.student = settings, network
        #: Of segmentations (within a section) and of differences (from one section to the next).
        self.discriminator_section = PatchDiscriminator(2, settings.discriminator_widths)
        self.discriminator_difference = PatchDiscriminator(2, settings.discriminator_widths)
        self.seen: tuple[PairOutput, PairOutput] | None = None

    def modules(self) -> Mapping[str, nn.Module]:
        return {
            "network": self.student,
            "discriminator_section": self.discriminator_section,
            "discriminator_difference": self.discriminator_difference,
        }

    def optimizer_steps(self) -> Sequence[OptimizerStep]:
        s = self.settings
        betas = (0.9, 0.99)
        segmenter = OptimizerSpec(
            s.lr, name=s.optimizer, weight_decay=s.weight_decay, warmup=s.warmup, clip=s.clip, betas=betas
        )
        discriminators = OptimizerSpec(s.discriminator_lr, name="adam", weight_decay=0.0, betas=betas)
        both = nn.ModuleList([self.discriminator_section, self.discriminator_difference])
        return [
            OptimizerStep("segmenter", self.student.parameters, segmenter),
            OptimizerStep("discriminators", both.parameters, discriminators),
        ]

    def prepare(self, view: TrainingData) -> None:
        # Only a backbone has BatchNorm, and it sees single sections.
        encoder = getattr(self.student, "backbone", self.student)
        recalibrate(encoder, plain_batches(view, self.settings.recalibrate, self.settings.crop))

    def step(self, batch: Batch, optimizer: str) -> dict[str, Tensor]:
        return self._discriminator_losses() if optimizer == "discriminators" else self._segmenting(batch)

    def _segmenting(self, batch: Batch) -> dict[str, Tensor]:
        """Supervision on source pairs; consistency and adversarial_loss on target pairs."""
        assert batch.source is not None
        assert batch.target is not None
        s = self.settings
        crops = view_source(batch.source, STRONG, batch.generator)
        with frozen_statistics(self.student):
            source: PairOutput = self.student(stack_sections(crops), with_pair=True)
        target: PairOutput = self.student(view_pairs(batch.target, WEAK, batch.generator), with_pair=True)
        terms = pair_terms(source, crops, s.overlap)
        terms["consistency"] = s.consistency * sigmoid_ramp(batch.step, s.ramp) * section_consistency(target)
        with frozen(self.discriminator_section, self.discriminator_difference):
            terms["adversarial_section"] = s.adversarial * domain_loss(
                self.discriminator_section(sections(target)), SOURCE
            )
            adversarial_loss = domain_loss(self.discriminator_difference(difference(target)), SOURCE)
        terms["adversarial_difference"] = s.adversarial * adversarial_loss
        self.seen = detached(source), detached(target)
        return {"loss": total(terms), **terms}

    def _discriminator_losses(self) -> dict[str, Tensor]:
        """Each discriminator tells the two domains apart."""
        assert self.seen is not None
        (source, target), self.seen = self.seen, None
        terms = discriminator_terms(
            {
                "section": (self.discriminator_section, sections(source), sections(target)),
                "difference": (self.discriminator_difference, difference(source), difference(target)),
            }
        )
        return {"loss": total(terms), **terms}

    def predictor(self) -> Predictor:
        return NetworkPredictor(self.student, self.settings.neighbour)


def sections(output: PairOutput) -> Tensor:
    """Both segmentations of a pair as two classes, for the discriminator: ``(2 B, 2, H, W)`` in [0, 1]."""
    current, auxiliary, _ = output.maps()
    return two_classes(torch.cat([current, auxiliary]))


def difference(output: PairOutput) -> Tensor:
    """The difference of a pair as two classes, for the discriminator: ``(B, 2, H, W)`` in [0, 1]."""
    return two_classes(output.maps()[2])


def detached(output: PairOutput) -> PairOutput:
    """The three maps' logits without gradient, for the discriminators."""
    current, auxiliary, changed = (plane.detach() for plane in output.maps())
    return PairOutput(current, auxiliary=auxiliary, difference=changed)


class DAISC(Adaptation):
    """The model of source pairs (or none), then ``da-isc``."""

    name = "da-isc"

    def stage(self, network: nn.Module) -> Stage:
        return DAISCStage(self.settings, network)


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
            factory=DAISC,
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

"""CAFA (Yin et al., MICCAI 2023): features of a class are alike in both domains, predictions alike in weak and strong.

On the network of DA-ISC. It labels a weak view of a target pair and learns these labels on a strong view; there is no
averaged teacher. Prototypes of background and mitochondrion, from source features, gather the features of both domains.

Deviations: see docs/methods/cafa.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from dabench.ops.augmentation import STRONG, WEAK
from dabench.ops.batchnorm import frozen_statistics, recalibrate
from dabench.ops.objectives import total
from dabench.ops.sections import (
    PairOutput,
    map_terms,
    pair_terms,
    section_consistency,
    sigmoid_ramp,
    stack_sections,
    view_pairs,
)
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
from dabench_cafa.alignment import (
    class_prototypes,
    cosines,
    labels_at,
    prototype_prediction,
    pull,
    separation,
    variance,
)
from dabench_cafa.strong_view import StrongOptions, match_histogram, strong_view


class CAFASettings(Settings):
    """Views, prototypes and weights. Where the two published configurations differ, both values are said."""

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
    crop: int = Field(192, ge=16, description="Side of a crop in pixels (paper: 512).")
    batch: int = Field(1, ge=1, description="Pairs of each domain an update (paper: 2, Lucchi 1).")
    iterations: int = Field(400, ge=1, description="Updates (paper: 200,000).")
    optimizer: Literal["adamw", "sgd", "adam"] = Field("adamw", description="Optimizer (paper: adam).")
    lr: float = Field(3e-4, gt=0, description="Learning rate (paper: 1e-4).")
    weight_decay: float = Field(0.01, ge=0, description="Weight decay (paper: 0).")
    warmup: int = Field(20, ge=0, description="Updates of linear warm-up (paper: none).")
    clip: float = Field(1.0, ge=0, description="Largest gradient norm, 0 = off (paper: not stated; DA-ISC: 1).")
    weight: float = Field(
        0.1, ge=0, description="Weight of all target terms but the last (paper: 0.1 human to rat, 1 rat to human)."
    )
    warp: float = Field(
        0.1, ge=0, description="Weight of the consistency of a target pair (paper: 0.1 human to rat, 0 rat to human)."
    )
    ramp: int = Field(200, ge=0, description="Updates until the target terms count in full (paper: 50,000).")
    near: float = Field(
        0.7, ge=-1, le=1, description="A target pixel is drawn to a prototype above this cosine (paper: 0.7)."
    )
    temperature: float = Field(
        0.1, gt=0, description="Of the softmax over cosines that predicts by prototypes (paper: not known)."
    )
    chance: float = Field(
        0.5, ge=0, le=1, description="That the strong view changes a section, and then of each change (paper: 0.5)."
    )
    noise: float = Field(0.2, ge=0, description="Largest standard deviation of its noise (paper: 0.2).")
    boxes: int = Field(10, ge=0, description="Most boxes that it erases (paper: 10).")
    side: int = Field(10, ge=1, description="Their largest side in pixels (paper: 10).")
    histogram: bool = Field(
        False, description="Give the strong view the grey values of a source section first (paper: optional)."
    )
    overlap: float = Field(1.0, ge=0, description="Weight of the soft-Dice terms on the source (paper: 0).")
    foreground: float = Field(
        0.7, ge=0, le=1, description="Share of source crops that must hold foreground (paper: not known; 0)."
    )
    recalibrate: int = Field(60, ge=0, description="Target batches that renew BatchNorm statistics first (0: none).")


class CAFAStage(Stage):
    """One network, three passes: source, weak target (without gradient), strong target."""

    def __init__(self, settings: CAFASettings, network: nn.Module) -> None:
        """Take a network of two sections with feature maps; the stage owns it."""
        self.settings, self.student = settings, network
        s = settings
        self.strong = StrongOptions(s.chance, s.noise, s.boxes, s.side)

    def modules(self) -> Mapping[str, nn.Module]:
        return {"network": self.student}

    def optimizer_steps(self) -> Sequence[OptimizerStep]:
        s = self.settings
        spec = OptimizerSpec(s.lr, name=s.optimizer, weight_decay=s.weight_decay, warmup=s.warmup, clip=s.clip)
        return [OptimizerStep("network", self.student.parameters, spec)]

    def prepare(self, view: TrainingData) -> None:
        # Only a backbone has BatchNorm, and it sees single sections.
        encoder = getattr(self.student, "backbone", self.student)
        recalibrate(encoder, plain_batches(view, self.settings.recalibrate, self.settings.crop))

    def step(self, batch: Batch, optimizer: str) -> dict[str, Tensor]:
        del optimizer
        assert batch.source is not None
        assert batch.target is not None
        s = self.settings
        crops = view_source(batch.source, STRONG, batch.generator)
        pairs = stack_sections(crops)
        weak_images = view_pairs(batch.target, WEAK, batch.generator)
        strong_images = match_histogram(weak_images, pairs) if s.histogram else weak_images
        strong_images = strong_view(strong_images, self.strong, batch.generator)
        with torch.no_grad():
            weak = self._see(weak_images)
        # Statistics of a plain target are what the predictor meets; source and strong views leave them alone.
        with frozen_statistics(self.student):
            source, strong = self._see(pairs), self._see(strong_images)
        ramp = sigmoid_ramp(batch.step, s.ramp)
        terms = pair_terms(source, crops, s.overlap)
        aligned = alignment_terms(source, crops.labels, weak, strong, s) | consistency_terms(weak, strong)
        terms |= {name: s.weight * ramp * term for name, term in aligned.items()}
        if s.warp:
            terms["warp"] = s.warp * ramp * section_consistency(strong)
        return {"loss": total(terms), **terms}

    def _see(self, images: Tensor) -> PairOutput:
        output: PairOutput = self.student(images, with_features=True, with_pair=True)
        return output

    def predictor(self) -> Predictor:
        return NetworkPredictor(self.student, self.settings.neighbour)


def decided(output: PairOutput) -> tuple[Tensor, Tensor, Tensor]:
    """Hard labels (B, H, W) uint8 of the three maps: their arg-max, every pixel."""
    current, auxiliary, difference = ((plane[:, 0] > 0).to(torch.uint8) for plane in output.maps())
    return current, auxiliary, difference


def alignment_terms(
    source: PairOutput, labels: Tensor, weak: PairOutput, strong: PairOutput, settings: CAFASettings
) -> dict[str, Tensor]:
    """Features against source prototypes: spread, separation, pull, and what prototypes predict on the target.

    Args:
        source: of labelled pairs, with features.
        labels: (B, H, W) of their current sections.
        weak: of the weak view; labels the target.
        strong: of the strong view, with features.
        settings: threshold and temperature.
    """
    assert source.features is not None
    assert strong.features is not None
    on_source, on_target = source.features.decoder, strong.features.decoder
    labels = labels_at(labels, on_source)
    prototypes = class_prototypes(on_source, labels)
    near = cosines(on_target, prototypes)
    pseudo = labels_at(decided(weak)[0], on_target)
    return {
        "variance": variance(cosines(on_source, prototypes), labels, prototypes.known),
        "separation": separation(prototypes),
        "pull": pull(near, prototypes.known, settings.near),
        "prototypes": prototype_prediction(near, pseudo, prototypes.known, settings.temperature),
    }


def consistency_terms(weak: PairOutput, strong: PairOutput) -> dict[str, Tensor]:
    """The strong view learns the weak view's features (squared error) and decisions (cross-entropy, three maps)."""
    assert weak.features is not None
    assert strong.features is not None
    pseudo = map_terms(strong, decided(weak))
    return {
        "features": F.mse_loss(strong.features.decoder.float(), weak.features.decoder.float()),
        "pseudo": total(pseudo),
    }


class CAFA(Adaptation):
    """The model of source pairs (or none), then ``cafa``."""

    name = "cafa"

    def stage(self, network: nn.Module) -> Stage:
        return CAFAStage(self.settings, network)


_PAPER = {
    "start": "scratch",
    "backbone": "none",
    "crop": 512,
    "batch": 2,
    "iterations": 200_000,
    "optimizer": "adam",
    "lr": 1e-4,
    "weight_decay": 0.0,
    "warmup": 0,
    "ramp": 50_000,
    "overlap": 0.0,
    "foreground": 0.0,
    "recalibrate": 0,
}


@hookimpl
def register_methods(register: Register) -> None:
    """Register ``cafa``."""
    register(
        Component(
            name="cafa",
            factory=CAFA,
            config=CAFASettings,
            summary="Source prototypes gather the features of both domains; weak labels strong, on pairs of sections.",
            paper="Yin et al., Class-Aware Feature Alignment for Domain Adaptative Mitochondria Segmentation, "
            "MICCAI 2023",
            licence="Apache-2.0, own implementation",
            presets={
                "tiny": {"crop": 96, "iterations": 120, "ramp": 60, "recalibrate": 20},
                "small": {},
                "paper": _PAPER,
            },
        )
    )

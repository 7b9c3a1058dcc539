"""CAFA (Yin et al., MICCAI 2023): features of a class are alike in both domains, predictions alike in weak and strong.

On the network of DA-ISC. It labels a weak view of a target pair and learns these labels on a strong view; there is no
averaged teacher. Prototypes of background and mitochondrion, from source features, gather the features of both domains.

Deviations: see docs/methods/cafa.md.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from dabench.ops.augmentation import STRONG, WEAK
from dabench.ops.batchnorm import frozen_statistics
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
from dabench.plugin import Adaptation, AdaptationStage, Batch, Component, PairsSettings, Register, hookimpl
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


class CAFASettings(PairsSettings):
    """Views, prototypes and weights. Where the two published configurations differ, both values are said."""

    start: str = "source-pairs"
    network: str = "two-section"
    backbone: str = "conv-small"
    batch: int = 1
    weight: float = Field(
        0.1, ge=0, description="Weight of all target terms but the last (paper: 0.1 human to rat, 1 rat to human)."
    )
    warp: float = Field(
        0.1, ge=0, description="Weight of the consistency of a target pair (paper: 0.1 human to rat, 0 rat to human)."
    )
    ramp: int = Field(200, ge=0, description="Updates until the target terms have full weight (paper: 50,000).")
    near: float = Field(
        0.7, ge=-1, le=1, description="A target pixel is pulled to a prototype above this cosine (paper: 0.7)."
    )
    temperature: float = Field(
        0.1, gt=0, description="Temperature of the softmax over cosines in the prototype prediction (paper: not known)."
    )
    chance: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Probability that the strong view changes a section, and then of each change (paper: 0.5).",
    )
    noise: float = Field(0.2, ge=0, description="Largest standard deviation of the strong view's noise (paper: 0.2).")
    boxes: int = Field(10, ge=0, description="Most boxes that the strong view erases (paper: 10).")
    side: int = Field(10, ge=1, description="Largest side of an erased box in pixels (paper: 10).")
    histogram: bool = Field(
        False, description="Give the strong view the grey values of a source section first (paper: optional)."
    )


class CAFAStage(AdaptationStage):
    """One network, three passes: source, weak target (without gradient), strong target."""

    settings: CAFASettings

    def __init__(self, settings: CAFASettings, network: nn.Module) -> None:
        """Take a network of two sections with feature maps; the stage owns it."""
        super().__init__(settings, network)
        self.strong = StrongOptions(settings.chance, settings.noise, settings.boxes, settings.side)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        s, (labelled, unlabelled) = self.settings, batch.both()
        crops = view_source(labelled, STRONG, batch.generator)
        pairs = stack_sections(crops)
        weak_images = view_pairs(unlabelled, WEAK, batch.generator)
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
        return terms

    def _see(self, images: Tensor) -> PairOutput:
        output: PairOutput = self.student(images, with_features=True, with_pair=True)
        return output


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
            factory=partial(Adaptation, name="cafa", stage=CAFAStage),
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

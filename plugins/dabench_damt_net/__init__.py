"""DAMT-Net (Peng, Yi, Yuan, 2020): domain adaptive multi-task learning for mitochondria.

Three things tie the domains together: a discriminator on the segmentation map (geometry), one on the finest decoder
feature (texture of what is segmented), and a second decoder without skips that rebuilds the images of both domains
from the same bottleneck.

Deviations: see docs/methods/damt-net.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from dabench.ops.adversarial import SOURCE, PatchDiscriminator, discriminator_terms, domain_loss, frozen, two_classes
from dabench.ops.augmentation import ViewOptions
from dabench.ops.batchnorm import frozen_statistics, recalibrate
from dabench.ops.objectives import supervised_terms, total
from dabench.ops.views import view_source
from dabench.plugin import (
    Adaptation,
    Batch,
    Component,
    FlippedPredictor,
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
from dabench_damt_net.morphology import MorphologyPredictor
from dabench_damt_net.parts import FeatureDiscriminator, ReconstructionDecoder


class DAMTNetSettings(Settings):
    """Segmenter, discriminators, reconstruction and their weights."""

    start: Literal["source-only", "scratch"] = Field(
        "source-only", description="Begin with the shared source model, or train source and target together (paper)."
    )
    network: str = Field("promptable", description="Network of a start from scratch (paper: U-Net 64-1024).")
    backbone: str = Field("conv-small", description="Its encoder; none: the network has its own.")
    # A discriminator of five convolutions halves a crop five times: of a smaller one nothing would be left.
    crop: int = Field(192, ge=32, description="Side of a crop in pixels (paper: 512).")
    batch: int = Field(2, ge=1, description="Crops of each domain an update (paper: 1).")
    iterations: int = Field(400, ge=1, description="Updates (paper: 100,000).")
    optimizer: Literal["adamw", "adam"] = Field("adamw", description="Of segmenter and decoder (paper: adam).")
    lr: float = Field(3e-4, gt=0, description="Its learning rate (paper: 5e-5).")
    momentum: tuple[float, float] = Field((0.9, 0.999), description="Its betas (paper: 0.9, 0.99).")
    weight_decay: float = Field(0.01, ge=0, description="Its weight decay (paper: not stated).")
    warmup: int = Field(20, ge=0, description="Updates of linear warm-up (paper: none).")
    clip: float = Field(1.0, ge=0, description="Largest gradient norm, 0 = off (paper: none).")
    floor: float = Field(0.0, ge=0, le=1, description="Lowest share of the learning rate (paper ends at 0.18).")
    discriminator_lr: float = Field(1e-4, gt=0, description="Learning rate of the discriminators, Adam (paper: 1e-4).")
    discriminator_floor: float = Field(0.0, ge=0, le=1, description="Lowest share of it (paper ends at 0.03).")
    discriminator_widths: tuple[int, ...] = Field(
        (16, 32, 64, 128), description="Channels of the label discriminator before its last layer (paper: 5 layers)."
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
    overlap: float = Field(1.0, ge=0, description="Weight of the soft-Dice term (paper: 0).")
    elastic: float = Field(
        0.0, ge=0, le=1, description="Probability of elastic deformation of the source (paper: 0.3)."
    )
    foreground: float = Field(
        0.7, ge=0, le=1, description="Share of source crops that must hold foreground (paper: not known; 0)."
    )
    recalibrate: int = Field(60, ge=0, description="Target batches that renew BatchNorm statistics first (0: none).")
    flips: bool = Field(False, description="Predict the mean of four flips (paper: yes).")
    morphology: bool = Field(
        False, description="Finish slices with the method's own post-processing (paper: yes; no other method has it)."
    )
    opening: int = Field(15, ge=1, description="Width of its opening in pixels (paper: 15, at the end 10).")
    smallest: int = Field(400, ge=1, description="Pixels of the smallest component that stays (paper: 400, 600).")


@dataclass(frozen=True)
class Seen:
    """What the discriminators see of one domain: logits ``(B, 1, H, W)`` and decoder map ``(B, C, h, w)``."""

    logits: Tensor
    decoder: Tensor

    def detach(self) -> Seen:
        """Without gradient, for the discriminators."""
        return Seen(self.logits.detach(), self.decoder.detach())


class DAMTNetStage(Stage):
    """The segmenter's turn, then the discriminators' on what it has just shown."""

    def __init__(self, settings: DAMTNetSettings, network: nn.Module) -> None:
        """Take a network with feature maps; the stage owns it."""
        self.settings, self.student = settings, network
        declared = cast(Any, network)
        self.decoder = ReconstructionDecoder(declared.encoder_channels)
        self.label_discriminator = PatchDiscriminator(2, settings.discriminator_widths)
        self.feature_discriminator = FeatureDiscriminator(declared.decoder_channels, settings.feature_width)
        self.view = ViewOptions(perspective=0.0, jitter=0.0, noise=0.0, elastic=settings.elastic)
        self.seen: tuple[Seen, Seen] | None = None

    def modules(self) -> Mapping[str, nn.Module]:
        return {
            "network": self.student,
            "decoder": self.decoder,
            "label_discriminator": self.label_discriminator,
            "feature_discriminator": self.feature_discriminator,
        }

    def optimizer_steps(self) -> Sequence[OptimizerStep]:
        s = self.settings
        segmenter = OptimizerSpec(
            s.lr, s.optimizer, s.weight_decay, s.warmup, floor=s.floor, clip=s.clip, betas=s.momentum
        )
        discriminators = OptimizerSpec(
            s.discriminator_lr, name="adam", weight_decay=0.0, floor=s.discriminator_floor, betas=(0.9, 0.99)
        )
        return [
            OptimizerStep("segmenter", self._segmenter, segmenter),
            OptimizerStep("discriminators", self._discriminators, discriminators),
        ]

    def _segmenter(self) -> Iterator[nn.Parameter]:
        yield from self.student.parameters()
        yield from self.decoder.parameters()

    def _discriminators(self) -> Iterator[nn.Parameter]:
        yield from self.label_discriminator.parameters()
        yield from self.feature_discriminator.parameters()

    def prepare(self, view: TrainingData) -> None:
        recalibrate(self.student, plain_batches(view, self.settings.recalibrate, self.settings.crop))

    def step(self, batch: Batch, optimizer: str) -> dict[str, Tensor]:
        return self._discriminator_losses() if optimizer == "discriminators" else self._segmenting(batch)

    def _segmenting(self, batch: Batch) -> dict[str, Tensor]:
        """Supervision on the source, adversarial_loss on the target, reconstruction of both."""
        assert batch.source is not None
        assert batch.target is not None
        s = self.settings
        source = view_source(batch.source, self.view, batch.generator)
        with frozen_statistics(self.student):
            output = self.student(source.images, with_features=True)
        on_target = self.student(batch.target.images, with_features=True)
        terms = supervised_terms(output, source.labels, s.overlap)
        with frozen(self.label_discriminator, self.feature_discriminator):
            judged = self.label_discriminator(two_classes(on_target.logits))
            terms["label_adversarial"] = s.label_adversary * domain_loss(judged, SOURCE)
            judged = self.feature_discriminator(on_target.features.decoder)
            terms["feature_adversarial"] = s.feature_adversary * domain_loss(judged, SOURCE)
        if s.reconstruction and batch.step >= s.reconstruction_after * s.iterations:
            pairs = ((output, source.images), (on_target, batch.target.images))
            errors = [self._rebuilding(seen.features.encoder, images) for seen, images in pairs]
            terms["reconstruction"] = s.reconstruction * (errors[0] + errors[1]) / 2
        source_seen, target_seen = (Seen(o.logits, o.features.decoder).detach() for o in (output, on_target))
        self.seen = source_seen, target_seen
        return {"loss": total(terms), **terms}

    def _rebuilding(self, encoder: list[Tensor], images: Tensor) -> Tensor:
        """Mean squared error of the rebuilt ``(B, 1, H, W)`` images."""
        height, width = images.shape[-2:]
        return F.mse_loss(self.decoder(encoder, (height, width)), images[:, 0])

    def _discriminator_losses(self) -> dict[str, Tensor]:
        """Each discriminator tells the two domains apart (release)."""
        assert self.seen is not None
        (source, target), self.seen = self.seen, None
        terms = discriminator_terms(
            {
                "label": (self.label_discriminator, two_classes(source.logits), two_classes(target.logits)),
                "feature": (self.feature_discriminator, source.decoder, target.decoder),
            }
        )
        return {"loss": total(terms), **terms}

    def predictor(self) -> Predictor:
        s = self.settings
        found: Predictor = NetworkPredictor(self.student)
        found = FlippedPredictor(found) if s.flips else found
        return MorphologyPredictor(found, s.opening, s.smallest) if s.morphology else found


class DAMTNet(Adaptation):
    """The shared source model (or none), then ``damt-net``."""

    name = "damt-net"

    def stage(self, network: nn.Module) -> Stage:
        return DAMTNetStage(self.settings, network)


@hookimpl
def register_methods(register: Register) -> None:
    """Register ``damt-net``."""
    register(
        Component(
            name="damt-net",
            factory=DAMTNet,
            config=DAMTNetSettings,
            summary="Adversaries on segmentation and decoder feature, and a decoder that rebuilds both domains.",
            paper="Peng, Yi, Yuan, Domain Adaptive Multi-Task Learning, IEEE J. Sel. Top. Signal Process. 2020",
            licence="Apache-2.0, own implementation (the release is for non-commercial research)",
            presets={
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
            },
        )
    )

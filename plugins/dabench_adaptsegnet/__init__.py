"""AdaptSegNet (Tsai et al., CVPR 2018): adversaries on the segmentation map, at two levels of the network.

A discriminator learns to tell source from target by the segmentation alone; the segmenter learns to fool it on the
target, since segmentations have the same structure in both domains. A second classifier on the encoder's last map but
one, with a discriminator of its own, adapts what lies deep (multi-level adaptation, Eqs. 1-5 there).

Deviations: see docs/methods/adaptsegnet.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from dabench.ops.adversarial import SOURCE, PatchDiscriminator, discriminator_terms, domain_loss, frozen, two_classes
from dabench.ops.augmentation import WEAK
from dabench.ops.batchnorm import frozen_statistics, recalibrate
from dabench.ops.objectives import supervised_terms, total
from dabench.ops.prompts import NetworkOutput
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


class AdaptSegNetSettings(Settings):
    """Segmenter, two discriminators and their weights."""

    start: Literal["source-only", "scratch"] = Field(
        "source-only", description="Begin with the shared source model, or train source and target together (paper)."
    )
    network: str = Field("promptable", description="Network of a start from scratch (paper: DeepLab-v2).")
    backbone: str = Field("conv-small", description="Its encoder; none: the network has its own.")
    # A discriminator of five convolutions halves a crop five times: of a smaller one nothing would be left.
    crop: int = Field(192, ge=32, description="Side of a crop in pixels (paper: 512 x 1024 street scenes).")
    batch: int = Field(2, ge=1, description="Crops of each domain an update (paper: 1).")
    iterations: int = Field(400, ge=1, description="Updates (paper: 250,000, stopped at 150,000).")
    optimizer: Literal["adamw", "sgd", "adam"] = Field("adamw", description="Of the segmenter (paper: sgd).")
    lr: float = Field(3e-4, gt=0, description="Learning rate of the segmenter (paper: 2.5e-4 with SGD).")
    weight_decay: float = Field(0.01, ge=0, description="Weight decay of the segmenter (paper: 5e-4).")
    warmup: int = Field(20, ge=0, description="Updates of linear warm-up (paper: none).")
    span: int = Field(
        0, ge=0, description="Updates after which learning rates have fallen to 0; 0: the last (paper: 250,000)."
    )
    clip: float = Field(1.0, ge=0, description="Largest gradient norm of the segmenter, 0 = off (paper: none).")
    discriminator_lr: float = Field(1e-4, gt=0, description="Learning rate of the discriminators, Adam (paper: 1e-4).")
    discriminator_widths: tuple[int, ...] = Field(
        (16, 32, 64, 128), description="Channels of their convolutions before the last (paper: 64 to 512)."
    )
    adversarial: float = Field(1e-3, ge=0, description="λ_adv of the final map (paper: 1e-3).")
    adversarial_deep: float = Field(2e-4, ge=0, description="λ_adv of the deep map (paper: 2e-4).")
    deep: float = Field(0.1, ge=0, description="λ_seg of the deep classifier (paper: 0.1).")
    overlap: float = Field(1.0, ge=0, description="Weight of the soft-Dice term (paper: 0).")
    foreground: float = Field(
        0.7, ge=0, le=1, description="Share of source crops that must hold foreground (paper: 0)."
    )
    recalibrate: int = Field(60, ge=0, description="Target batches that renew BatchNorm statistics first (0: none).")


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


@dataclass(frozen=True)
class Maps:
    """Logits of one domain at both levels, ``(B, 1, H, W)``."""

    final: Tensor
    deep: Tensor

    def detach(self) -> Maps:
        """Without gradient, for the discriminators."""
        return Maps(self.final.detach(), self.deep.detach())


class AdaptSegNetStage(Stage):
    """The segmenter's turn, then the discriminators' on what it has just predicted."""

    def __init__(self, settings: AdaptSegNetSettings, network: nn.Module) -> None:
        """Take a network with feature maps; the stage owns it."""
        self.settings, self.student = settings, network
        channels = cast(Any, network).encoder_channels
        self.classifier = DeepClassifier(channels[-2] if len(channels) > 1 else channels[-1])
        self.discriminator = PatchDiscriminator(2, settings.discriminator_widths)
        self.discriminator_deep = PatchDiscriminator(2, settings.discriminator_widths)
        self.seen: tuple[Maps, Maps] | None = None

    def modules(self) -> Mapping[str, nn.Module]:
        return {
            "network": self.student,
            "classifier": self.classifier,
            "discriminator": self.discriminator,
            "discriminator_deep": self.discriminator_deep,
        }

    def optimizer_steps(self) -> Sequence[OptimizerStep]:
        s = self.settings
        segmenter = OptimizerSpec(
            s.lr, name=s.optimizer, weight_decay=s.weight_decay, warmup=s.warmup, clip=s.clip, span=s.span
        )
        discriminators = OptimizerSpec(
            s.discriminator_lr, name="adam", weight_decay=0.0, betas=(0.9, 0.99), span=s.span
        )
        return [
            OptimizerStep("segmenter", self._segmenter, segmenter),
            OptimizerStep("discriminators", self._discriminators, discriminators),
        ]

    def _segmenter(self) -> Iterator[nn.Parameter]:
        yield from self.student.parameters()
        yield from self.classifier.parameters()

    def _discriminators(self) -> Iterator[nn.Parameter]:
        yield from self.discriminator.parameters()
        yield from self.discriminator_deep.parameters()

    def prepare(self, view: TrainingData) -> None:
        recalibrate(self.student, plain_batches(view, self.settings.recalibrate, self.settings.crop))

    def step(self, batch: Batch, optimizer: str) -> dict[str, Tensor]:
        return self._discriminator_losses() if optimizer == "discriminators" else self._segmenting(batch)

    def _segmenting(self, batch: Batch) -> dict[str, Tensor]:
        """Supervision on the source, adversarial_loss on the target (Eqs. 1, 3 and 5)."""
        assert batch.source is not None
        assert batch.target is not None
        s = self.settings
        source = view_source(batch.source, WEAK, batch.generator)
        with frozen_statistics(self.student):
            output, on_source = self._maps(source.images)
        _, on_target = self._maps(batch.target.images)
        terms = supervised_terms(output, source.labels, s.overlap)
        deep = supervised_terms(NetworkOutput(on_source.deep), source.labels, s.overlap)
        terms |= {f"deep_{name}": s.deep * term for name, term in deep.items()}
        with frozen(self.discriminator, self.discriminator_deep):
            terms["adversarial_loss"] = s.adversarial * domain_loss(
                self.discriminator(two_classes(on_target.final)), SOURCE
            )
            adversarial_loss = domain_loss(self.discriminator_deep(two_classes(on_target.deep)), SOURCE)
        terms["deep_adversarial"] = s.adversarial_deep * adversarial_loss
        self.seen = on_source.detach(), on_target.detach()
        return {"loss": total(terms), **terms}

    def _maps(self, images: Tensor) -> tuple[NetworkOutput, Maps]:
        output = self.student(images, with_features=True)
        encoder = output.features.encoder
        deep = self.classifier(encoder[-2] if len(encoder) > 1 else encoder[-1], images.shape[-2:])
        return output, Maps(output.logits, deep)

    def _discriminator_losses(self) -> dict[str, Tensor]:
        """Each discriminator tells the two domains apart (Eq. 2)."""
        assert self.seen is not None
        (source, target), self.seen = self.seen, None
        terms = discriminator_terms(
            {
                "final": (self.discriminator, two_classes(source.final), two_classes(target.final)),
                "deep": (self.discriminator_deep, two_classes(source.deep), two_classes(target.deep)),
            }
        )
        return {"loss": total(terms), **terms}

    def predictor(self) -> Predictor:
        return NetworkPredictor(self.student)


class AdaptSegNet(Adaptation):
    """The shared source model (or none), then ``adaptsegnet``."""

    name = "adaptsegnet"

    def stage(self, network: nn.Module) -> Stage:
        return AdaptSegNetStage(self.settings, network)


@hookimpl
def register_methods(register: Register) -> None:
    """Register ``adaptsegnet``."""
    register(
        Component(
            name="adaptsegnet",
            factory=AdaptSegNet,
            config=AdaptSegNetSettings,
            summary="Adversaries on the segmentation map at two levels of the network.",
            paper="Tsai et al., Learning to Adapt Structured Output Space for Semantic Segmentation, CVPR 2018",
            licence="Apache-2.0, own implementation",
            presets={
                "tiny": {"crop": 96, "iterations": 120, "recalibrate": 20, "discriminator_widths": (16, 32, 64)},
                "small": {},
                "paper": {
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
                },
            },
        )
    )

"""SAC (Araslanov & Roth, CVPR 2021): self-supervised augmentation consistency.

First the running statistics of BatchNorm are made the target's (adaptive batch normalisation). Then a momentum teacher
labels target crops from several aligned looks, with a threshold and a weight for each class, and the student learns
these labels on a jittered view of the crop beside the source's (Eqs. 1-6). One round, no style transfer, no adversary.

The labels are those of the scheme ``class-balanced``. Deviations: see docs/methods/sac.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from dabench.ops.augmentation import STRONG, WEAK
from dabench.ops.batchnorm import frozen_statistics, recalibrate
from dabench.ops.losses import pixel_cross_entropy
from dabench.ops.objectives import supervised_terms, total
from dabench.ops.views import draw_views, view_images, view_labels, view_maps, view_source
from dabench.plugin import (
    IGNORE,
    Batch,
    Budget,
    Component,
    Components,
    ConfigError,
    CropSpec,
    Method,
    NetworkPredictor,
    OptimizerSpec,
    OptimizerStep,
    Predictor,
    PseudoTargets,
    Register,
    SelfTraining,
    Settings,
    Stage,
    StageSpec,
    TargetCrops,
    TaskInfo,
    TrainingData,
    hookimpl,
    plain_batches,
    starting_point,
)


class SACSettings(Settings):
    """Baseline, self-training and their optimizer."""

    start: Literal["source-only", "scratch"] = Field(
        "source-only", description="Begin with the shared source model, or train SAC's own baseline (paper)."
    )
    network: str = Field("promptable", description="Network of a start from scratch (paper: DeepLab-v2).")
    backbone: str = Field("conv-small", description="Its encoder; none: the network has its own.")
    self_training: str = Field("class-balanced", description="Scheme that makes target pseudo-labels.")
    crop: int = Field(192, ge=16, description="Side of a crop in pixels (paper: 512 x 1024 street scenes).")
    batch: int = Field(2, ge=1, description="Crops of each domain an update (paper: 8 of the source, 2 of the target).")
    iterations: int = Field(400, ge=1, description="Updates of self-training (paper: not stated).")
    baseline: int = Field(400, ge=1, description="Updates of the baseline, for a start from scratch (not stated).")
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="Optimizer (paper: sgd).")
    lr: float = Field(3e-4, gt=0, description="Learning rate (paper: 2.5e-4 with SGD).")
    weight_decay: float = Field(0.01, ge=0, description="Weight decay (paper: 5e-4).")
    warmup: int = Field(20, ge=0, description="Updates of linear warm-up (paper: none).")
    clip: float = Field(1.0, ge=0, description="Largest gradient norm, 0 = off (paper: none).")
    target_weight: float = Field(5.0, ge=0, description="Weight of the target's loss (release: 5).")
    overlap: float = Field(1.0, ge=0, description="Weight of the soft-Dice term on the source (paper: 0).")
    foreground: float = Field(
        0.7, ge=0, le=1, description="Share of source crops that must hold foreground (paper: not known; 0)."
    )
    recalibrate: int = Field(60, ge=0, description="Target batches that renew BatchNorm statistics first (0: none).")
    refresh_every: int = Field(100, ge=1, description="Updates between two rounds of a scheme that works in rounds.")
    outcome: Literal["student", "teacher"] = Field("student", description="Network that is scored (release: student).")

    def spec(self) -> OptimizerSpec:
        """The optimizer of both stages."""
        return OptimizerSpec(
            self.lr, name=self.optimizer, weight_decay=self.weight_decay, warmup=self.warmup, clip=self.clip
        )


class BaselineStage(Stage):
    """Source supervision; target crops pass through only to set BatchNorm's running statistics (section 4.1)."""

    def __init__(self, settings: SACSettings, network: nn.Module) -> None:
        """Take a fresh network; the stage owns it."""
        self.settings, self.student = settings, network

    def modules(self) -> Mapping[str, nn.Module]:
        return {"network": self.student}

    def optimizer_steps(self) -> Sequence[OptimizerStep]:
        return [OptimizerStep("network", self.student.parameters, self.settings.spec())]

    def step(self, batch: Batch, optimizer: str) -> dict[str, Tensor]:
        del optimizer
        assert batch.target is not None
        with torch.no_grad():
            self.student(batch.target.images)
        terms = source_terms(self.student, batch, self.settings.overlap)
        return {"loss": total(terms), **terms}

    def predictor(self) -> Predictor:
        return NetworkPredictor(self.student)


class SACStage(Stage):
    """The student learns from source labels and from the teacher's labels of jittered target crops."""

    def __init__(self, settings: SACSettings, network: nn.Module, scheme: SelfTraining) -> None:
        """Start from a copy of the network. Raises ConfigError for an outcome that the scheme does not have."""
        self.settings, self.student, self.scheme = settings, deepcopy(network), scheme
        self.scheme.start(self.student)
        if settings.outcome == "teacher" and "teacher" not in scheme.modules():
            raise ConfigError(
                f"sac.outcome=teacher, but the scheme {settings.self_training!r} has no teacher.",
                "Use --set sac.outcome=student, or a scheme with a teacher (class-balanced, mean-teacher).",
            )
        self.refresh_every = settings.refresh_every if scheme.rounds else 0

    def modules(self) -> Mapping[str, nn.Module]:
        return {"network": self.student, **self.scheme.modules()}

    def network(self) -> nn.Module:
        return self.modules()["teacher" if self.settings.outcome == "teacher" else "network"]

    def optimizer_steps(self) -> Sequence[OptimizerStep]:
        return [OptimizerStep("network", self.student.parameters, self.settings.spec())]

    def prepare(self, view: TrainingData) -> None:
        recalibrate(self.student, plain_batches(view, self.settings.recalibrate, self.settings.crop))
        self.scheme.start(self.student)
        self.scheme.attach(view)

    def refresh(self, view: TrainingData) -> None:
        self.scheme.refresh(self.student, view)

    def state(self) -> dict[str, Tensor]:
        return self.scheme.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.scheme.load_state(state)

    def step(self, batch: Batch, optimizer: str) -> dict[str, Tensor]:
        del optimizer
        assert batch.target is not None
        with torch.no_grad():
            pseudo = self.scheme.targets(batch.target, batch.generator)
        terms = source_terms(self.student, batch, self.settings.overlap)
        terms["target"] = self.settings.target_weight * self._consistency(batch.target, pseudo, batch.generator)
        known = pseudo.labels != IGNORE
        seen = {"pseudo_foreground": (pseudo.labels == 1).float().mean(), "pseudo_known": known.float().mean()}
        return {"loss": total(terms), **terms, **seen}

    def _consistency(self, crops: TargetCrops, pseudo: PseudoTargets, generator: torch.Generator) -> Tensor:
        """Eq. 6 on a jittered view; the mean is over all pixels, those without a label too (release)."""
        views = draw_views(crops.images, STRONG, generator)
        output = self.student(view_images(views, crops.images))
        losses = pixel_cross_entropy(output.logits, view_labels(views, pseudo.labels))
        return (losses * view_maps(views, pseudo.weights)).mean()

    def after_update(self, step: int) -> None:
        self.scheme.after_update(self.student, step)

    def predictor(self) -> Predictor:
        return NetworkPredictor(self.network())


def source_terms(student: nn.Module, batch: Batch, overlap: float) -> dict[str, Tensor]:
    """Supervised terms of a flipped and turned source batch, which leaves BatchNorm's running statistics alone."""
    assert batch.source is not None
    source = view_source(batch.source, WEAK, batch.generator)
    with frozen_statistics(student):
        output = student(source.images)
    return supervised_terms(output, source.labels, overlap)


class SAC(Method):
    """The shared source model or SAC's own baseline, then ``sac``."""

    def __init__(self, settings: SACSettings, components: Components) -> None:
        """Keep the settings; nothing is built before a stage is."""
        self.settings, self.components = settings, components

    def stages(self, task: TaskInfo, budget: Budget) -> list[StageSpec]:
        s = self.settings
        start = starting_point(self.components, task, budget, s.start, s.network, s.backbone)
        before = start.before or [self._spec("sac-baseline", start.components, s.baseline, self._baseline)]

        def build(parent: Stage | None) -> Stage:
            assert parent is not None
            return SACStage(s, parent.network(), self.components.self_training(s.self_training))

        components = (*start.components, ("self_training", s.self_training))
        return [*before, self._spec("sac", components, s.iterations, build)]

    def _baseline(self, parent: Stage | None) -> Stage:
        del parent
        return BaselineStage(self.settings, self.components.network(self.settings.network, self.settings.backbone))

    def _spec(
        self,
        name: str,
        components: tuple[tuple[str, str], ...],
        iterations: int,
        build: Callable[[Stage | None], Stage],
    ) -> StageSpec:
        s = self.settings
        crops = CropSpec(s.crop, s.batch, s.batch, s.foreground)
        return StageSpec(name, "sac", s, components, crops, iterations, build)


@hookimpl
def register_methods(register: Register) -> None:
    """Register ``sac``."""
    register(
        Component(
            name="sac",
            factory=SAC,
            config=SACSettings,
            summary="Target BatchNorm, then a momentum teacher with class-balanced thresholds and weights.",
            paper="Araslanov & Roth, Self-supervised Augmentation Consistency, CVPR 2021",
            licence="Apache-2.0, own implementation",
            presets={
                "tiny": {"crop": 96, "iterations": 120, "baseline": 120, "recalibrate": 20},
                "small": {},
                "paper": {
                    "start": "scratch",
                    "network": "deeplab-v2",
                    "backbone": "none",
                    "crop": 512,
                    "batch": 8,
                    "iterations": 20_000,
                    "baseline": 20_000,
                    "optimizer": "sgd",
                    "lr": 2.5e-4,
                    "weight_decay": 5e-4,
                    "warmup": 0,
                    "clip": 0.0,
                    "overlap": 0.0,
                    "foreground": 0.0,
                    "recalibrate": 0,
                },
            },
        )
    )

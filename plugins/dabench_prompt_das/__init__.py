"""Prompt-DAS (Chen, Xiong, Peng, MICCAI 2025): promptable domain adaptation with sparse points, or none.

A mean teacher labels the target twice over: centres (peaks of its density joined to the given points) and pixels. The
student learns detection (Eq. 1; Prefer-DAS Eq. 5) and segmentation (Eq. 2; Eq. 6) on source labels and target
pseudo-labels, with a random number of points as prompts, and a contrast of prompt embeddings (Eq. 3; Eq. 7).
0 % points is unsupervised (UDA), 15 % weakly supervised (WDA). First stage: ``source-only``.

Deviations: see docs/methods/prompt-das.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from dabench.ops.augmentation import View, ViewOptions
from dabench.ops.batchnorm import frozen_statistics
from dabench.ops.density import density_maps
from dabench.ops.discs import stamp_discs
from dabench.ops.losses import DETECTION_WEIGHT, detection_loss, segmentation_loss
from dabench.ops.objectives import LabelledWeights, labelled_terms
from dabench.ops.prompts import pad_points, random_subset
from dabench.ops.views import draw_views, view_images, view_labels, view_maps, view_points, view_source
from dabench.plugin import (
    IGNORE,
    Batch,
    Budget,
    Component,
    Components,
    CropSpec,
    Method,
    PseudoTargets,
    Register,
    SchemeSettings,
    SelfTraining,
    SelfTrainingStage,
    Stage,
    StageSpec,
    TargetCrops,
    TaskInfo,
    TrainingData,
    hookimpl,
)
from dabench_prompt_das.contrast import ContrastPoints, contrast_loss, draw_contrast
from dabench_prompt_das.pseudo_points import RULES, estimate_points, with_points
from dabench_prompt_das.ranking import Limits, component_scores, counted_slices, limits_of, ranked, sampled_slices


class PromptDASSettings(SchemeSettings):
    """Stage 1 of Prefer-DAS."""

    self_training: str = "mean-teacher"
    overlap: float = 0.0
    refresh_every: int = Field(
        100, ge=1, description="Updates between two looks at the target's training set: rankings, rounds of a scheme."
    )
    target_points: float = Field(
        0.5, ge=0, le=1, description="Share of target crops that hold a given point, where any is."
    )
    detection: float = Field(30.0, ge=0, description="λ1 on 0-1 maps (paper: 1e-3 on 0-255, that is 65).")
    contrast: float = Field(1e-3, ge=0, description="λ2, weight of the contrast (paper: 1e-3).")
    point_weight: float = Field(0.2, ge=0, description="Weight of the loss on discs at given points (paper: 0).")
    point_radius: float = Field(5.0, ge=0, description="Radius of those discs in pixels.")
    pseudo_points: bool = Field(
        True, description="Without given points, take confident points of the source model for them (paper: yes)."
    )
    point_rule: Literal["cautious", "release"] = Field(
        "cautious",
        description="Which of its peaks are confident: sure in probability too, and whole (cautious), or all above "
        "125 of 255 (release, at test; papers: not stated).",
    )
    point_decay: bool = Field(
        True, description="Those points are proposals: crops get them with a chance that falls to 0 (paper: no)."
    )
    trusted: float = Field(
        0.5,
        ge=0,
        description="Likeliest components that are foreground, as a share of the implied count; 0: off (paper).",
    )
    possible: float = Field(
        1.0, ge=0, description="Components past this share of the implied count are background (with trusted > 0)."
    )
    rank_slices: int = Field(12, ge=1, description="Most slices that a ranking looks at.")
    target_weight: float = Field(1.0, ge=0, description="Weight of the target's segmentation loss (release: 1).")
    detection_pseudo: bool = Field(True, description="Learn detection on the target (Table II, Detect.).")
    segmentation_pseudo: bool = Field(True, description="Learn segmentation on the target (Table II, Segment.).")
    prompts: bool = Field(True, description="Give points as prompts while training (Table II, Training Prompts).")
    fg_confidence: float = Field(0.9, ge=0.5, le=1, description="Queries of the contrast lie above, δ_f (paper: 0.9).")
    bg_confidence: float = Field(
        0.1, ge=0, le=0.5, description="Negatives of the contrast lie below, δ_b (paper: 0.1)."
    )
    queries: int = Field(64, ge=1, description="Most queries a crop (release: 256).")
    negatives: int = Field(64, ge=1, description="Negatives a crop, N^n (paper: 256).")
    temperature: float = Field(0.5, gt=0, description="τ of the contrast (paper: 0.5).")
    frozen_keys: bool = Field(False, description="No gradient through the contrast's keys (release: yes).")
    contrast_points: Literal["given", "detected"] = Field(
        "given", description="Points whose mean is the foreground key: the given ones (paper), or detected ones too."
    )
    motion_blur: float = Field(0.0, ge=0, le=1, description="Probability of motion blur (release: for Lucchi).")
    elastic: float = Field(0.0, ge=0, le=1, description="Probability of elastic deformation (Prompt-DAS: 0.3).")

    def crops(self) -> CropSpec:
        return replace(super().crops(), target_points=self.target_points)


class PromptDASStage(SelfTrainingStage):
    """Student on source labels and the scheme's pseudo-targets."""

    settings: PromptDASSettings

    def __init__(
        self, settings: PromptDASSettings, network: nn.Module, scheme: SelfTraining, share: float = 0.0
    ) -> None:
        """Start from a copy of the source model; ``share`` of the target's centres are given."""
        super().__init__(settings, deepcopy(network), scheme)
        self.share, self.limits = share, Limits()
        self.ranks = bool(settings.trusted and share)
        if self.ranks:
            self.refresh_every = settings.refresh_every
        self.view = ViewOptions(elastic=settings.elastic, motion_blur=settings.motion_blur)
        self.pseudo_points: Mapping[int, Tensor] = {}

    def prepare(self, data: TrainingData) -> None:
        super().prepare(data)
        given = sum(len(answer.points) for answer in data.desk.points().values())
        if self.settings.pseudo_points and not given:
            rule = RULES[self.settings.point_rule]
            self.pseudo_points = estimate_points(data, self.student, self.settings.crop, rule)

    def refresh(self, data: TrainingData) -> None:
        super().refresh(data)
        if self.ranks:
            self._rank(data)

    def _rank(self, data: TrainingData) -> None:
        s = self.settings
        spread = sampled_slices(data.target_shape()[0], s.rank_slices)
        slices, expected = counted_slices(data.desk.points(), spread, self.share)
        if expected:
            scores = component_scores(data, self.scheme, slices, s.crop)
            self.limits = limits_of(scores, expected, s.trusted, s.possible)

    def state(self) -> dict[str, Tensor]:
        scheme = {f"scheme/{name}": value for name, value in super().state().items()}
        return {"limits": torch.tensor([self.limits.accept, self.limits.reject], dtype=torch.float64), **scheme}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.limits = Limits(*state["limits"].tolist())
        prefix = "scheme/"
        super().load_state({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        s, (labelled, target) = self.settings, batch.both()
        if self.pseudo_points and self._proposes(batch):
            target = with_points(target, self.pseudo_points)
        pseudo = ranked(self.scheme.targets(target, batch.generator), target.points, self.limits)
        self.watch(pseudo)
        source = view_source(labelled, self.view, batch.generator)
        with frozen_statistics(self.student):
            weights = LabelledWeights(s.detection, s.overlap, s.prompts)
            terms = labelled_terms(self.student, source, weights, batch.generator)
        return terms | self._target_terms(target, pseudo, batch.generator)

    def _proposes(self, batch: Batch) -> bool:
        """Whether this update still takes the source model's points for given ones; later only the teacher's peaks."""
        chance = 1 - batch.step / self.settings.iterations if self.settings.point_decay else 1.0
        return float(torch.rand((), generator=batch.generator)) < chance

    def _target_terms(self, crops: TargetCrops, pseudo: PseudoTargets, generator: torch.Generator) -> dict[str, Tensor]:
        """Eqs. 5-7 on the target, in the student's view."""
        s = self.settings
        views = draw_views(crops.images, self.view, generator)
        points = view_points(views, pseudo.points if s.detection_pseudo else crops.points)
        labels = view_labels(views, pseudo.labels)
        keys = points if s.contrast_points == "detected" else view_points(views, crops.points)
        contrast = self._contrast(_seen_confidence(views, pseudo), labels, keys, generator)
        prompts = pad_points([random_subset(p, generator) for p in points]) if s.prompts else None
        detect = s.detection > 0 and s.detection_pseudo
        discs = [_discs(label, p, s.point_radius) for label, p in zip(pseudo.labels, crops.points, strict=True)]
        output = self.student(
            view_images(views, crops.images),
            prompts,
            contrast.padded.points if contrast else None,
            contrast.padded.valid if contrast else None,
            with_density=detect,
        )
        terms: dict[str, Tensor] = {}
        if s.segmentation_pseudo:
            loss = segmentation_loss(output.logits, labels, view_maps(views, pseudo.weights))
            terms["target_segmentation"] = s.target_weight * loss
        if s.point_weight:
            loss = segmentation_loss(output.logits, view_labels(views, torch.stack(discs)))
            terms["target_points"] = s.point_weight * loss
        if detect:
            truth = density_maps(pad_points(points), (s.crop, s.crop))
            terms["target_detection"] = s.detection * detection_loss(output.density, truth)
        if contrast:
            terms["contrast"] = s.contrast * contrast_loss(
                output.contrast_embeddings, contrast, s.temperature, frozen_keys=s.frozen_keys
            )
        return terms

    def _contrast(
        self, confidence: Tensor, labels: Tensor, points: list[Tensor], generator: torch.Generator
    ) -> ContrastPoints | None:
        s = self.settings
        if not s.contrast:
            return None
        known = labels != IGNORE
        return draw_contrast(
            (confidence > s.fg_confidence) & known,
            (confidence < s.bg_confidence) & known,
            points,
            (s.queries, s.negatives),
            generator,
        )


def _seen_confidence(views: list[View], pseudo: PseudoTargets) -> Tensor:
    """The teacher's probability in the student's view; 0.5 (unsure) outside the crop."""
    return view_maps(views, pseudo.confidence - 0.5) + 0.5


def _discs(like: Tensor, points: Tensor, radius: float) -> Tensor:
    """Foreground discs at the given points, everything else ignored; ``(H, W)``."""
    return stamp_discs(torch.full_like(like, IGNORE), points, radius, 1)


class PromptDAS(Method):
    """``supervised`` on the source, then ``prompt-das``."""

    def __init__(self, settings: PromptDASSettings, components: Components) -> None:
        """Keep the settings; nothing is built before a stage is."""
        self.settings, self.components = settings, components

    def stages(self, task: TaskInfo, budget: Budget) -> list[StageSpec]:
        s = self.settings
        before = self.components.method("source-only").stages(task, budget)

        def build(parent: Stage | None) -> Stage:
            assert parent is not None
            return PromptDASStage(s, parent.network(), self.components.self_training(s.self_training), budget.points)

        spec = StageSpec(
            name="prompt-das",
            method="prompt-das",
            config=s,
            components=(*before[-1].components, ("self_training", s.self_training)),
            crops=s.crops(),
            iterations=s.iterations,
            build=build,
            asks=("points",),
            title="prompt-das",
        )
        return [*before, spec]


_PAPER = {
    "crop": 384,
    "iterations": 16_000,
    "lr": 1e-5,
    "warmup": 0,
    "floor": 0.1,
    "clip": 0.0,
    "detection": DETECTION_WEIGHT,
    "point_weight": 0.0,
    "trusted": 0.0,
    "target_points": 0.7,
    "queries": 256,
    "negatives": 256,
    "frozen_keys": True,
    "point_rule": "release",
    "point_decay": False,
    "recalibrate": 0,
}


@hookimpl
def register_methods(register: Register) -> None:
    """Register ``prompt-das``."""
    register(
        Component(
            name="prompt-das",
            factory=PromptDAS,
            config=PromptDASSettings,
            summary="Mean teacher with detection and segmentation pseudo-labels, point prompts and contrast.",
            paper="Prompt-DAS, MICCAI 2025; stage 1 of Prefer-DAS, 2026",
            licence="Apache-2.0, own implementation (the release has no licence and no training code)",
            presets={
                "tiny": {"crop": 96, "iterations": 200, "recalibrate": 20},
                "small": {},
                "paper": _PAPER,
            },
        )
    )

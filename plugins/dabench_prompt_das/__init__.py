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

import torch
from torch import Tensor, nn

from dabench.ops.augmentation import View, ViewOptions
from dabench.ops.batchnorm import frozen_statistics
from dabench.ops.density import density_maps
from dabench.ops.discs import stamp_discs
from dabench.ops.losses import detection_loss, segmentation_loss
from dabench.ops.objectives import LabelledWeights, labelled_terms
from dabench.ops.prompts import pad_points, random_subset
from dabench.ops.views import draw_views, view_images, view_labels, view_maps, view_points, view_source
from dabench.plugin import (
    IGNORE,
    Batch,
    Budget,
    Component,
    Components,
    Method,
    PseudoTargets,
    Register,
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
from dabench_prompt_das.ranking import (
    THRESHOLDS,
    Limits,
    Thresholds,
    counted_slices,
    limits_of,
    probabilities,
    ranked,
    sampled_slices,
)
from dabench_prompt_das.settings import PRESETS, PromptDASSettings


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
        answers, spread = data.desk.points(), sampled_slices(data.target_shape()[0], s.rank_slices)
        slices, expected = counted_slices(answers, spread, self.share)
        if not expected:
            return
        self.scheme.set_threshold(0.5)
        seen = Thresholds(self.share, THRESHOLDS if s.calibrate else ())
        for z, probability in probabilities(data, self.scheme, slices, s.crop):
            seen.add(probability, answers.get(z))
        threshold = seen.chosen()
        self.scheme.set_threshold(threshold)
        limits = limits_of(seen.scores(threshold), expected, s.trusted, s.possible)
        self.limits = limits if threshold == 0.5 else replace(limits, reject=0.0)

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
            presets=PRESETS,
        )
    )

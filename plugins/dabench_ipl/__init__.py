"""IPL (Xiong, Chen, Wang, Peng): instance-aware pseudo-labels and class-focused contrast, with sparse points or none.

Rounds of detection first: given points and the likeliest detected centres teach the density head (Eq. 1). Then rounds
of segmentation: components under trusted centres are pseudo-label instances (Eqs. 2-3), and pixels of the target are
contrasted with prototypes, of both domains for the foreground and of the target alone for the background (Eq. 4).
0 % points is unsupervised (UDA), 15 % weakly supervised (WDA).

Deviations, and which of paper and release is followed where they differ: see docs/methods/ipl.md.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from dabench.ops.augmentation import STRONG
from dabench.ops.batchnorm import frozen_statistics
from dabench.ops.density import density_maps
from dabench.ops.losses import detection_loss, segmentation_loss, sparse_detection_loss
from dabench.ops.objectives import supervised_terms
from dabench.ops.prompts import NetworkOutput, pad_points
from dabench.ops.views import draw_views, view_images, view_labels, view_points, view_source
from dabench.plugin import (
    Batch,
    Budget,
    Component,
    Components,
    ConfigError,
    Method,
    NetworkStage,
    PseudoTargets,
    Register,
    SelfTraining,
    SelfTrainingStage,
    SourceCrops,
    Stage,
    StageSpec,
    StartingPoint,
    TargetCrops,
    TaskInfo,
    hookimpl,
    starting_point,
)
from dabench_ipl.contrast import ContrastBranch, Seen, contrast_branch
from dabench_ipl.prototypes import ALIGNMENTS
from dabench_ipl.settings import (
    PRESETS,
    IPLSettings,
    Phase,
    deciding,
    detection_phase,
    segmentation_phase,
    source_phase,
)


@dataclass(frozen=True)
class Pseudo:
    """Target crops in the student's view: images, pseudo-labels, their weights, all trusted centres, the given ones."""

    images: Tensor
    labels: Tensor
    weights: Tensor
    points: list[Tensor]
    given: list[Tensor]


class SourceStage(NetworkStage):
    """A source model of IPL's own network, where there is no shared one."""

    settings: IPLSettings

    def __init__(self, settings: IPLSettings, phase: Phase, network: nn.Module) -> None:
        """Take a network with a density; the stage owns it."""
        super().__init__(settings, network)
        self.phase = phase

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.source is not None
        source = view_source(batch.source, STRONG, batch.generator)
        with frozen_statistics(self.student):
            output = self.student(source.images, with_density=True)
        return source_terms(output, source, self.phase, self.settings.overlap)


class IPLStage(SelfTrainingStage):
    """One phase: rounds of a self-training scheme around updates on both domains."""

    settings: IPLSettings

    def __init__(
        self,
        settings: IPLSettings,
        phase: Phase,
        network: nn.Module,
        scheme: SelfTraining,
        head: nn.Module | None = None,
    ) -> None:
        """Take a network with density and feature maps, which the stage owns; ``head`` has the projection's weights."""
        self.phase, self.alignments = phase, ALIGNMENTS[settings.alignment] if phase.contrast else ()
        self.branch = contrast_branch(settings, network) if self.alignments else None
        if self.branch is not None and head is not None:
            self.branch.head.load_state_dict(head.state_dict())
        super().__init__(settings, network, scheme, **({} if self.branch is None else {"contrast": self.branch}))
        self.refresh_every = phase.period

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        labelled, unlabelled = batch.both()
        source = view_source(labelled, STRONG, batch.generator)
        with frozen_statistics(self.student):
            on_source = self._forward(source.images)
        terms = source_terms(on_source, source, self.phase, self.settings.overlap)
        pseudo = self.scheme.targets(unlabelled, batch.generator)
        target = self._view(unlabelled, pseudo, batch.generator)
        on_target = self._forward(target.images)
        terms |= self._target_terms(on_target, target)
        if self.branch is not None:
            seen = {
                "source": self.branch.see(on_source, source.labels),
                "target": self.branch.see(on_target, target.labels, target.given),
            }
            terms["contrast"] = self.phase.contrast * self._contrast(self.branch, seen, batch)
        self.watched = {
            "pseudo_foreground": (pseudo.labels == 1).float().mean(),
            "pseudo_background": (pseudo.labels == 0).float().mean(),
        }
        return terms

    def _forward(self, images: Tensor) -> NetworkOutput:
        output: NetworkOutput = self.student(images, with_density=True, with_features=self.branch is not None)
        return output

    def _view(self, crops: TargetCrops, pseudo: PseudoTargets, generator: torch.Generator) -> Pseudo:
        views = draw_views(crops.images, STRONG, generator)
        return Pseudo(
            view_images(views, crops.images),
            view_labels(views, pseudo.labels),
            # Like labels, to the nearest pixel: a weight stays with its label. It means nothing where that is ignored.
            view_labels(views, pseudo.weights),
            view_points(views, pseudo.points),
            view_points(views, crops.points),
        )

    def _target_terms(self, output: NetworkOutput, target: Pseudo) -> dict[str, Tensor]:
        """Second terms of Eqs. 1 and 2."""
        p = self.phase
        terms: dict[str, Tensor] = {}
        if p.target:
            loss = segmentation_loss(output.logits, target.labels, target.weights)
            terms["target_segmentation"] = p.target * loss
        if p.target_detection:
            # Eq. 1 divides by one pixel more than there are.
            loss = sparse_detection_loss(_density(output), target.points, target.labels == 0, spare=1)
            terms["target_detection"] = p.target_detection * loss
        return terms

    def _contrast(self, branch: ContrastBranch, seen: dict[str, Seen], batch: Batch) -> Tensor:
        """Eq. 4 against the prototypes of the last renewal; the first batch makes the first ones."""
        branch.observe(seen["source"], seen["target"], sure=self.phase.sure, generator=batch.generator)
        if batch.step % self.settings.prototype_every == 0:
            branch.memory.renew()
        return branch.loss(self.alignments, seen, self.settings.temperature, batch.generator)


def source_terms(output: NetworkOutput, crops: SourceCrops, phase: Phase, overlap: float) -> dict[str, Tensor]:
    """First terms of Eqs. 1 and 2; none where their weight is 0."""
    terms: dict[str, Tensor] = {}
    if phase.source:
        supervised = supervised_terms(output, crops.labels, overlap)
        terms |= {name: phase.source * term for name, term in supervised.items()}
    if phase.source_detection:
        truth = density_maps(pad_points(crops.points), (crops.labels.shape[-2], crops.labels.shape[-1]))
        terms["detection"] = phase.source_detection * detection_loss(_density(output), truth)
    return terms


def _density(output: NetworkOutput) -> Tensor:
    if output.density is None:
        raise ConfigError("ipl needs a network with a detection head.", "promptable and factorised-deep have one.")
    return output.density


class IPL(Method):
    """The shared source model (or one of its own), ``ipl-detection``, then ``ipl``."""

    def __init__(self, settings: IPLSettings, components: Components) -> None:
        """Keep the settings; nothing is built before a stage is."""
        self.settings, self.components = settings, components

    def stages(self, task: TaskInfo, budget: Budget) -> list[StageSpec]:
        s = self.settings
        start = starting_point(self.components, task, budget, s.start, s.network, s.backbone)
        specs = list(start.before) or [self._source(start)]
        if s.detection_iterations:
            specs.append(self._rounds(detection_phase(s), s.detection_training, start.components))
        return [*specs, self._rounds(segmentation_phase(s), s.self_training, start.components)]

    def _source(self, start: StartingPoint) -> StageSpec:
        phase = source_phase(self.settings)
        s = deciding(self.settings, phase)
        return StageSpec(
            name=phase.name,
            method="ipl",
            config=s,
            components=start.components,
            crops=replace(s.crops(), target=0, target_points=0.0),
            iterations=phase.iterations,
            build=lambda parent: SourceStage(s, phase, start.network(parent)),
        )

    def _rounds(self, phase: Phase, scheme: str, components: tuple[tuple[str, str], ...]) -> StageSpec:
        s = deciding(self.settings, phase)

        def build(parent: Stage | None) -> Stage:
            assert parent is not None
            earlier = parent.branch if s.keep_head and isinstance(parent, IPLStage) else None
            head = None if earlier is None else earlier.head
            return IPLStage(s, phase, deepcopy(parent.network()), self.components.self_training(scheme), head)

        return StageSpec(
            name=phase.name,
            method="ipl",
            config=s,
            components=(*components, ("self_training", scheme)),
            crops=s.crops(),
            iterations=phase.iterations,
            build=build,
            asks=("points",),
        )


@hookimpl
def register_methods(register: Register) -> None:
    """Register ``ipl``."""
    register(
        Component(
            name="ipl",
            factory=IPL,
            config=IPLSettings,
            summary="Rounds of detection, then of instance-aware pseudo-labels with class-focused contrast.",
            paper="Xiong et al., Instance-Aware Pseudo-Labeling and Class-Focused Contrastive Learning",
            licence="Apache-2.0, own implementation (the release has no licence)",
            presets=PRESETS,
        )
    )

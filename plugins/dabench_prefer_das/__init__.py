"""Prefer-DAS (Chen, Xiong, Peng 2026): Prompt-DAS, then direct preference optimisation on patches.

The trained Prompt-DAS model is frozen as the reference. Thresholds of its probability give candidate masks of every
patch of the target's training tiles; a rater picks the best of each asked patch, once. The student then learns to give
the chosen masks more probability, relative to the reference, than the others (Eqs. 3-4, 8-9, 12). The optimizer
(``--po gpo|lpo|slpo|upo|rn-dpo``) says which patches are asked and holds the loss; ``none`` is Prompt-DAS.

Eq. 12 with λ1 = λ2 = 0, λ3 = 1 still holds L_seg, and it must: the preference term sees only pixels where candidates
differ, and without an anchor everything else drifts until nothing is left.

Deviations: see docs/methods/prefer-das.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from dabench.ops.augmentation import PLAIN, STRONG, WEAK
from dabench.ops.batchnorm import hold_statistics
from dabench.ops.losses import confident_labels, segmentation_loss
from dabench.ops.objectives import LabelledWeights, labelled_terms
from dabench.ops.prompts import pad_points
from dabench.ops.views import draw_views, unview_maps, view_images, view_points, view_source
from dabench.plugin import (
    Batch,
    Budget,
    Component,
    Components,
    ConfigError,
    CropId,
    CropSpec,
    Method,
    NetworkPredictor,
    NetworkStage,
    OptimizerSettings,
    PreferenceOptimizer,
    Register,
    Stage,
    StageSpec,
    TargetCrops,
    TaskInfo,
    TrainingData,
    hookimpl,
)
from dabench_prefer_das.dataset import PreferenceData, collect


class PreferDASSettings(OptimizerSettings):
    """Stage 2."""

    po: str = Field(
        "slpo", description="Preference optimizer: gpo, lpo, slpo, upo, rn-dpo, or none (paper: lpo and slpo)."
    )
    thresholds: tuple[float, ...] = Field(
        (0.3, 0.4, 0.5, 0.6, 0.7), description="Thresholds of the candidates (paper: these)."
    )
    batch: int = Field(4, ge=1, description="Target tiles per update (paper: 4).")
    source_batch: int = Field(2, ge=0, description="Source crops per update for the anchor (paper: not stated).")
    iterations: int = 600
    lr: float = 1e-4
    weight: float = Field(1.0, ge=0, description="λ3, weight of the preference loss (paper: 1).")
    sum_patches: bool = Field(False, description="Sum the loss over a tile's patches (Eqs. 8-9) rather than average.")
    anchor: float = Field(1.0, ge=0, description="Weight of L_seg on the target: the reference's confident pixels.")
    source_anchor: float = Field(1.0, ge=0, description="Weight of L_seg on the source.")
    overlap: float = Field(1.0, ge=0, description="Weight of the soft-Dice term on the source (paper: 0).")
    confident: float = Field(0.7, ge=0.5, le=1, description="Lowest confidence of pixels that the anchor uses.")
    foreground: float = Field(0.7, ge=0, le=1, description="Share of source crops with foreground (release: 0.7).")
    prompts: bool = Field(
        True,
        description="Make candidates with a random number of each tile's given points as prompts, and give policy "
        "and reference the same ones (paper: not stated). A person's data set has its own prompts.",
    )
    turns: bool = Field(False, description="Flip and rotate the target's tiles (release: the weak view).")
    candidate_views: int = Field(
        4,
        ge=1,
        le=4,
        description="Quarter turns of the reference that candidates and anchor are averaged over (paper: 1).",
    )


class PreferenceStage(NetworkStage):
    """Fine-tunes a copy of the reference with preferences, anchored by L_seg."""

    settings: PreferDASSettings

    def __init__(
        self, settings: PreferDASSettings, optimizer: PreferenceOptimizer, reference: nn.Module, crop: int
    ) -> None:
        """Freeze the reference; the student is its copy."""
        super().__init__(settings, deepcopy(reference).requires_grad_(True))
        self.optimizer, self.crop = optimizer, crop
        self.reference = deepcopy(reference).requires_grad_(False).eval()
        self.data: PreferenceData | None = None

    def prepare(self, data: TrainingData) -> None:
        self.reference.to(data.device)
        predictor = NetworkPredictor(self.reference)
        s = self.settings
        self.data = collect(
            data, predictor, self.optimizer, s.thresholds, self.crop, s.candidate_views, prompted=s.prompts
        )
        self.student.train()
        # The reference saw fixed statistics; the student is compared with it pixel by pixel.
        hold_statistics(self.student)

    def target_crops(self, step: int, rng: np.random.Generator) -> Sequence[CropId]:
        """Tiles that hold an answer: their images are cut ahead of the update."""
        del step
        assert self.data is not None
        return self.data.draw(self.settings.batch, rng)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        assert self.data is not None
        s = self.settings
        terms: dict[str, Tensor] = {}
        if batch.source is not None and s.source_anchor:
            source = view_source(batch.source, STRONG, batch.generator)
            weights = LabelledWeights(0.0, s.overlap, prompts=True)
            anchored = labelled_terms(self.student, source, weights, batch.generator)
            terms |= {f"source_{name}": s.source_anchor * term for name, term in anchored.items()}
        assert batch.target is not None
        tiles = self.data.numbers(batch.target.origins)
        logits, reference = self._see(batch.target, self.data.prompts(tiles), batch.generator)
        if s.anchor:
            labels = confident_labels(self.data.proposal(tiles).to(logits), s.confident)
            terms["anchor"] = s.anchor * segmentation_loss(logits[:, None], labels)
        preference, self.watched["preferred_gain"] = self._preference(tiles, logits, reference)
        terms["preference"] = s.weight * preference
        return terms

    def _see(self, tiles: TargetCrops, points: list[Tensor], generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Logits of student and reference of whole tiles ``(B, S, S)``, in their own frame.

        Both see the same view and the prompts under which the candidates were made: their ratio is of models, not of
        inputs, and 1 at the start.
        """
        views = draw_views(tiles.images, WEAK if self.settings.turns else PLAIN, generator)
        given = any(len(p) for p in points)
        prompts = pad_points(view_points(views, points)).to(tiles.images.device) if given else None
        images = view_images(views, tiles.images)
        with torch.no_grad():
            reference = self.reference(images, prompts).logits[:, 0]
        return unview_maps(views, self.student(images, prompts).logits[:, 0]), unview_maps(views, reference)

    def _preference(self, tiles: Sequence[int], logits: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (or sum a tile) of the optimizer's loss over the answered patches, and how much likelier they became."""
        assert self.data is not None
        patches = self.data.patches(tiles, logits, reference)
        if patches is None:
            zero = logits.sum() * 0
            return zero, zero.detach()
        losses = self.optimizer.loss(*patches)
        policy, frozen, candidates, _, preferred = patches
        likelier = torch.where(candidates, (policy - frozen)[:, None], (frozen - policy)[:, None]).mean(dim=(2, 3))
        weight = preferred.sum()
        gain = ((likelier * preferred).sum() / weight).detach()
        return losses.sum() / (len(tiles) if self.settings.sum_patches else weight), gain


class PreferDAS(Method):
    """The stages of ``prompt-das``, then one preference stage named after its optimizer."""

    def __init__(self, settings: PreferDASSettings, components: Components) -> None:
        """Keep the settings; nothing is built before a stage is."""
        self.settings, self.components = settings, components

    def default_shares(self) -> Mapping[str, float]:
        """The patches that the preference optimizer is defined with."""
        po = self.settings.po
        return {} if po == "none" else {"preferences": self.components.preference_optimizer(po).share}

    def stages(self, task: TaskInfo, budget: Budget) -> list[StageSpec]:
        s = self.settings
        before = self.components.method("prompt-das").stages(task, budget)
        if s.po == "none":
            return before
        optimizer = self.components.preference_optimizer(s.po)
        if optimizer.share >= 1 and budget.patches < 1:
            raise ConfigError(
                f"--po {s.po} asks about every patch, the budget is {budget.patches:.0%} of them.",
                "Use --po slpo for a share of the patches, or --patches 1.",
            )
        crop = before[-1].crops.size

        def build(parent: Stage | None) -> Stage:
            assert parent is not None
            return PreferenceStage(s, self.components.preference_optimizer(s.po), parent.network(), crop)

        spec = StageSpec(
            name=s.po,
            method="prefer-das",
            config=s,
            components=(*before[-1].components, ("preference_optimizer", s.po)),
            crops=CropSpec(crop, source=s.source_batch, foreground=s.foreground),
            iterations=s.iterations,
            build=build,
            asks=("points", "preferences"),
            title=f"prefer-das ({s.po})",
        )
        return [*before, spec]


_PAPER = {
    "batch": 4,
    "source_batch": 4,
    "iterations": 16_000,
    "lr": 5e-6,
    "warmup": 0,
    "floor": 0.2,
    "clip": 0.0,
    "overlap": 0.0,
    "candidate_views": 1,
    "turns": True,
    "sum_patches": True,
}


@hookimpl
def register_methods(register: Register) -> None:
    """Register ``prefer-das``."""
    register(
        Component(
            name="prefer-das",
            factory=PreferDAS,
            config=PreferDASSettings,
            summary="Prompt-DAS, then preference optimisation on patches (--po gpo|lpo|slpo|upo|rn-dpo|none).",
            paper="Prefer-DAS, 2026",
            licence="Apache-2.0, own implementation (the release has no licence and no training code)",
            tags=("po",),
            presets={
                "tiny": {"iterations": 120},
                "small": {},
                "paper": _PAPER,
            },
        )
    )

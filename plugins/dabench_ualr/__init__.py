"""UALR (Wu et al., MICCAI 2021): uncertainty-aware label rectification, and a target model trained from scratch on it.

A model of the source labels the target's training split by Monte-Carlo dropout; the most uncertain pixels of each class
are ignored (scheme ``uncertainty``). A second network, with new weights, learns from these labels alone: no source
crop, nothing inherited, so the source model's mistakes are not where it starts. Dropout is on while training and, as
published, at the final prediction too.

Deviations: see docs/methods/ualr.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from dabench.ops.augmentation import ViewOptions
from dabench.ops.batchnorm import recalibrate
from dabench.ops.dropout import dropout_places, dropping, seeded
from dabench.ops.losses import overlap_loss, segmentation_loss
from dabench.ops.views import draw_views, view_images, view_labels
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
    NetworkStage,
    Prediction,
    Predictor,
    Register,
    SelfTraining,
    Stage,
    StageSpec,
    TaskInfo,
    TrainingData,
    hookimpl,
    plain_batches,
)
from dabench_ualr.settings import PRESETS, RecipeSettings, UALRSettings


class DropoutPredictor(Predictor):
    """A network without prompts in evaluation mode, with dropout or without."""

    def __init__(self, network: nn.Module, rate: float) -> None:
        """``rate`` of feature maps is dropped, the same ones at every call; 0 drops none."""
        self.network, self.rate = network, rate

    def predict(self, images: Tensor, points: Sequence[Tensor] | None = None, *, density: bool = False) -> Prediction:
        """Segment tiles ``(B, 1, H, W)``; the network has not learnt what points or centres are."""
        del points, density
        with dropping(self.network, self.rate, seeded(0)):
            return NetworkPredictor(self.network).predict(images)


class RecipeStage(NetworkStage):
    """A network with new weights that learns from labels, with dropout."""

    settings: RecipeSettings

    def __init__(self, settings: RecipeSettings, network: nn.Module) -> None:
        """Take a network; the stage owns it. Raises ConfigError for one that cannot drop anything."""
        if not dropout_places(network):
            raise ConfigError(
                f"ualr: {type(network).__name__} has neither dropout layers nor a backbone: nothing could be dropped.",
                "Use residual-unet, or a network on a backbone.",
            )
        super().__init__(settings, network)

    def _learn(
        self, images: Tensor, labels: Tensor, generator: torch.Generator, weights: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Segmentation and soft Dice of labelled crops in the student's view; ``weights`` are the labels'."""
        views = draw_views(images, ViewOptions(), generator)
        with dropping(self.student, self.settings.dropout, generator):
            logits = self.student(view_images(views, images)).logits
        labels = view_labels(views, labels)
        # Like labels, to the nearest pixel: a weight stays with its label. It means nothing where that is ignored.
        weights = None if weights is None else view_labels(views, weights)
        terms = {"segmentation": segmentation_loss(logits, labels, weights)}
        if self.settings.overlap:
            terms["overlap"] = self.settings.overlap * overlap_loss(logits, labels, weights)
        return terms

    def predictor(self) -> Predictor:
        return DropoutPredictor(self.student, self.settings.dropout if self.settings.test_dropout else 0.0)


class SourceModel(RecipeStage):
    """Learns from the source's labels."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.source is not None
        return self._learn(batch.source.images, batch.source.labels, batch.generator)


class TargetModel(RecipeStage):
    """Learns from rectified labels of the target, made once, before the first update."""

    def __init__(self, settings: UALRSettings, network: nn.Module, labeller: nn.Module, scheme: SelfTraining) -> None:
        """``labeller`` is the source model; it is copied, ``network`` is not."""
        super().__init__(settings, network)
        self.recalibrated = settings.recalibrate
        self.labeller, self.scheme = deepcopy(labeller).requires_grad_(False), scheme
        self.refresh_every = settings.iterations
        self.scheme.start(self.labeller)

    def modules(self) -> Mapping[str, nn.Module]:
        return {**super().modules(), **self.scheme.modules()}

    def prepare(self, data: TrainingData) -> None:
        self.labeller.to(data.device)
        recalibrate(self.labeller, plain_batches(data, self.recalibrated, self.settings.crop))
        self.scheme.start(self.labeller)
        self.scheme.attach(data)

    def refresh(self, data: TrainingData) -> None:
        self.scheme.refresh(self.labeller, data)

    def state(self) -> dict[str, Tensor]:
        return self.scheme.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.scheme.load_state(state)

    def after_update(self, step: int) -> None:
        # The labeller is the scheme's student from `start` on: a mean of it and of new weights would be no model.
        self.scheme.after_update(self.labeller, step)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.target is not None
        with torch.no_grad():
            pseudo = self.scheme.targets(batch.target, batch.generator)
        self.watched = {
            "pseudo_foreground": (pseudo.labels == 1).float().mean(),
            "pseudo_known": (pseudo.labels != IGNORE).float().mean(),
        }
        return self._learn(batch.target.images, pseudo.labels, batch.generator, pseudo.weights)


class UALR(Method):
    """A source model (the shared one, or one by the paper's recipe), then ``ualr``."""

    def __init__(self, settings: UALRSettings, components: Components) -> None:
        """Keep the settings; nothing is built before a stage is."""
        self.settings, self.components = settings, components

    def stages(self, task: TaskInfo, budget: Budget) -> list[StageSpec]:
        s = self.settings
        before = [self._source()] if s.start == "scratch" else self.components.method(s.start).stages(task, budget)
        made = dict(before[-1].components)
        network, backbone = made["network"], made.get("backbone", "none")
        if getattr(self.components.config("network", network), "pretrained", "none") != "none":
            raise ConfigError(
                f"ualr trains its target model from scratch, but {network}.pretrained names weights.",
                "A ready source model goes into the setting source_checkpoint.",
            )

        def build(parent: Stage | None) -> Stage:
            assert parent is not None
            fresh = self.components.network(network, backbone)
            return TargetModel(s, fresh, parent.network(), self.components.self_training(s.self_training))

        spec = StageSpec(
            name="ualr",
            method="ualr",
            config=s,
            components=(*before[-1].components, ("self_training", s.self_training)),
            crops=CropSpec(s.crop, target=s.batch),
            iterations=s.iterations,
            build=build,
        )
        return [*before, spec]

    def _source(self) -> StageSpec:
        """The paper's source model; its key depends on the recipe alone."""
        s = self.settings
        shared = s.model_dump(include=set(RecipeSettings.model_fields)) | {"iterations": s.source_iterations}
        recipe = RecipeSettings(**shared)
        encoder = (("backbone", s.backbone),) if s.backbone != "none" else ()
        return StageSpec(
            name="ualr-source",
            method="ualr",
            config=recipe,
            components=(("network", s.network), *encoder),
            crops=recipe.crops(),
            iterations=s.source_iterations,
            build=lambda _: SourceModel(recipe, self.components.network(s.network, s.backbone)),
        )


@hookimpl
def register_methods(register: Register) -> None:
    """Register ``ualr``."""
    register(
        Component(
            name="ualr",
            factory=UALR,
            config=UALRSettings,
            summary="Pseudo-labels rectified by Monte-Carlo dropout, and a target model trained from scratch on them.",
            paper="Wu et al., Uncertainty-aware Label Rectification for Mitochondria Segmentation, MICCAI 2021",
            licence="Apache-2.0, own implementation (the release has no licence)",
            presets=PRESETS,
        )
    )

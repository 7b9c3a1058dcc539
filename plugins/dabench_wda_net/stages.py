"""The stages of WDA-Net: counting on the source, then segmentation and detection on both domains, twice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dabench.ops.adversarial import SOURCE, TARGET, PatchDiscriminator, domain_loss, frozen, two_classes
from dabench.ops.augmentation import STRONG, View, ViewOptions
from dabench.ops.batchnorm import frozen_statistics, recalibrate
from dabench.ops.losses import segmentation_loss, sparse_detection_loss
from dabench.ops.objectives import supervised_terms, total
from dabench.ops.prompts import NetworkOutput
from dabench.ops.views import draw_views, view_images, view_labels, view_points, view_source
from dabench.plugin import (
    Batch,
    ConfigError,
    NetworkPredictor,
    OptimizerSpec,
    OptimizerStep,
    Predictor,
    SelfTraining,
    SourceCrops,
    Stage,
    TargetCrops,
    TrainingData,
    plain_batches,
)
from dabench_wda_net.counting import CountingNetwork, count_ranking, implied_count
from dabench_wda_net.cut_paste import ViewData, cut_paste
from dabench_wda_net.detection import dense_detection
from dabench_wda_net.settings import WDANetSettings

#: The release's list: a block of augmentations with chance 0.5, its members with 0.5 (motion blur 0.2).
_VIEW = {"flip": 0.25, "turn": 0.25, "perspective": 0.0, "jitter": 0.25, "noise": 0.0, "motion_blur": 0.1}


class CountingStage(Stage):
    """Learns to count on the source; the segmenter goes through untouched."""

    def __init__(self, settings: WDANetSettings, counter: CountingNetwork, network: nn.Module) -> None:
        """Take a fresh counting network, and the network that a following stage starts from."""
        self.settings, self.counter, self._network = settings, counter, network

    def modules(self) -> Mapping[str, nn.Module]:
        return {"network": self._network, "counter": self.counter}

    def optimizer_steps(self) -> Sequence[OptimizerStep]:
        spec = OptimizerSpec(self.settings.counter_lr, name="adam", weight_decay=0.0)
        return [OptimizerStep("counter", self.counter.parameters, spec)]

    def step(self, batch: Batch, optimizer: str) -> dict[str, Tensor]:
        """Squared error of the count and of the density."""
        del optimizer
        assert batch.source is not None
        crops = view_source(batch.source, STRONG, batch.generator)
        counts, density = self.counter(crops.images)
        truth = torch.tensor([float(len(p)) for p in crops.points], device=counts.device)
        terms = {"count": F.mse_loss(counts, truth)}
        terms["density"] = self.settings.counter_density * dense_detection(density, crops.points)
        return {"loss": total(terms), **terms}

    def predictor(self) -> Predictor:
        return NetworkPredictor(self._network)


@dataclass(frozen=True)
class Seen:
    """Foreground probabilities ``(B, H, W)`` of both domains, without gradient, for the discriminator."""

    source: Tensor
    target: Tensor


class WDANetStage(Stage):
    """Segmentation and detection on both domains; with a scheme it is the second stage, with pseudo-labels."""

    def __init__(
        self,
        settings: WDANetSettings,
        network: nn.Module,
        counter: CountingNetwork,
        scheme: SelfTraining | None = None,
    ) -> None:
        """Own the network and the counting network, which stays as it is."""
        self.settings, self.student, self.scheme = settings, network, scheme
        self.counter = counter.requires_grad_(False)
        self.discriminator = PatchDiscriminator(2, settings.discriminator_widths, settings.discriminator_groups)
        self.seen: Seen | None = None
        if scheme is not None:
            scheme.start(network)
            self.refresh_every = math.ceil(settings.iterations / settings.rounds) if scheme.rounds else 0

    def modules(self) -> Mapping[str, nn.Module]:
        scheme = {} if self.scheme is None else self.scheme.modules()
        return {"network": self.student, "counter": self.counter, "discriminator": self.discriminator, **scheme}

    def optimizer_steps(self) -> Sequence[OptimizerStep]:
        s = self.settings
        segmenter = OptimizerSpec(s.lr, name=s.optimizer, weight_decay=s.weight_decay, warmup=s.warmup, clip=s.clip)
        discriminator = OptimizerSpec(s.discriminator_lr, name="adam", weight_decay=0.0, betas=(0.9, 0.99))
        return [
            OptimizerStep("segmenter", self.student.parameters, segmenter),
            OptimizerStep("discriminator", self.discriminator.parameters, discriminator),
        ]

    def prepare(self, view: TrainingData) -> None:
        self.counter.eval()
        if self.scheme is None:
            recalibrate(self.student, plain_batches(view, self.settings.recalibrate, self.settings.crop))
        else:
            self.scheme.attach(view)

    def refresh(self, view: TrainingData) -> None:
        if self.scheme is not None:
            self.scheme.refresh(self.student, view)

    def state(self) -> dict[str, Tensor]:
        return {} if self.scheme is None else self.scheme.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        if self.scheme is not None:
            self.scheme.load_state(state)

    def after_update(self, step: int) -> None:
        if self.scheme is not None:
            self.scheme.after_update(self.student, step)

    def step(self, batch: Batch, optimizer: str) -> dict[str, Tensor]:
        return self._discriminator_losses() if optimizer == "discriminator" else self._segmenting(batch)

    def _segmenting(self, batch: Batch) -> dict[str, Tensor]:
        """Everything that the segmenter learns from, in one update."""
        assert batch.source is not None
        assert batch.target is not None
        terms, on_source = self._source_terms(view_source(batch.source, ViewOptions(**_VIEW), batch.generator))
        remaining = max(0.0, 1 - batch.step / self.settings.iterations)
        on_target = self._target_terms(terms, self._scenes(batch.target, batch.generator), remaining)
        self.seen = Seen(on_source.detach(), on_target.detach())
        return {"loss": total(terms), **terms}

    def _source_terms(self, crops: SourceCrops) -> tuple[dict[str, Tensor], Tensor]:
        """Segmentation and detection from dense labels, and the logits."""
        s = self.settings
        with frozen_statistics(self.student):
            output = self.student(crops.images, with_density=True)
        terms = supervised_terms(output, crops.labels, s.overlap)
        weight = s.detection_source if self.scheme is None else s.detection
        terms["detection"] = weight * dense_detection(_density(output), crops.points)
        return terms, output.logits

    def _scenes(self, crops: TargetCrops, generator: torch.Generator) -> list[ViewData]:
        """Target crops in the student's view; the second half of the batch was drawn to be pasted from."""
        second = self.scheme is not None
        count = len(crops.images) // 2
        scenes = [self._pasted(one, donor, generator) for one, donor in self._pairs(crops, count, generator)]
        options = ViewOptions(elastic=self.settings.elastic if second else 0.0, **_VIEW)
        views = draw_views(torch.stack([scene.image for scene in scenes]), options, generator)
        images = view_images(views, torch.stack([scene.image for scene in scenes]))
        points = view_points(views, [scene.points for scene in scenes])
        labels = _warped(views, [scene.labels for scene in scenes])
        weights = _warped(views, [scene.weights for scene in scenes])
        return [ViewData(*scene) for scene in zip(images, points, labels, weights, strict=True)]

    def _pairs(self, crops: TargetCrops, count: int, generator: torch.Generator) -> list[tuple[ViewData, ViewData]]:
        labels: Sequence[Tensor | None] = [None] * len(crops.images)
        weights = labels
        if self.scheme is not None:
            with torch.no_grad():
                pseudo = self.scheme.targets(crops, generator)
            labels, weights = list(pseudo.labels), list(pseudo.weights)
        scenes = [ViewData(*scene) for scene in zip(crops.images, crops.points, labels, weights, strict=True)]
        return list(zip(scenes[:count], scenes[count:], strict=True))

    def _pasted(self, scene: ViewData, donor: ViewData, generator: torch.Generator) -> ViewData:
        s = self.settings
        chance = s.cut_paste[0 if self.scheme is None else 1]
        if float(torch.rand((), generator=generator)) >= chance:
            return scene
        return cut_paste(scene, donor, max(1, round(s.paste * scene.image.shape[-1])), generator)

    def _target_terms(self, terms: dict[str, Tensor], scenes: list[ViewData], remaining: float) -> Tensor:
        """Adds pseudo-labels, sparse detection, count constraint and adversarial_loss; gives the logits."""
        s = self.settings
        images = torch.stack([scene.image for scene in scenes])
        output = self.student(images, with_density=True)
        density = _density(output)
        labels = _known([scene.labels for scene in scenes])
        weights = _known([scene.weights for scene in scenes])
        if labels:
            terms["pseudo"] = s.pseudo * segmentation_loss(output.logits, torch.stack(labels), torch.stack(weights))
        points = [scene.points for scene in scenes]
        sure = output.probability.detach() < s.background
        terms["target_detection"] = s.detection * sparse_detection_loss(density, points, sure)
        with torch.no_grad():
            counted, _ = self.counter(images)
        ranking = count_ranking(implied_count(density), counted, s.margin)
        terms["counting"] = s.counting * remaining * ranking
        with frozen(self.discriminator):
            adversarial_loss = domain_loss(self.discriminator(two_classes(output.logits)), SOURCE)
        terms["adversarial_loss"] = s.adversarial * adversarial_loss
        logits: Tensor = output.logits
        return logits

    def _discriminator_losses(self) -> dict[str, Tensor]:
        """The discriminator tells the two domains apart; half a loss a domain."""
        assert self.seen is not None
        terms = {
            "source": domain_loss(self.discriminator(two_classes(self.seen.source)), SOURCE) / 2,
            "target": domain_loss(self.discriminator(two_classes(self.seen.target)), TARGET) / 2,
        }
        self.seen = None
        return {"loss": total(terms), **terms}

    def predictor(self) -> Predictor:
        return NetworkPredictor(self.student)


def _known(maps: Sequence[Tensor | None]) -> list[Tensor]:
    """The maps that there are: all in the second stage, none in the first."""
    return [plane for plane in maps if plane is not None]


def _warped(views: list[View], maps: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
    """Labels in the student's view, or weights: like labels to the nearest pixel, so that each stays with its label."""
    known = _known(maps)
    return list(view_labels(views, torch.stack(known))) if known else maps


def _density(output: NetworkOutput) -> Tensor:
    if output.density is None:
        raise ConfigError("wda-net needs a network with a detection head.", "promptable and factorised have one.")
    return output.density

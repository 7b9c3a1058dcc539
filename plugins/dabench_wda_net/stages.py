"""The stages of WDA-Net: counting on the source, then segmentation and detection on both domains, twice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dabench.ops.adversarial import PatchDiscriminator, two_classes
from dabench.ops.augmentation import STRONG, View, ViewOptions
from dabench.ops.batchnorm import frozen_statistics
from dabench.ops.losses import segmentation_loss, sparse_detection_loss
from dabench.ops.objectives import supervised_terms
from dabench.ops.prompts import NetworkOutput
from dabench.ops.views import draw_views, view_images, view_labels, view_points, view_source
from dabench.plugin import (
    AdversarialStage,
    Batch,
    ConfigError,
    NetworkStage,
    OptimizerSpec,
    OptimizerStep,
    SelfTraining,
    SourceCrops,
    TargetCrops,
    TrainingData,
)
from dabench_wda_net.counting import CountingNetwork, count_ranking, implied_count
from dabench_wda_net.cut_paste import Sample, cut_paste
from dabench_wda_net.detection import dense_detection
from dabench_wda_net.settings import WDANetSettings

#: The release's list: a block of augmentations with chance 0.5, its members with 0.5 (motion blur 0.2).
_VIEW = ViewOptions(flip=0.25, turn=0.25, perspective=0.0, jitter=0.25, noise=0.0, motion_blur=0.1)


class CountingStage(NetworkStage):
    """Learns to count on the source; the segmenter goes through untouched."""

    settings: WDANetSettings

    def __init__(self, settings: WDANetSettings, counter: CountingNetwork, network: nn.Module) -> None:
        """Take a fresh counting network, and the network that a following stage starts from."""
        super().__init__(settings, network)
        self.counter = counter

    def modules(self) -> Mapping[str, nn.Module]:
        return {"network": self.student, "counter": self.counter}

    def optimizer_steps(self) -> Sequence[OptimizerStep]:
        spec = OptimizerSpec(self.settings.counter_lr, name="adam", weight_decay=0.0)
        return [OptimizerStep("counter", self.counter.parameters, spec)]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Squared error of the count and of the density."""
        assert batch.source is not None
        crops = view_source(batch.source, STRONG, batch.generator)
        counts, density = self.counter(crops.images)
        truth = torch.tensor([float(len(p)) for p in crops.points], device=counts.device)
        terms = {"count": F.mse_loss(counts, truth)}
        terms["density"] = self.settings.counter_density * dense_detection(density, crops.points)
        return terms


class WDANetStage(AdversarialStage):
    """Segmentation and detection on both domains; with a scheme it is the second stage, with pseudo-labels."""

    settings: WDANetSettings

    def __init__(
        self,
        settings: WDANetSettings,
        network: nn.Module,
        counter: CountingNetwork,
        scheme: SelfTraining | None = None,
        discriminators: nn.Module | None = None,
    ) -> None:
        """Own the network and the counting network, which stays as it is; go on with these discriminators, if any."""
        discriminator = PatchDiscriminator(2, settings.discriminator_widths, settings.discriminator_groups)
        super().__init__(settings, network, {"labels": discriminator})
        if discriminators is not None:
            self.discriminators.load_state_dict(discriminators.state_dict())
        self.counter, self.scheme = counter.requires_grad_(False), scheme
        if scheme is not None:
            scheme.start(network)
            self.refresh_every = math.ceil(settings.iterations / settings.rounds) if scheme.rounds else 0

    def modules(self) -> Mapping[str, nn.Module]:
        scheme = {} if self.scheme is None else self.scheme.modules()
        return {**super().modules(), "counter": self.counter, **scheme}

    def prepare(self, data: TrainingData) -> None:
        self.counter.eval()
        if self.scheme is None:
            super().prepare(data)
        else:
            self.scheme.attach(data)

    def refresh(self, data: TrainingData) -> None:
        if self.scheme is not None:
            self.scheme.refresh(self.student, data)

    def state(self) -> dict[str, Tensor]:
        return {} if self.scheme is None else self.scheme.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        if self.scheme is not None:
            self.scheme.load_state(state)

    def after_update(self, step: int) -> None:
        if self.scheme is not None:
            self.scheme.after_update(self.student, step)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Everything that the segmenter learns from, in one update."""
        labelled, unlabelled = batch.both()
        terms, on_source = self._source_terms(view_source(labelled, _VIEW, batch.generator))
        remaining = max(0.0, 1 - batch.step / self.settings.iterations)
        on_target = self._target_terms(terms, self._samples(unlabelled, batch.generator), remaining)
        shown = {"labels": (two_classes(on_source), two_classes(on_target))}
        return terms | self.adversarial_losses(shown, {"labels": self.settings.adversarial})

    def _source_terms(self, crops: SourceCrops) -> tuple[dict[str, Tensor], Tensor]:
        """Segmentation and detection from dense labels, and the logits."""
        s = self.settings
        with frozen_statistics(self.student):
            output = self.student(crops.images, with_density=True)
        terms = supervised_terms(output, crops.labels, s.overlap)
        weight = s.detection_source if self.scheme is None else s.detection
        terms["detection"] = weight * dense_detection(_density(output), crops.points)
        return terms, output.logits

    def _samples(self, crops: TargetCrops, generator: torch.Generator) -> list[Sample]:
        """Target crops in the student's view; the second half of the batch was drawn to be pasted from."""
        second = self.scheme is not None
        count = len(crops.images) // 2
        samples = [self._pasted(one, donor, generator) for one, donor in self._pairs(crops, count, generator)]
        s = self.settings
        options = replace(_VIEW, elastic=s.elastic, zoom=s.zoom) if second else _VIEW
        views = draw_views(torch.stack([sample.image for sample in samples]), options, generator)
        images = view_images(views, torch.stack([sample.image for sample in samples]))
        points = view_points(views, [sample.points for sample in samples])
        labels = _warped(views, [sample.labels for sample in samples])
        weights = _warped(views, [sample.weights for sample in samples])
        return [Sample(*sample) for sample in zip(images, points, labels, weights, strict=True)]

    def _pairs(self, crops: TargetCrops, count: int, generator: torch.Generator) -> list[tuple[Sample, Sample]]:
        labels: Sequence[Tensor | None] = [None] * len(crops.images)
        weights = labels
        if self.scheme is not None:
            with torch.no_grad():
                pseudo = self.scheme.targets(crops, generator)
            labels, weights = list(pseudo.labels), list(pseudo.weights)
        samples = [Sample(*sample) for sample in zip(crops.images, crops.points, labels, weights, strict=True)]
        return list(zip(samples[:count], samples[count:], strict=True))

    def _pasted(self, sample: Sample, donor: Sample, generator: torch.Generator) -> Sample:
        s = self.settings
        chance = s.cut_paste[0 if self.scheme is None else 1]
        if float(torch.rand((), generator=generator)) >= chance:
            return sample
        return cut_paste(sample, donor, max(1, round(s.paste * sample.image.shape[-1])), generator)

    def _target_terms(self, terms: dict[str, Tensor], samples: list[Sample], remaining: float) -> Tensor:
        """Adds pseudo-labels, sparse detection and count constraint; gives the logits."""
        s = self.settings
        images = torch.stack([sample.image for sample in samples])
        output = self.student(images, with_density=True)
        density = _density(output)
        labels = _known([sample.labels for sample in samples])
        weights = _known([sample.weights for sample in samples])
        if labels:
            terms["pseudo"] = s.pseudo * segmentation_loss(output.logits, torch.stack(labels), torch.stack(weights))
        points = [sample.points for sample in samples]
        sure = output.probability.detach() < s.background
        terms["target_detection"] = s.detection * sparse_detection_loss(density, points, sure)
        with torch.no_grad():
            counted, _ = self.counter(images)
        ranking = count_ranking(implied_count(density), counted, s.margin)
        terms["counting"] = s.counting * remaining * ranking
        logits: Tensor = output.logits
        return logits


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

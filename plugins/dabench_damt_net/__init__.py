"""DAMT-Net (Peng, Yi, Yuan, 2020): domain adaptive multi-task learning for mitochondria.

Three things tie the domains together: a discriminator on the segmentation map (geometry), one on the finest decoder
feature (texture of what is segmented), and a second decoder without skips that rebuilds the images of both domains
from the same bottleneck.

Deviations: see docs/methods/damt-net.md.
"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor, nn

from dabench.ops.adversarial import PatchDiscriminator, two_classes
from dabench.ops.augmentation import ViewOptions
from dabench.ops.batchnorm import frozen_statistics
from dabench.ops.objectives import supervised_terms
from dabench.ops.prompts import NetworkOutput
from dabench.ops.views import view_source
from dabench.plugin import (
    Adaptation,
    AdversarialStage,
    Batch,
    Component,
    FlippedPredictor,
    Predictor,
    Register,
    hookimpl,
)
from dabench_damt_net.morphology import MorphologyPredictor
from dabench_damt_net.parts import FeatureDiscriminator, ReconstructionDecoder
from dabench_damt_net.settings import PRESETS, DAMTNetSettings


class DAMTNetStage(AdversarialStage):
    """Supervision of the source, discriminators on labels and features, reconstruction of both domains."""

    settings: DAMTNetSettings

    def __init__(self, settings: DAMTNetSettings, network: nn.Module) -> None:
        """Take a network with feature maps; the stage owns it."""
        declared = cast(Any, network)
        decoder = ReconstructionDecoder(declared.encoder_channels)
        discriminators = {
            "label": PatchDiscriminator(2, settings.discriminator_widths),
            "feature": FeatureDiscriminator(declared.decoder_channels, settings.feature_width),
        }
        super().__init__(settings, network, discriminators, decoder=decoder)
        self.view = ViewOptions(perspective=0.0, jitter=0.0, noise=0.0, elastic=settings.elastic)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        s, (labelled, unlabelled) = self.settings, batch.both()
        source = view_source(labelled, self.view, batch.generator)
        with frozen_statistics(self.student):
            on_source: NetworkOutput = self.student(source.images, with_features=True)
        on_target: NetworkOutput = self.student(unlabelled.images, with_features=True)
        assert on_source.features is not None
        assert on_target.features is not None
        terms = supervised_terms(on_source, source.labels, s.overlap)
        shown = {
            "label": (two_classes(on_source.logits), two_classes(on_target.logits)),
            "feature": (on_source.features.decoder, on_target.features.decoder),
        }
        terms |= self.adversarial_losses(shown, {"label": s.label_adversary, "feature": s.feature_adversary})
        if s.reconstruction and batch.step >= s.reconstruction_after * s.iterations:
            errors = self._rebuilding(on_source.features.encoder, source.images)
            errors = errors + self._rebuilding(on_target.features.encoder, unlabelled.images)
            terms["reconstruction"] = s.reconstruction * errors / 2
        return terms

    def _rebuilding(self, encoder: list[Tensor], images: Tensor) -> Tensor:
        """Mean squared error of the rebuilt ``(B, 1, H, W)`` images."""
        return F.mse_loss(self.trained["decoder"](encoder, tuple(images.shape[-2:])), images[:, 0])

    def predictor(self) -> Predictor:
        s = self.settings
        found = super().predictor()
        found = FlippedPredictor(found) if s.flips else found
        return MorphologyPredictor(found, s.opening, s.smallest) if s.morphology else found


@hookimpl
def register_methods(register: Register) -> None:
    """Register ``damt-net``."""
    register(
        Component(
            name="damt-net",
            factory=partial(Adaptation, name="damt-net", stage=DAMTNetStage),
            config=DAMTNetSettings,
            summary="Adversaries on segmentation and decoder feature, and a decoder that rebuilds both domains.",
            paper="Peng, Yi, Yuan, Domain Adaptive Multi-Task Learning, IEEE J. Sel. Top. Signal Process. 2020",
            licence="Apache-2.0, own implementation (the release is for non-commercial research)",
            presets=PRESETS,
        )
    )

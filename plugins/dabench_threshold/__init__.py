"""Self-training scheme ``threshold``: pixels that the student is sure of are labels (Lee 2013; IPL, Table III).

The strategy that IPL compares with: in each round the student labels the whole target training set once, pixel by
pixel; what is neither likely foreground nor likely background is ignored. A given point is always a disc of foreground.

Deviations: see docs/methods/threshold.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from dabench.ops.centres import label_centres
from dabench.ops.components import label_components
from dabench.ops.discs import stamp_discs
from dabench.plugin import (
    IGNORE,
    Array,
    Component,
    FlippedPredictor,
    NetworkPredictor,
    PseudoTargets,
    Register,
    RoundLabels,
    Settings,
    TargetCrops,
    TrainingData,
    hookimpl,
    predict_training,
)


class ThresholdSettings(Settings):
    """When a pixel is trusted."""

    foreground: float = Field(
        0.8, ge=0.5, le=1, description="Pixels of at least this probability are foreground (IPL: 'e.g., 0.95')."
    )
    background: float = Field(
        0.2, ge=0, le=0.5, description="Pixels below this probability are background (IPL: not stated)."
    )
    tile: int = Field(192, ge=16, description="Side of a tile while labelling, in pixels.")
    flips: bool = Field(True, description="Average over four flips of a tile (as in the other strategies of IPL).")
    disc: float = Field(5.0, ge=0, description="Radius of the foreground disc at a given point, pixels (0: none).")


class Threshold(RoundLabels):
    """Labels the whole training set once a round; labels and probabilities are kept as uint8."""

    name, dtype, beyond = "threshold", "uint8", (IGNORE, 0)

    def __init__(self, settings: ThresholdSettings) -> None:
        """No round has begun."""
        super().__init__()
        self.settings = settings

    def look(self, student: nn.Module, data: TrainingData) -> Iterator[Array]:
        """Labels {0, 1, 255} and probabilities times 255 of each slice."""
        network = NetworkPredictor(student)
        predictor = FlippedPredictor(network) if self.settings.flips else network
        for _, seen in predict_training(data, predictor, self.settings.tile):
            yield np.stack([self._labels(seen.probability), np.rint(seen.probability * 255).astype(np.uint8)])

    def _labels(self, probability: Array) -> Array:
        """(H, W) uint8 {0, 1, 255}."""
        labels: Array = np.full(probability.shape, IGNORE, np.uint8)
        labels[probability < self.settings.background] = 0
        labels[probability >= self.settings.foreground] = 1
        return labels

    @torch.no_grad()
    def targets(self, crops: TargetCrops, generator: torch.Generator) -> PseudoTargets:
        """The round's labels, cut where the crops were; see `SelfTraining.targets`."""
        del generator
        planes = self.kept(crops)
        confidence = planes[:, 1].float() / 255
        pairs = list(zip(planes[:, 0], crops.points, strict=True))
        labels = torch.stack([stamp_discs(plane, given, self.settings.disc, 1) for plane, given in pairs])
        points = [torch.cat([given, _centres(plane, given).to(given)]) for plane, given in pairs]
        return PseudoTargets(labels, torch.ones_like(confidence), points, None, confidence)


def _centres(labels: Tensor, given: Tensor) -> Tensor:
    """Centres ``(N, 2)`` of the foreground components of a crop that hold no given point."""
    components = label_components(labels.cpu().numpy() == 1)
    columns, rows = given.cpu().round().long().clamp(min=0).unbind(dim=1)
    height, width = components.shape
    marked = components[rows.clamp(max=height - 1).numpy(), columns.clamp(max=width - 1).numpy()]
    return torch.from_numpy(label_centres(np.where(np.isin(components, marked), 0, components)))


@hookimpl
def register_self_training(register: Register) -> None:
    """Register ``threshold``."""
    register(
        Component(
            "threshold",
            Threshold,
            ThresholdSettings,
            "Rounds: pixels above a confidence are foreground, below another background, the rest is ignored.",
            paper="Lee, Pseudo-Label, ICML workshop 2013; compared with in IPL, Table III",
            licence="Apache-2.0, own implementation",
            presets={
                "tiny": {"tile": 96},
                "small": {},
                "paper": {"tile": 512, "foreground": 0.95, "background": 0.05, "disc": 0.0},
            },
        )
    )

"""Self-training scheme ``entropy``: pixels whose prediction is certain enough for their class (WDA-Net, stage 2).

A round predicts the whole target training set as the mean over four flips. The normalised entropy of that mean says how
unsure a pixel is. For each predicted class the 80th percentile of its pixels' entropies over the whole set, at least
0.5, is the cut; pixels above it are ignored, the others keep their class. So a class that is uncertain everywhere
(the foreground, across a gap) still keeps four fifths of its pixels.
Source: Qiu et al., WDA-Net, BIBM 2022; numbers of the release (docs/facts.md).

Deviations: see docs/methods/entropy.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

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

#: Bins of the histogram that percentiles are read from: a percentile is exact to 1/4096.
_BINS = 4096


class EntropySettings(Settings):
    """What is certain enough."""

    percentile: float = Field(
        80.0, ge=0, le=100, description="Percentile of a class's entropies that is the threshold (release: 80)."
    )
    least: float = Field(0.5, ge=0, le=1, description="Lowest value of that threshold (release: 0.5).")
    tile: int = Field(192, ge=16, description="Side of the tiles that a round predicts, pixels (release: 512).")


class EntropyLabels(RoundLabels):
    """Labels of one round for the whole target training set, of which the probabilities are kept."""

    name, dtype, beyond = "entropy", "float16", (None,)

    def __init__(self, settings: EntropySettings) -> None:
        """Without labels until `refresh`."""
        super().__init__()
        self.settings = settings
        self.cuts = torch.full((2,), settings.least, dtype=torch.float64)

    def look(self, student: nn.Module, data: TrainingData) -> Iterator[Array]:
        """The probabilities of each slice; renews the cuts after the last."""
        counts = np.zeros((2, _BINS), np.int64)
        predictor = FlippedPredictor(NetworkPredictor(student))
        for _, seen in predict_training(data, predictor, self.settings.tile):
            probability = seen.probability.astype(np.float16)
            counts += entropy_histogram(probability)
            yield probability[None]
        self.cuts = torch.from_numpy(entropy_cuts(counts, self.settings.percentile, self.settings.least))

    def state(self) -> dict[str, Tensor]:
        """The round, and each class's cut."""
        return {**super().state(), "cuts": self.cuts}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` gave."""
        super().load_state(state)
        self.cuts = state["cuts"].cpu()

    def targets(self, crops: TargetCrops, generator: torch.Generator) -> PseudoTargets:
        """Cut the round's labels like the crops; the given points are the only points."""
        del generator
        probability = self.kept(crops)[:, 0].float()
        labels = certain_labels(probability, self.cuts.to(probability))
        return PseudoTargets(labels, torch.ones_like(probability), list(crops.points), None, probability)


def normalised_entropy(probability: Tensor) -> Tensor:
    """Entropy of (p, 1 - p) over log 2, so 1 at one half and 0 at certainty; any shape, float32 in [0, 1]."""
    p = probability.float()
    bits: Tensor = -(torch.special.xlogy(p, p) + torch.special.xlogy(1 - p, 1 - p)) / math.log(2)
    return bits.clamp(0, 1)


def entropy_histogram(probability: Array) -> Array:
    """Entropies of one slice ``(H, W)``, counted by predicted class: ``(2, bins)`` int64."""
    seen = torch.from_numpy(np.array(probability, np.float32))
    bins = (normalised_entropy(seen) * _BINS).long().clamp(max=_BINS - 1)
    counts = torch.bincount((bins + _BINS * (seen > 0.5)).flatten(), minlength=2 * _BINS)
    result: Array = counts.view(2, _BINS).numpy()
    return result


def entropy_cuts(counts: Array, percentile: float, least: float) -> Array:
    """Cut of each class: the upper edge of the bin in which its percentile lies, at least ``least``.

    Args:
        counts: (2, bins) int64, entropies of the pixels of each predicted class.
        percentile: in [0, 100].
        least: in [0, 1]; also the cut of a class without pixels.

    Returns:
        (2,) float64 in [0, 1].
    """
    reached = counts.cumsum(axis=1)
    totals = reached[:, -1:]
    edges = ((reached < percentile / 100 * totals).sum(axis=1) + 1) / counts.shape[1]
    cuts: Array = np.where(totals[:, 0] > 0, np.clip(edges, least, 1.0), least)
    return cuts


def certain_labels(probability: Tensor, cuts: Tensor) -> Tensor:
    """Predicted class where its entropy is not above the class's cut, else ignored.

    Args:
        probability: (B, H, W) float in [0, 1].
        cuts: (2,) float, of background and foreground.

    Returns:
        (B, H, W) uint8 in {0, 1, 255}.
    """
    labels = (probability > 0.5).to(torch.uint8)
    return labels.masked_fill(normalised_entropy(probability) > cuts[labels.long()], IGNORE)


@hookimpl
def register_self_training(register: Register) -> None:
    """Register ``entropy``."""
    register(
        Component(
            "entropy",
            EntropyLabels,
            EntropySettings,
            "Rounds of labels that are certain enough for their class, by entropy.",
            paper="Qiu et al., WDA-Net, BIBM 2022",
            licence="Apache-2.0, own implementation",
            presets={"tiny": {"tile": 96}, "small": {}, "paper": {"tile": 512}},
        )
    )

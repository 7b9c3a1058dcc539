"""Self-training scheme ``uncertainty``: pseudo-labels rectified by Monte-Carlo dropout (UALR, MICCAI 2021).

A round predicts the whole target training set ten times with dropout. The mean over the passes is the probability,
their standard deviation the uncertainty. For each predicted class (p >= 1/2, p < 1/2) the 95th percentile of its
pixels' uncertainties over the whole set is the cut: pixels above it are ignored, the others keep their class. So a
class keeps nearly all its pixels however uncertain it is, and the rare foreground is not drowned.
Source: Wu et al., section 2; numbers of the release (docs/facts.md).

Deviations: see docs/methods/uncertainty.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from dabench.ops.dropout import dropping, seeded
from dabench.plugin import (
    IGNORE,
    Array,
    Component,
    NetworkPredictor,
    Prediction,
    Predictor,
    PseudoTargets,
    Register,
    RoundLabels,
    Settings,
    TargetCrops,
    TrainingData,
    hookimpl,
    predict_training,
)

#: Bit patterns of float16; those of numbers >= 0 are in the order of the numbers.
_PATTERNS = 2**15


class UncertaintySettings(Settings):
    """How uncertainty is measured, and how much of it is trusted."""

    passes: int = Field(5, ge=2, description="Monte-Carlo passes T (release: 10).")
    dropout: float = Field(0.2, gt=0, lt=1, description="Share of feature maps dropped in a pass (paper: 0.5).")
    percentile: float = Field(
        95.0,
        ge=0,
        le=100,
        description="Percentile of a class's uncertainties over the target set that is the threshold (release: 95).",
    )
    tile: int = Field(192, ge=16, description="Side of the tiles that a round predicts, pixels (release: 576).")


class MonteCarloPredictor(Predictor):
    """Several passes with dropout: their mean, and in the place of a density their standard deviation in [0, 0.5]."""

    def __init__(self, network: nn.Module, settings: UncertaintySettings, generator: torch.Generator) -> None:
        """The generator draws what is dropped, pass by pass."""
        self.network, self.settings, self.generator = network, settings, generator

    def predict(self, images: Tensor, points: Sequence[Tensor] | None = None, *, density: bool = False) -> Prediction:
        """Segment tiles ``(B, 1, H, W)``; see `Predictor.predict`."""
        plain, s = NetworkPredictor(self.network), self.settings
        with dropping(self.network, s.dropout, self.generator):
            passes = torch.stack([plain.predict(images, points).probability for _ in range(s.passes)])
        return Prediction(passes.mean(dim=0), passes.std(dim=0, correction=0) if density else None)


class UncertaintyLabels(RoundLabels):
    """Labels of one round for the whole target training set, of which mean and standard deviation are kept."""

    name, dtype, beyond = "uncertainty", "float16", (None, None)

    def __init__(self, settings: UncertaintySettings) -> None:
        """Without labels until `refresh`."""
        super().__init__()
        self.settings = settings
        self.cuts = torch.full((2,), float("inf"), dtype=torch.float64)
        self._seed = 0

    def attach(self, data: TrainingData) -> None:
        """Remember where the rounds' predictions lie, and where the rounds' draws begin (the same at every start)."""
        super().attach(data)
        self._seed = int(data.rng.integers(2**62))

    def look(self, student: nn.Module, data: TrainingData) -> Iterator[Array]:
        """Mean and standard deviation of each slice; renews the cuts after the last."""
        predictor = MonteCarloPredictor(student, self.settings, seeded(self._seed + self.round))
        counts = np.zeros((2, _PATTERNS), np.int64)
        for _, seen in predict_training(data, predictor, self.settings.tile, density=True):
            assert seen.density is not None
            mean, deviation = seen.probability.astype(np.float16), seen.density.astype(np.float16)
            counts += count_uncertainties(mean, deviation)
            yield np.stack([mean, deviation])
        self.cuts = torch.from_numpy(uncertainty_cuts(counts, self.settings.percentile))

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
        mean, deviation = self.kept(crops).float().unbind(dim=1)
        labels = rectified(mean, deviation, self.cuts.to(deviation))
        return PseudoTargets(labels, torch.ones_like(mean), list(crops.points), None, mean)


def count_uncertainties(mean: Array, deviation: Array) -> Array:
    """How often each uncertainty occurs in each predicted class (background first): ``(2, 2**15)`` int64.

    Args:
        mean: (H, W) float16 in [0, 1].
        deviation: (H, W) float16 >= 0; counted by its bit pattern, so nothing is rounded.
    """
    # Without a sign bit; -0 cannot come from a standard deviation, yet abs costs nothing.
    patterns = np.abs(deviation).astype(np.float16).view(np.int16).astype(np.int64)
    both = np.bincount((patterns + _PATTERNS * (mean >= 0.5)).ravel(), minlength=2 * _PATTERNS)
    counts: Array = both.reshape(2, _PATTERNS)
    return counts


def uncertainty_cuts(counts: Array, percentile: float) -> Array:
    """The uncertainty of each class that ``percentile`` % of its pixels do not exceed.

    Args:
        counts: (2, 2**15) int64, as `count_uncertainties` gives them, summed over the set.
        percentile: in [0, 100].

    Returns:
        (2,) float64; infinity for a class without pixels.
    """
    reached = counts.cumsum(axis=1)
    totals = reached[:, -1]
    # At least one pixel, so that percentile 0 is the least uncertainty that occurs.
    needed = np.maximum(np.ceil(percentile / 100 * totals), 1)
    patterns = (reached < needed[:, None]).sum(axis=1).clip(max=_PATTERNS - 1).astype(np.int16)
    cuts: Array = np.where(totals > 0, patterns.view(np.float16).astype(np.float64), np.inf)
    return cuts


def rectified(mean: Tensor, deviation: Tensor, cuts: Tensor) -> Tensor:
    """Predicted class where its uncertainty is not above the class's cut, else ignored.

    Args:
        mean: (B, H, W) float in [0, 1].
        deviation: (B, H, W) float >= 0.
        cuts: (2,) float, of background and foreground.

    Returns:
        (B, H, W) uint8 {0, 1, 255}.
    """
    labels = (mean >= 0.5).to(torch.uint8)
    return labels.masked_fill(deviation > cuts[labels.long()], IGNORE)


@hookimpl
def register_self_training(register: Register) -> None:
    """Register ``uncertainty``."""
    register(
        Component(
            name="uncertainty",
            factory=UncertaintyLabels,
            config=UncertaintySettings,
            summary="Rounds of pseudo-labels from Monte-Carlo dropout, the most uncertain of each class ignored.",
            paper="Wu et al., Uncertainty-aware Label Rectification for Mitochondria Segmentation, MICCAI 2021",
            licence="Apache-2.0, own implementation (the release has no licence)",
            presets={"tiny": {"tile": 96}, "small": {}, "paper": {"passes": 10, "dropout": 0.5, "tile": 576}},
        )
    )

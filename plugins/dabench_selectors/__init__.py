"""Selectors: which checkpoint, cut at which threshold, predicts. None of them sees a target label.

``last`` looks at nothing; ``source-validation`` at labelled source slices, ``target-entropy`` at target training
images, ``point-agreement`` at the points that were paid for anyway. What each can and cannot see: docs/selection.md.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from pydantic import Field

from dabench.ops.agreement import Agreement
from dabench.plugin import Candidate, Component, Register, SelectionData, Selector, Settings, hookimpl
from dabench_selectors.entropy import bits


class SliceSettings(Settings):
    """How much is predicted."""

    slices: int = Field(8, ge=1, description="Slices that every checkpoint predicts, evenly spread.")


class EntropySettings(SliceSettings):
    """How much is predicted, and what counts as collapsed."""

    diversity: float = Field(
        1.0,
        ge=0,
        description="Weight of the added entropy of the mean prediction: 1 is mutual information, 0 only entropy.",
    )
    least: float = Field(
        0.001,
        ge=0,
        lt=0.5,
        description="Smallest share of foreground, and of background; a candidate with less comes last, whatever "
        "its score.",
    )


class Last(Selector):
    """The last update at the threshold that is named first: nothing is looked at."""

    def scores(self, candidates: Sequence[Candidate], data: SelectionData) -> list[float]:
        """The number of updates."""
        del data
        return [float(candidate.update) for candidate in candidates]


class EachModel(Selector):
    """Scores one checkpoint after the other: its slices are predicted once, whatever the number of thresholds."""

    def scores(self, candidates: Sequence[Candidate], data: SelectionData) -> list[float]:
        """The scores of `score`, in the order of the candidates."""
        thresholds: dict[int, list[float]] = {}
        for candidate in candidates:
            thresholds.setdefault(candidate.update, []).append(candidate.threshold)
        found = {
            (update, threshold): score
            for update, cuts in thresholds.items()
            for threshold, score in zip(cuts, self.score(update, cuts, data), strict=True)
        }
        return [found[candidate.update, candidate.threshold] for candidate in candidates]

    @abstractmethod
    def score(self, update: int, thresholds: Sequence[float], data: SelectionData) -> list[float]:
        """One checkpoint at each threshold."""


class SourceValidation(EachModel):
    """Dice on labelled source slices that no stage trains on, over all their pixels at once."""

    looks_at = ("source",)

    def __init__(self, settings: SliceSettings) -> None:
        """Take the settings."""
        self.settings = settings

    def score(self, update: int, thresholds: Sequence[float], data: SelectionData) -> list[float]:
        """2 |P ∩ G| / (|P| + |G|) at each threshold; pixels labelled 255 are ignored; 1 if both are empty."""
        both, total = np.zeros(len(thresholds)), np.zeros(len(thresholds))
        for seen in data.source(update, self.settings.slices):
            assert seen.label is not None
            known, true = seen.label != 255, seen.label == 1
            masks = [seen.mask(threshold) & known for threshold in thresholds]
            both += [(mask & true).sum() for mask in masks]
            total += [mask.sum() + true.sum() for mask in masks]
        return [float(2 * b / t) if t else 1.0 for b, t in zip(both, total, strict=True)]


class TargetEntropy(EachModel):
    """Sureness on target training slices: minus the mean entropy of a pixel, in bits.

    A model that misses most of the foreground is sure, too. So the entropy of the mean prediction is added: with weight
    1 the sum is the mutual information of pixel and class (information maximisation).
    """

    looks_at = ("target",)

    def __init__(self, settings: EntropySettings) -> None:
        """Take the settings."""
        self.settings = settings

    def score(self, update: int, thresholds: Sequence[float], data: SelectionData) -> list[float]:
        """The same at every threshold, but for candidates that are all background or all foreground."""
        entropy, means, shares = [], [], []
        for seen in data.target(update, self.settings.slices):
            probability = seen.probability.astype(np.float64)
            entropy.append(bits(probability).mean())
            means.append(probability.mean())
            shares.append([seen.mask(threshold).mean() for threshold in thresholds])
        weight, least = self.settings.diversity, self.settings.least
        sure = float(weight * bits(np.mean(means)) - np.mean(entropy))
        # In [-1, weight]; whoever has collapsed is below that.
        return [sure if least <= share <= 1 - least else sure - 2 - weight for share in np.mean(shares, axis=0)]


class PointAgreement(EachModel):
    """Agreement with the points on target training slices: estimated F1 of detection where they imply a count.

    A threshold above one half drops false objects and makes all others too small, which points do not see. So it counts
    as many objects as one half: it gains by what it separates or keeps off negative clicks, not by what it drops.
    """

    looks_at = ("target", "points")
    chooses_by_points = True

    def __init__(self, settings: SliceSettings) -> None:
        """Take the settings."""
        self.settings = settings

    def score(self, update: int, thresholds: Sequence[float], data: SelectionData) -> list[float]:
        """See `Agreement`; slices without a click are ignored, because they may not have been annotated."""
        clicks, found = data.clicks(), {threshold: Agreement() for threshold in (*thresholds, 0.5)}
        for seen in data.target(update, self.settings.slices, among=sorted(clicks)):
            for threshold, agreement in found.items():
                agreement.add(seen.mask(threshold), clicks[seen.z])
        return [found[cut].score(found[0.5].objects if cut > 0.5 else 0) for cut in thresholds]


_LICENCE = "Apache-2.0, own implementation"


@hookimpl
def register_selectors(register: Register) -> None:
    """Register the four rules."""
    register(
        Component(
            "last",
            lambda config: Last(),  # noqa: ARG005
            summary="The last update, at the threshold that is named first; looks at nothing.",
            paper="the rule of every row of the benchmark",
            licence=_LICENCE,
        )
    )
    register(
        Component(
            "source-validation",
            SourceValidation,
            SliceSettings,
            "Highest Dice on labelled source slices that no stage trains on.",
            paper="compared as 'source accuracy' by Musgrave et al., arXiv:2208.07360 (2022)",
            licence=_LICENCE,
        )
    )
    register(
        Component(
            "target-entropy",
            TargetEntropy,
            EntropySettings,
            "Surest of every pixel of target training slices, and unlike from pixel to pixel.",
            paper="Morerio et al., ICLR 2018, arXiv:1711.10288; with diversity: Musgrave et al., arXiv:2208.07360",
            licence=_LICENCE,
        )
    )
    register(
        Component(
            "point-agreement",
            PointAgreement,
            SliceSettings,
            "Highest F1 of detection on target training slices, as estimated from the points that were given there.",
            paper="dabench",
            licence=_LICENCE,
        )
    )

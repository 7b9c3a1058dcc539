"""The preference optimizers of Prefer-DAS: ``gpo``, ``lpo``, ``slpo``, ``upo``; and ``rn-dpo`` (`region`).

Those of Prefer-DAS differ in which patches are asked about and who answers; the loss is softmax-DPO (Eqs. 4, 8, 9 with
the sign of the authors' code: the printed one pushes dispreferred masks up), or DPO with a single negative (Eq. 3).

Deviations: (1) the sign; (2) the log-probability of a patch is the mean over its pixels as in the release, or over the
pixels where its candidates differ (`reduction`); (3) patches whose candidates are all equal tell nothing and are
never asked, so SLPO's share is drawn among the others.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from dabench.ops.levelset import LevelSetSettings, refine_masks
from dabench.plugin import Array, Component, PatchPool, PreferenceOptimizer, Register, Settings, hookimpl
from dabench_preference.asking import Asking, wanted
from dabench_preference.losses import (
    differing_pixels,
    draw_share,
    log_probability,
    multi_negative_loss,
    single_negative_loss,
)
from dabench_preference.region import RegionNormalised, RegionSettings


class PreferenceSettings(Settings):
    """What the optimizers share."""

    beta: float = Field(1.0, gt=0, description="Temperature β (paper: 1).")
    negatives: Literal["multiple", "single"] = Field(
        "multiple", description="All other candidates, or one (Table III)."
    )
    reduction: Literal["mean", "differing", "sum"] = Field(
        "mean", description="Log-probability of a patch: mean over its pixels (release), over differing ones, or sum."
    )
    side: int = Field(3, ge=1, description="Patches per side of a tile, L (paper: 3; GPO: 1).")


class GlobalSettings(PreferenceSettings):
    """One preference per tile."""

    side: int = Field(1, ge=1, description="Patches per side of a tile, L (paper: 3; GPO: 1).")


class SparseSettings(PreferenceSettings, Asking):
    """Preferences on a share of all patches."""

    share: float = Field(0.15, ge=0, le=1, description="Share of all training patches asked about (paper: 0.15).")


class DirectPreference(PreferenceOptimizer):
    """Softmax-DPO on patches; asks about every informative patch."""

    def __init__(self, settings: PreferenceSettings) -> None:
        """Take β, the negatives, the reduction and L."""
        self.settings = settings
        self.patches_per_side = settings.side

    def select(self, informative: Array, budget: float, rng: np.random.Generator) -> Array:
        """Every informative patch; a budget below that is refused by the desk, not quietly met."""
        del budget, rng
        return np.flatnonzero(informative)

    def loss(
        self,
        logits: torch.Tensor,
        reference: torch.Tensor,
        candidates: torch.Tensor,
        valid: torch.Tensor,
        preferred: torch.Tensor,
    ) -> torch.Tensor:
        """(P,) losses, see `PreferenceOptimizer.loss`."""
        s = self.settings
        region = differing_pixels(candidates, valid) if s.reduction == "differing" else None
        policy = log_probability(logits, candidates, region, s.reduction)
        frozen = log_probability(reference, candidates, region, s.reduction)
        # A row for each candidate as the preferred one, against all that are not; most rows have weight 0.
        chosen, (patches, shown) = (policy - frozen).flatten(), preferred.shape
        others = (policy - frozen).repeat_interleave(shown, dim=0)
        other = (valid & (preferred == 0)).repeat_interleave(shown, dim=0)
        if s.negatives == "multiple":
            losses = multi_negative_loss(chosen, others, other, s.beta)
        else:
            worst = _distances(candidates).flatten(0, 1).masked_fill(~other, -1).argmax(dim=1, keepdim=True)
            losses = single_negative_loss(chosen, others.gather(1, worst)[:, 0], s.beta)
            losses = torch.where(other.any(dim=1), losses, 0.0)
        return (preferred * losses.view(patches, shown)).sum(dim=1)


def _distances(candidates: torch.Tensor) -> torch.Tensor:
    """In how many pixels any two candidates of a patch differ, ``(P, J, J)``: the single negative is the farthest."""
    return torch.stack([(candidates ^ one[:, None]).sum(dim=(2, 3)) for one in candidates.unbind(dim=1)], dim=1)


class SparsePreference(DirectPreference):
    """Asks about exactly a share of all training patches, drawn among the informative ones."""

    def __init__(self, settings: SparseSettings) -> None:
        """Take the share, and what of it is asked about first."""
        super().__init__(settings)
        self.share, self.random_share, self._asking = settings.share, settings.random_share, settings

    def select(self, informative: Array, budget: float, rng: np.random.Generator) -> Array:
        """``floor(budget * N)`` patches without replacement, fewer only when fewer are informative."""
        return draw_share(informative, budget, rng)

    def wanted(self, pool: PatchPool) -> Array | None:
        """By the setting ``order``."""
        return wanted(self._asking, pool)


class UnsupervisedSettings(PreferenceSettings):
    """The level set that stands in for a rater (Eq. 10; numbers: docs/facts.md)."""

    balloon: Literal["expand", "shrink", "none"] = Field(
        "expand",
        description="Direction in which contours are pushed: expand for inner-membrane sources (paper: not stated).",
    )
    alpha: float = Field(1.5, ge=0, description="Strength of that push (public demos: 1.5-3).")
    sigma: float = Field(1.0, gt=0, description="Smoothing of the image in pixels, σ (paper: 1).")
    largest_change: float = Field(
        0.5, ge=0, description="Objects whose area changes by more than this share stay unchanged; 0: off (paper)."
    )


class UnsupervisedPreference(DirectPreference):
    """Asks no person: a level set refines the reference's own mask, and the candidate nearest to it wins (Eq. 11)."""

    rater = "self"
    share = 0.0

    def __init__(self, settings: UnsupervisedSettings) -> None:
        """Take the level set's numbers too."""
        super().__init__(settings)
        self.levelset = LevelSetSettings(balloon=settings.balloon, alpha=settings.alpha, sigma=settings.sigma)
        self.largest_change = settings.largest_change or math.inf

    def hint(self, images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """Masks after distance regularised level set evolution, leaking objects kept as they were."""
        return refine_masks(images, masks, self.levelset, self.largest_change).masks


@hookimpl
def register_preference_optimizers(register: Register) -> None:
    """Register all five."""
    records = (
        ("gpo", DirectPreference, GlobalSettings, "Global: one preference per tile.", "Eq. 4; softmax-DPO, 2024"),
        ("lpo", DirectPreference, PreferenceSettings, "Local: one preference per patch.", "Eq. 8"),
        ("slpo", SparsePreference, SparseSettings, "Sparse local: 15 % of all patches.", "Eq. 9"),
        (
            "upo",
            UnsupervisedPreference,
            UnsupervisedSettings,
            "Unsupervised: a level set stands in for the rater.",
            "Eqs. 10-11; DRLSE, Li et al. 2010",
        ),
    )
    # Few updates: the mean over a patch is taken where its candidates differ, so that it is not drowned by the anchor.
    # The loss goes on until the mean log-ratio is some 1 / beta: at 1 the mask was long past the preferred one.
    few = {"reduction": "differing", "beta": 10.0}
    for name, factory, settings, summary, equations in records:
        register(
            Component(
                name,
                factory,
                settings,
                summary,
                f"Prefer-DAS, 2026, {equations}",
                "Apache-2.0, own implementation",
                presets={"tiny": few, "small": few, "paper": {"largest_change": 0.0} if name == "upo" else {}},
            )
        )
    # Its margins are means over differing pixels from the start, of the same size as those of the others in `few`.
    register(
        Component(
            "rn-dpo",
            RegionNormalised,
            RegionSettings,
            "Region-normalised: a pair's size does not count, for raters who err.",
            "Kalisch et al., 2026, arXiv 2601.23222",
            "Apache-2.0, own implementation",
            presets={"tiny": {"beta": 10.0}, "small": {"beta": 10.0}},
        )
    )

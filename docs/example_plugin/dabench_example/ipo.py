"""Preference optimizer ``ipo``: identity preference optimisation, with the log-probability a pixel of a patch.

With h = (log π(y_p) - log π_0(y_p)) - (log π(y_d) - log π_0(y_d)) for the preferred mask y_p and another mask y_d, the
loss is (h - 1 / (2 β))², averaged over the other masks (Azar et al. 2024, Eq. 17). Where DPO pushes h to infinity when
the answers never contradict each other, IPO stops at a margin of 1 / (2 β).

Deviations: (1) log-probabilities are means over the pixels where the shown masks differ, so that β does not depend on
the size of a patch; (2) several other masks are averaged, the paper has one.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from dabench.plugin import Array, PreferenceOptimizer, Settings


class IPOSettings(Settings):
    """How far, where and how often."""

    beta: float = Field(0.5, gt=0, description="The wanted margin of the log-ratios is 1 / (2 beta) (paper: varied).")
    side: int = Field(3, ge=1, description="Patches a side of a tile (Prefer-DAS: 3).")
    share: float = Field(
        0.15, ge=0, le=1, description="Share of all training patches asked about (Prefer-DAS SLPO: 0.15)."
    )


class IdentityPreference(PreferenceOptimizer):
    """Asks about a random share of the informative patches; learns with a squared loss."""

    def __init__(self, settings: IPOSettings) -> None:
        """The attributes are read by the core: how patches are cut, and the default patch budget."""
        self.settings = settings
        self.patches_per_side = settings.side
        self.share = settings.share

    def select(self, informative: Array, budget: float, rng: np.random.Generator) -> Array:
        """At most ``budget`` of all patches, drawn among the informative ones."""
        choices = np.flatnonzero(informative)
        count = min(len(choices), int(budget * len(informative) + 1e-9))
        return np.sort(rng.choice(choices, count, replace=False))

    def loss(self, logits: Tensor, reference: Tensor, candidates: Tensor, valid: Tensor, preferred: Tensor) -> Tensor:
        """``(P,)`` losses; 0 for a patch that has no other candidate."""
        where = differing(candidates, valid)
        ratio = log_probability(logits, candidates, where) - log_probability(reference, candidates, where)
        margins = ratio[:, :, None] - ratio[:, None]  # of each candidate over each other one
        others = (valid & (preferred == 0))[:, None]
        squared = torch.where(others, (margins - 0.5 / self.settings.beta).square(), 0.0)
        mean = squared.sum(dim=2) / others.sum(dim=2).clamp(min=1)
        return (preferred * mean).sum(dim=1)


def differing(candidates: Tensor, valid: Tensor) -> Tensor:
    """Pixels ``(P, h, w)`` where the valid ones of ``(P, J, h, w)`` candidates do not all agree."""
    shown = valid[:, :, None, None]
    return (candidates & shown).any(dim=1) & (~candidates & shown).any(dim=1)


def log_probability(logits: Tensor, candidates: Tensor, where: Tensor) -> Tensor:
    """Mean log-probability ``(P, J)`` of each candidate over the pixels ``where`` ``(P, h, w)``; 0 without any."""
    z = logits.float()[:, None]
    of_mask = F.logsigmoid(torch.where(candidates, z, -z))
    total = torch.where(where[:, None], of_mask, 0.0).sum(dim=(2, 3))
    return total / where.sum(dim=(1, 2)).clamp(min=1)[:, None]

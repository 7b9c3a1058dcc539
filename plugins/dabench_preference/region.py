"""``rn-dpo``: DPO whose pairs weigh the same however large the region is in which their masks differ.

Kalisch et al., *Region-Normalized DPO for Medical Image Segmentation under Noisy Judges* (arXiv 2601.23222).

Pixels are independent, so of two masks only the pixels count where they differ, and there the log-ratio of foreground
to background is the logit. With s = +1 where the preferred mask y_p has foreground and -1 where the other, y_d, has::

    r(y_p) - r(y_d) = Σ_{i in D} s_i (z_i - z0_i),    D = {i: y_p,i ≠ y_d,i}
    L = -log σ( β / |D| Σ_{i in D} s_i (z_i - z0_i) )

Without the 1 / |D|, a wrong answer about masks that differ much moves more pixels, each as hard as any: the norm of the
gradient with respect to the logits grows with √|D|. With it, it falls with 1 / √|D|.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from dabench.plugin import Array, PatchPool, PreferenceOptimizer
from dabench_preference.asking import Asking, wanted
from dabench_preference.losses import draw_share


class RegionSettings(Asking):
    """A pair's temperature, and which pairs are made of an answer."""

    beta: float = Field(1.0, gt=0, description="Temperature β of the mean over a pair's differing pixels.")
    negatives: Literal["multiple", "single"] = Field(
        "multiple",
        description="Pairs per answer: the preferred candidate with every other (their mean), or with the one that "
        "differs from it in most pixels.",
    )
    side: int = Field(3, ge=1, description="Patches per side of a tile, L, as in lpo.")
    share: float = Field(0.15, ge=0, le=1, description="Share of all training patches asked about, as in slpo.")


class RegionNormalised(PreferenceOptimizer):
    """DPO on pairs of masks, each divided by the size of its own region of disagreement."""

    def __init__(self, settings: RegionSettings) -> None:
        """Take β, the pairs, L and the share."""
        self.settings = settings
        self.patches_per_side = settings.side
        self.share, self.random_share = settings.share, settings.random_share

    def select(self, informative: Array, budget: float, rng: np.random.Generator) -> Array:
        """``floor(budget * N)`` patches without replacement, fewer only when fewer are informative."""
        return draw_share(informative, budget, rng)

    def wanted(self, pool: PatchPool) -> Array | None:
        """By the setting ``order``."""
        return wanted(self.settings, pool)

    def loss(self, logits: Tensor, reference: Tensor, candidates: Tensor, valid: Tensor, preferred: Tensor) -> Tensor:
        """(P,) losses, the mean over the pairs of each preferred candidate; see `PreferenceOptimizer.loss`."""
        rows = [region_margins(logits, reference, one, candidates) for one in candidates.unbind(dim=1)]
        margins, sizes = (torch.stack(parts, dim=1) for parts in zip(*rows, strict=True))
        other = (valid & (preferred == 0))[:, None]
        pairs = other & (sizes > 0)
        if self.settings.negatives == "single":
            farthest = sizes.masked_fill(~other, -1).argmax(dim=2)
            pairs &= F.one_hot(farthest, pairs.shape[2]).bool()
        losses = torch.where(pairs, -F.logsigmoid(self.settings.beta * margins), 0.0)
        return (preferred * losses.sum(dim=2) / pairs.sum(dim=2).clamp(min=1)).sum(dim=1)


def region_margins(logits: Tensor, reference: Tensor, chosen: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """What a policy gives to one mask more than to others, beyond its reference, a pixel of those where they differ.

    Args:
        logits: (P, h, w) float, log-odds of foreground in each patch.
        reference: (P, h, w) float, those of the frozen reference.
        chosen: (P, h, w) bool, the preferred mask.
        others: (P, J, h, w) bool, masks that it is compared with.

    Returns:
        (P, J) float32 margins, 0 where the masks are equal, and (P, J) int64 pixels in which they differ.

    Example:
        >>> z, mask = torch.tensor([[[1.0, 3.0]]]), torch.tensor([[[True, False]]])
        >>> region_margins(z, torch.zeros(1, 1, 2), mask, ~mask[:, None])
        (tensor([[-1.]]), tensor([[2]]))
    """
    signs = chosen[:, None].float() - others.float()
    sizes = (chosen[:, None] ^ others).sum(dim=(2, 3))
    gained = (signs * (logits.float() - reference.float())[:, None]).sum(dim=(2, 3))
    return gained / sizes.clamp(min=1), sizes

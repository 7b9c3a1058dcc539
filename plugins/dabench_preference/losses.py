"""Preference losses of Prefer-DAS (Eqs. 3, 4, 8, 9), batched over patches.

The printed Eqs. 4, 8 and 9 have r_p - r_d inside the exponential, which pushes the dispreferred masks *up* and does
not reduce to Eq. 3 with one negative. Here is the sign of softmax-DPO (and of the authors' code): r_d - r_p.

Shapes: P patches, up to J - 1 negatives each (padding masked), patch of h × w pixels.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dabench.plugin import Array

Reduction = Literal["mean", "differing", "sum"]


def log_probability(
    logits: Tensor, labelling: Tensor, region: Tensor | None = None, reduction: Reduction = "mean"
) -> Tensor:
    """Log-probability that a model gives to whole labellings of a patch.

    Args:
        logits: (P, h, w) float, log-odds of foreground in each patch.
        labelling: (P, J, h, w) bool, candidates of each patch.
        region: (P, h, w) bool, the pixels that count. For `differing` these must be the pixels where the candidates
            differ (`differing_pixels`); for the others None means all.
        reduction: `mean` over the region (the release), `differing`: mean over the differing pixels (elsewhere all
            candidates get the same term, which cancels in the loss but divides the mean), or `sum` (classic DPO).

    Returns:
        (P, J) float32, <= 0; 0 where the region is empty.
    """
    if reduction == "differing" and region is None:
        region = differing_pixels(labelling)
    z = logits.float()[:, None]
    of_label = F.logsigmoid(torch.where(labelling, z, -z))
    if region is None:
        return of_label.sum(dim=(2, 3)) if reduction == "sum" else of_label.mean(dim=(2, 3))
    total = torch.where(region[:, None], of_label, 0.0).sum(dim=(2, 3))
    if reduction == "sum":
        return total
    return total / region.sum(dim=(1, 2)).clamp(min=1)[:, None]


def differing_pixels(labelling: Tensor, valid: Tensor | None = None) -> Tensor:
    """Where the candidates of a patch do not all agree.

    Args:
        labelling: (P, J, h, w) bool.
        valid: (P, J) bool, False where a candidate is padding; None = all valid.

    Returns:
        (P, h, w) bool.
    """
    if valid is None:
        return labelling.any(dim=1) & ~labelling.all(dim=1)
    shown = valid[:, :, None, None]
    return (labelling & shown).any(dim=1) & ~(labelling | ~shown).all(dim=1)


def single_negative_loss(preferred: Tensor, dispreferred: Tensor, beta: float = 1.0) -> Tensor:
    """DPO with one negative (Eq. 3), from reward margins.

    Args:
        preferred: (P,) float, r_p = log p_θ(y_p) - log p_0(y_p).
        dispreferred: (P,) float, r_d likewise.
        beta: temperature.

    Returns:
        (P,) float: -log σ(β (r_p - r_d)).
    """
    return -F.logsigmoid(beta * (preferred - dispreferred))


def multi_negative_loss(
    preferred: Tensor, dispreferred: Tensor, valid: Tensor | None = None, beta: float = 1.0
) -> Tensor:
    """Softmax-DPO with several negatives (Eqs. 4, 8, 9 with the right sign), from reward margins.

    -log σ(-log Σ_j exp(β (r_dj - r_p))), by log-sum-exp. Equal to `single_negative_loss` with one negative.

    Args:
        preferred: (P,) float, r_p.
        dispreferred: (P, J - 1) float, r_dj; padded entries hold any finite value.
        valid: (P, J - 1) bool; None = all valid.
        beta: temperature.

    Returns:
        (P,) float >= 0; 0 without gradient for a patch without negatives.
    """
    margins = beta * (dispreferred - preferred[:, None])
    if valid is None:
        valid = torch.ones_like(margins, dtype=torch.bool)
    some = valid.any(dim=1)
    # A patch without negatives would be -inf, whose gradient is NaN even under a mask: it takes a finite stand-in.
    margins = margins.masked_fill(~valid & some[:, None], -torch.inf)
    losses = F.softplus(torch.logsumexp(margins, dim=1))
    return torch.where(some, losses, 0.0)


def draw_share(informative: Array, share: float, rng: np.random.Generator) -> Array:
    """Draw a share of all patches among those whose candidates differ.

    Args:
        informative: (N,) bool.
        share: of all N.
        rng: of the draw.

    Returns:
        ``floor(share * N)`` sorted indices without replacement, fewer only when fewer are informative.
    """
    choices = np.flatnonzero(informative)
    count = min(len(choices), int(share * len(informative) + 1e-9))
    return np.sort(rng.choice(choices, count, replace=False))

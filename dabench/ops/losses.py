"""Segmentation and detection losses that several methods share, as pure functions.

Networks' logits ``(B, 1, H, W)`` come in, so that a pixel of which the network is wrongly sure keeps its gradient (of a
float32 probability that is 1 nothing flows back). Labels ``(B, H, W)`` are 0, 1 and `IGNORE` (255).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dabench.ops.density import sparse_density
from dabench.ops.precision import full_precision
from dabench.ops.prompts import foreground
from dabench.types import IGNORE

DETECTION_WEIGHT = 65.0
"""λ1 = 1e-3 on the papers' 0-255 density maps is 1e-3 · 255² on ours."""


def pixel_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of each pixel; 0 where the label is `IGNORE`.

    Args:
        logits: (B, 1, H, W) float.
        labels: (B, H, W) integer in {0, 1, 255}.

    Returns:
        (B, H, W) float32, >= 0.
    """
    z = foreground(logits)
    return F.softplus(torch.where(labels == 1, -z, z)).masked_fill(labels == IGNORE, 0.0)


def segmentation_loss(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean cross-entropy over the pixels that have a label (Eq. 6).

    Args:
        logits: (B, 1, H, W) float.
        labels: (B, H, W) integer in {0, 1, 255}.
        weights: (B, H, W) float >= 0, or (B, 1, 1) for whole images; None = 1.

    Returns:
        Scalar: weighted sum over labelled pixels ÷ their *number* (so a weight of 0.3 counts 0.3). 0 when no pixel
        has a label.
    """
    losses = pixel_cross_entropy(logits, labels)
    if weights is not None:
        losses = losses * weights
    return losses.sum() / (labels != IGNORE).sum().clamp(min=1)


def overlap_loss(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """1 - soft Dice over the labelled pixels of the batch.

    Not in the papers: it lets a network that starts from random weights find a rare foreground in hundreds, not
    thousands, of updates (presets `tiny` and `small`).

    Args:
        logits: (B, 1, H, W) float.
        labels: (B, H, W) integer in {0, 1, 255}.
        weights: (B, H, W) float >= 0, how much a pixel counts; None = 1.

    Returns:
        Scalar in [0, 1]; 0 when neither side has foreground, up to the smoothing by one pixel.
    """
    counts = (labels != IGNORE) * (1.0 if weights is None else weights)
    p = foreground(logits).sigmoid() * counts
    truth = (labels == 1) * counts
    return 1 - (2 * (p * truth).sum() + 1) / (p.sum() + truth.sum() + 1)


def detection_loss(density: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean squared error of density maps on the 0-1 scale (Eq. 5, before its weight `DETECTION_WEIGHT`).

    Args:
        density: (B, H, W) float.
        target: (B, H, W) float in [0, 1].
        weights: (B, H, W) float >= 0; None = 1.

    Returns:
        Scalar.
    """
    errors = F.mse_loss(density.float(), target, reduction="none")
    return (errors if weights is None else errors * weights).mean()


def sparse_detection_loss(density: Tensor, points: list[Tensor], background: Tensor, spare: int = 0) -> Tensor:
    """Weighted squared error of a density where the truth is known: around known centres, and on sure background.

    An object without a given point is neither and contributes nothing. The weights are those of `sparse_density`.

    Args:
        density: (B, H, W) float on the 0-1 scale.
        points: known centres of each crop, (N, 2).
        background: (B, H, W) bool, where surely no centre is.
        spare: added to the number of known pixels (IPL: 1).

    Returns:
        Scalar: sum of the errors over the number of known pixels; 0 when there are none.
    """
    target, weights = sparse_density(points, background)
    with full_precision(density):
        errors = weights * (density.float() - target) ** 2
        return errors.sum() / (torch.count_nonzero(weights) + spare).clamp(min=1)


def confident_labels(probability: Tensor, weak: float) -> Tensor:
    """Hard labels ``(B, H, W)`` uint8; pixels whose confidence max(p, 1 - p) is below ``weak`` are ignored (ReCo)."""
    labels = (probability > 0.5).to(torch.uint8)
    return labels.masked_fill(torch.maximum(probability, 1 - probability) < weak, IGNORE)

"""The losses of Prompt-DAS (Eqs. 5-7 of Prefer-DAS), as pure functions.

Probabilities come in as float32 in [0, 1]; logarithms are taken of `p + 1e-8`, which autocast and exact zeros survive.
Labels are 0, 1 and `IGNORE` (255).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dabench.types import IGNORE

EPSILON = 1e-8
DETECTION_WEIGHT = 65.0
"""λ1 = 1e-3 on the paper's 0-255 maps is 1e-3 · 255² on ours."""


def pixel_cross_entropy(probability: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of each pixel; 0 where the label is `IGNORE`.

    Args:
        probability: (B, H, W) float in [0, 1].
        labels: (B, H, W) integer in {0, 1, 255}.

    Returns:
        (B, H, W) float32, >= 0.
    """
    p = probability.float()
    of_label = torch.where(labels == 1, p, 1 - p)
    return torch.where(labels == IGNORE, 0.0, -(of_label + EPSILON).log())


def segmentation_loss(probability: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean cross-entropy over the pixels that have a label (Eq. 6).

    Args:
        probability: (B, H, W) float in [0, 1].
        labels: (B, H, W) integer in {0, 1, 255}.
        weights: (B, H, W) float >= 0, or (B, 1, 1) for whole images; None = 1.

    Returns:
        Scalar: weighted sum over labelled pixels ÷ their *number* (so a weight of 0.3 counts 0.3). 0 when no pixel
        has a label.
    """
    losses = pixel_cross_entropy(probability, labels)
    if weights is not None:
        losses = losses * weights
    return losses.sum() / (labels != IGNORE).sum().clamp(min=1)


def overlap_loss(probability: Tensor, labels: Tensor) -> Tensor:
    """1 - soft Dice over the labelled pixels of the batch.

    Not in the papers: it lets a network that starts from random weights find a rare foreground in hundreds, not
    thousands, of updates (presets `tiny` and `small`).

    Args:
        probability: (B, H, W) float in [0, 1].
        labels: (B, H, W) integer in {0, 1, 255}.

    Returns:
        Scalar in [0, 1]; 0 when neither side has foreground, up to the smoothing by one pixel.
    """
    known = labels != IGNORE
    p = probability.float() * known
    truth = (labels == 1).float()
    return 1 - (2 * (p * truth).sum() + 1) / (p.sum() + truth.sum() + 1)


def confident_labels(probability: Tensor, weak: float = 0.7) -> Tensor:
    """Hard pseudo-labels; pixels whose confidence max(p, 1 - p) is below the weak threshold are ignored (ReCo).

    Args:
        probability: (B, H, W) float in [0, 1], the teacher's.
        weak: threshold in [0.5, 1].

    Returns:
        (B, H, W) uint8 in {0, 1, 255}.
    """
    confidence = torch.maximum(probability, 1 - probability)
    labels = (probability > 0.5).to(torch.uint8)
    return labels.masked_fill(confidence < weak, IGNORE)


def strong_fraction(probability: Tensor, labels: Tensor, strong: float = 0.97) -> Tensor:
    """Share of an image's labelled pixels whose confidence reaches the strong threshold (ReCo's image weight).

    Args:
        probability: (B, H, W) float in [0, 1], the teacher's.
        labels: (B, H, W) integer in {0, 1, 255}.
        strong: threshold in [0.5, 1].

    Returns:
        (B, 1, 1) float in [0, 1]; 0 for an image without labels.
    """
    known = labels != IGNORE
    sure = (torch.maximum(probability, 1 - probability) >= strong) & known
    counts = known.sum(dim=(1, 2)).clamp(min=1)
    return (sure.sum(dim=(1, 2)) / counts)[:, None, None]


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


def prompt_contrast_loss(positive: Tensor, queries: Tensor, negatives: Tensor, temperature: float = 0.5) -> Tensor:
    """Prompt-guided contrastive loss of one image (Eq. 7), mean over queries.

    Similarity is the cosine, and the keys (positives and negatives) get no gradient, as in the release; the paper
    prints a dot product and a sum over queries.

    Args:
        positive: (P, D) float, embeddings of trusted points; their mean is the foreground key.
        queries: (Q, D) float, embeddings of confident foreground pixels.
        negatives: (N, D) float, embeddings of confident background pixels.
        temperature: τ.

    Returns:
        Scalar >= 0; 0 (attached to the graph) when any of the three is empty.
    """
    if 0 in (len(positive), len(queries), len(negatives)):
        return queries.sum() * 0
    key = F.normalize(positive.detach().mean(dim=0), dim=0)
    others = F.normalize(negatives.detach(), dim=1)
    unit = F.normalize(queries, dim=1)
    toward = unit @ key / temperature
    away = unit @ others.T / temperature
    return (torch.logsumexp(torch.cat([toward[:, None], away], dim=1), dim=1) - toward).mean()

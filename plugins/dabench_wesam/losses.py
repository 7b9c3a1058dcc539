"""What WeSAM minimises, as functions of masks and embeddings."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dabench.ops.prompted import dice_losses


def instance_embeddings(embeddings: Tensor, masks: Tensor, of: Tensor) -> Tensor:
    """Mean embedding under each mask, of length 1.

    Args:
        embeddings: (B, C, g, g) float.
        masks: (N, H, W) float in [0, 1].
        of: (N,) long, the image of each mask.

    Returns:
        (N, C) float32.
    """
    weights = F.interpolate(masks[:, None].float(), size=embeddings.shape[-2:], mode="area")
    sums = (embeddings[of].float() * weights).sum((-2, -1))
    return F.normalize(sums / weights.sum((-2, -1)).clamp(min=1e-6), dim=1)


def instance_contrast(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Each object's embedding as the student sees it against those of all objects as the teacher sees them (InfoNCE).

    Args:
        student: (N, C) float, of length 1.
        teacher: (N, C) float, of length 1, in the same order.
        temperature: τ.

    Returns:
        Scalar >= 0; 0 of fewer than two objects.
    """
    if len(student) < 2:
        return student.new_zeros(())
    similar = student @ teacher.T / temperature
    return F.cross_entropy(similar, torch.arange(len(student), device=student.device))


def anchor_loss(student: Tensor, teacher: Tensor, anchor: Tensor) -> Tensor:
    """Half the soft Dice loss of student and frozen model, and half of teacher and frozen model; mean over masks.

    Args:
        student: (N, H, W) logits, in the frame of the anchor.
        teacher: (N, H, W) logits.
        anchor: (N, H, W) float in [0, 1], masks of the frozen model.

    Returns:
        Scalar; 0 without masks.
    """
    known = torch.ones_like(anchor, dtype=torch.bool)
    losses = dice_losses(torch.stack([student, teacher], dim=1), anchor, known)
    return losses.mean(dim=1).sum() / max(len(losses), 1)

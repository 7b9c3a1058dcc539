"""Class-aware feature alignment: one prototype per class from the source, to which both domains are pulled.

Features are L2-normalised, so that the squared distance to a prototype is 2 - 2 cos. Classes are 0 background and
1 mitochondrion; a class without source pixels in the batch is ignored.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dabench.ops.precision import full_precision
from dabench.types import IGNORE


@dataclass(frozen=True)
class Prototypes:
    """``vectors`` (2, C) float of unit length (0 where unknown); ``known`` (2,) bool."""

    vectors: Tensor
    known: Tensor


def labels_at(labels: Tensor, like: Tensor) -> Tensor:
    """Labels (B, H, W) at the resolution of feature maps (B, C, h, w), nearest pixel."""
    resized = F.interpolate(labels[:, None].float(), size=like.shape[-2:], mode="nearest")
    return resized[:, 0].to(labels.dtype)


def class_prototypes(features: Tensor, labels: Tensor) -> Prototypes:
    """Normalised mean of each class's normalised features.

    Args:
        features: (B, C, h, w) float.
        labels: (B, h, w) uint8 {0, 1, 255}.
    """
    unit = F.normalize(features.float(), dim=1).movedim(1, -1)
    masks = [labels == number for number in (0, 1)]
    sums = torch.stack([(unit * mask[..., None]).sum(dim=(0, 1, 2)) for mask in masks])
    return Prototypes(F.normalize(sums, dim=1), torch.stack([mask.any() for mask in masks]))


def cosines(features: Tensor, prototypes: Prototypes) -> Tensor:
    """Cosine of each pixel's feature with each prototype, (B, 2, h, w) in [-1, 1]."""
    with full_precision(features):
        unit = F.normalize(features.float(), dim=1)
        return torch.einsum("bchw,kc->bkhw", unit, prototypes.vectors)


def variance(cosine: Tensor, labels: Tensor, known: Tensor) -> Tensor:
    """Mean squared distance of labelled pixels to their class's prototype, mean over the known classes."""
    spread = []
    for number in (0, 1):
        mask = labels == number
        spread.append(((2 - 2 * cosine[:, number]) * mask).sum() / mask.sum().clamp(min=1))
    return torch.stack(spread).sum() / known.sum().clamp(min=1)


def separation(prototypes: Prototypes) -> Tensor:
    """Squared dot product of the two prototypes; 0 where one is unknown."""
    return (prototypes.vectors[0] * prototypes.vectors[1]).sum().square()


def pull(cosine: Tensor, known: Tensor, threshold: float) -> Tensor:
    """Mean squared distance of target pixels to the nearest known prototype, where the cosine exceeds ``threshold``."""
    nearest = cosine.masked_fill(~known[None, :, None, None], -1.0).amax(dim=1)
    near = nearest > threshold
    return ((2 - 2 * nearest) * near).sum() / near.sum().clamp(min=1)


def prototype_prediction(cosine: Tensor, labels: Tensor, known: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of softmax(cosine / temperature) against labels (B, h, w) {0, 1, 255}; 0 unless both are known."""
    losses = F.cross_entropy(cosine.float() / temperature, labels.long(), ignore_index=IGNORE, reduction="none")
    return losses.sum() / (labels != IGNORE).sum().clamp(min=1) * known.all()

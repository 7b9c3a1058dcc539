"""What several methods ask of a promptable network on labelled crops, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dabench.ops.density import density_maps
from dabench.ops.losses import detection_loss, overlap_loss, segmentation_loss
from dabench.ops.prompts import NetworkOutput, pad_points, random_subset
from dabench.types import SourceCrops


@dataclass(frozen=True)
class LabelledWeights:
    """Weights of the detection and the soft-Dice term (0 drops one), and whether true centres serve as prompts."""

    detection: float
    overlap: float
    prompts: bool = True


def labelled_terms(
    network: nn.Module, crops: SourceCrops, weights: LabelledWeights, generator: torch.Generator
) -> dict[str, Tensor]:
    """Segmentation (Prefer-DAS Eq. 6, source term), detection (Eq. 5) and soft Dice of labelled crops.

    Args:
        network: with the promptable signature.
        crops: already in the student's view.
        weights: of the terms.
        generator: draws how many centres, 0 to all, each crop gets as prompts.

    Returns:
        Weighted terms ``segmentation``, and where their weight is not 0 ``overlap`` and ``detection`` (the latter of a
        network that has a density).
    """
    size = (int(crops.images.shape[-2]), int(crops.images.shape[-1]))
    prompts = pad_points([random_subset(p, generator) for p in crops.points]) if weights.prompts else None
    output = network(crops.images, prompts, with_density=weights.detection > 0)
    terms = {"segmentation": segmentation_loss(output.logits, crops.labels)}
    if weights.overlap:
        terms["overlap"] = weights.overlap * overlap_loss(output.logits, crops.labels)
    if weights.detection and output.density is not None:
        truth = density_maps(pad_points(crops.points), size)
        terms["detection"] = weights.detection * detection_loss(output.density, truth)
    return terms


def supervised_terms(output: NetworkOutput, labels: Tensor, overlap: float) -> dict[str, Tensor]:
    """Segmentation loss, and soft Dice where its weight is not 0, of an output that is there already.

    Args:
        output: of any segmentation network.
        labels: (B, H, W) integer in {0, 1, 255}.
        overlap: weight of the soft-Dice term.

    Returns:
        ``segmentation`` and, weighted, ``overlap``.
    """
    terms = {"segmentation": segmentation_loss(output.logits, labels)}
    if overlap:
        terms["overlap"] = overlap * overlap_loss(output.logits, labels)
    return terms


def total(terms: Mapping[str, Tensor]) -> Tensor:
    """Sum of named terms."""
    return torch.stack([term.float() for term in terms.values()]).sum()

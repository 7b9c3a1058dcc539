"""Pairs of sections: what a network of two sections answers, and the losses that its methods share.

Such a network sees a section and one nearby, ``(B, 2, H, W)``, and segments both and their difference: the pixels that
are mitochondrion in exactly one of them (DA-ISC, Huang et al., MICCAI 2022).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dabench.ops.augmentation import ViewOptions
from dabench.ops.losses import overlap_loss, segmentation_loss
from dabench.ops.prompts import NetworkOutput, foreground
from dabench.ops.views import draw_views, view_images
from dabench.types import IGNORE, SourceCrops, TargetCrops

_EPSILON = 1e-8


@dataclass(frozen=True)
class PairOutput(NetworkOutput):
    """A network's answer to a pair; ``logits`` belong to the first section.

    Attributes:
        auxiliary: (B, 1, H, W) float32, logits of the second section; None when not asked for.
        difference: (B, 1, H, W) float32, log-odds that the sections differ at a pixel; None when not asked for.
    """

    auxiliary: Tensor | None = None
    difference: Tensor | None = None

    def maps(self) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of the current, auxiliary and difference map. Raises ValueError when they were not asked for."""
        if self.auxiliary is None or self.difference is None:
            raise ValueError("the network was not asked for the pair: call it with with_pair=True")
        return self.logits, self.auxiliary, self.difference


def stack_sections(crops: SourceCrops | TargetCrops) -> Tensor:
    """Images ``(B, 2, H, W)`` of pairs, the section and its partner. Raises ValueError for single sections."""
    if crops.second is None:
        raise ValueError("crops have no second section: ask for pairs with CropSpec.neighbour")
    return torch.cat([crops.images, crops.second.images], dim=1)


def view_pairs(crops: TargetCrops, options: ViewOptions, generator: torch.Generator) -> Tensor:
    """Images ``(B, 2, H, W)`` of unlabelled pairs, both sections of a pair through the same view."""
    sections = stack_sections(crops)
    views = draw_views(crops.images, options, generator)
    return torch.cat([view_images(views, sections[:, i : i + 1]) for i in range(2)], dim=1)


def difference_labels(first: Tensor, second: Tensor) -> Tensor:
    """Where two label maps ``(B, H, W)`` differ (XOR), uint8; `IGNORE` where either is unknown."""
    unknown = (first == IGNORE) | (second == IGNORE)
    return (first != second).to(torch.uint8).masked_fill(unknown, IGNORE)


def pair_terms(output: PairOutput, crops: SourceCrops, overlap: float) -> dict[str, Tensor]:
    """Cross-entropy, and soft Dice where its weight is not 0, of all three maps of labelled pairs.

    Args:
        output: of a network that was asked for the pair.
        crops: the labelled pairs that it saw.
        overlap: weight of the soft-Dice terms.

    Returns:
        ``current``, ``auxiliary`` and ``difference``.
    """
    if crops.second is None:
        raise ValueError("crops have no second section: ask for pairs with CropSpec.neighbour")
    labels = (crops.labels, crops.second.labels, difference_labels(crops.labels, crops.second.labels))
    return map_terms(output, labels, overlap)


def map_terms(output: PairOutput, labels: tuple[Tensor, Tensor, Tensor], overlap: float = 0.0) -> dict[str, Tensor]:
    """The same for given labels ``(B, H, W)`` {0, 1, 255} of the three maps."""
    terms = {}
    for name, plane, label in zip(("current", "auxiliary", "difference"), output.maps(), labels, strict=True):
        terms[name] = segmentation_loss(plane, label)
        if overlap:
            terms[name] = terms[name] + overlap * overlap_loss(plane, label)
    return terms


def section_consistency(output: PairOutput) -> Tensor:
    """What the segmentations say about the difference, and the difference about the segmentations (DA-ISC).

    |current - auxiliary| and the difference map label each other: each is trained by cross-entropy on the other's hard
    decision. No gradient flows through a decision.

    Returns:
        Scalar >= 0, the sum of both directions.
    """
    current, auxiliary, difference = output.maps()
    decided = ((current > 0) != (auxiliary > 0))[:, 0].to(torch.uint8)
    predicted = (difference > 0)[:, 0].to(torch.uint8)
    # How much two probabilities differ is a probability that no network gave as logits.
    changed = (foreground(current).sigmoid() - foreground(auxiliary).sigmoid()).abs()
    of_predicted = torch.where(predicted == 1, changed, 1 - changed)
    return segmentation_loss(difference, decided) - (of_predicted + _EPSILON).log().mean()


def sigmoid_ramp(step: int, length: int) -> float:
    """exp(-5 (1 - t)²) with t = step / length: from 0.0067 to 1; 1 at once without a length (Laine & Aila 2017)."""
    if not length:
        return 1.0
    return math.exp(-5 * (1 - min(step / length, 1.0)) ** 2)


def adopt_backbone(network: nn.Module, trained: nn.Module) -> None:
    """Copy the weights of ``trained.backbone`` into ``network.backbone``; the rest of the network stays as it is.

    Raises:
        ValueError: either has no backbone, or they are not the same.
    """
    mine, other = getattr(network, "backbone", None), getattr(trained, "backbone", None)
    if not isinstance(mine, nn.Module) or not isinstance(other, nn.Module):
        raise ValueError("only a network on a backbone can start from the backbone of another")
    try:
        mine.load_state_dict(other.state_dict())
    except RuntimeError as error:
        raise ValueError(f"the trained network has another backbone: {error}") from error

"""Networks that give each prompt a mask of its own, as SAM does, and how they learn from labelled crops.

Logits of a decoder come in. A prompt gets several masks, of which the best alone is taught (Kirillov et al. 2023): one
point can mean a part, an object or all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from dabench.ops.components import label_components
from dabench.ops.objectives import supervised_terms
from dabench.ops.prompts import NetworkOutput, sample_pixels
from dabench.types import IGNORE, SourceCrops


@dataclass(frozen=True)
class PromptMasks:
    """What a decoder says of prompts.

    Attributes:
        logits: (N, K, h, w) float32, K masks a prompt at the decoder's own resolution.
        quality: (N, K) float32, the IoU that the network expects of each.
    """

    logits: Tensor
    quality: Tensor

    def best(self) -> tuple[Tensor, Tensor]:
        """The mask of each prompt with the highest expected IoU ``(N, h, w)``, and that IoU ``(N,)``."""
        rows, which = torch.arange(len(self.quality), device=self.quality.device), self.quality.argmax(dim=1)
        return self.logits[rows, which], self.quality[rows, which]


class InstanceNetwork(Protocol):
    """A network with an encoder that is asked once an image and a decoder that is asked once a prompt."""

    def encode(self, images: Tensor) -> Tensor:
        """Embeddings ``(B, C, g, g)`` of images ``(B, 1, H, W)`` float in [0, 1]."""

    def decode(self, embeddings: Tensor, points: Tensor, of: Tensor, size: tuple[int, int]) -> PromptMasks:
        """Masks of N prompts: points ``(N, P, 2)`` (x, y) in pixels of the image ``of`` ``(N,)``, ``size`` (H, W)."""

    def whole(self, embeddings: Tensor) -> PromptMasks:
        """One mask per image, K = 1, asked without a prompt."""

    def enlarge(self, logits: Tensor, size: tuple[int, int]) -> Tensor:
        """Logits ``(N, K, h, w)`` in pixels of the images: ``(N, K, H, W)``."""


@dataclass(frozen=True)
class Drawn:
    """Prompts and what they mean: points (N, 1, 2), masks (N, H, W) bool, ``of`` (N,) long: the crop's number."""

    points: Tensor
    masks: Tensor
    of: Tensor


def draw_prompts(labels: Tensor, most: int, background: int, generator: torch.Generator) -> Drawn:
    """A point in each of at most ``most`` components a crop, and ``background`` points that mean nothing.

    Args:
        labels: (B, H, W) integer in {0, 1, 255}.
        most: components a crop, drawn without replacement.
        background: points per crop on pixels of label 0; their mask is empty.
        generator: source of randomness (CPU).

    Returns:
        Prompts of all crops; none where a crop has neither foreground nor background.
    """
    points, masks, of = [], [], []
    for number, crop in enumerate(labels):
        for mask, count in [*_components(crop, most, generator), (crop == 0, background)]:
            drawn = sample_pixels(mask, count, generator)
            points.append(drawn[:, None])
            masks.append((mask & (crop == 1)).expand(len(drawn), -1, -1))
            of.append(torch.full((len(drawn),), number, device=labels.device))
    return Drawn(torch.cat(points), torch.cat(masks), torch.cat(of))


def _components(crop: Tensor, most: int, generator: torch.Generator) -> list[tuple[Tensor, int]]:
    """Masks (H, W) of some components, each with one point to draw."""
    found = torch.from_numpy(label_components((crop == 1).cpu().numpy())).to(crop.device)
    chosen = torch.randperm(int(found.max()), generator=generator)[:most] + 1
    return [(found == int(label), 1) for label in chosen]


def focal_losses(logits: Tensor, masks: Tensor, known: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss of each mask, the mean over its known pixels (Lin et al. 2017; SAM's α and γ).

    Args:
        logits: (N, K, H, W) float.
        masks: (N, H, W) bool.
        known: (N, H, W) bool, pixels that count.
        alpha: weight of foreground, 1 - α that of background.
        gamma: exponent of 1 - p.

    Returns:
        (N, K) float32.
    """
    z, truth = logits.float(), masks[:, None]
    signed = torch.where(truth, z, -z)
    weight = torch.where(truth, alpha, 1 - alpha) * (-signed).sigmoid() ** gamma
    losses = (weight * F.softplus(-signed)) * known[:, None]
    return losses.sum((-2, -1)) / known.sum((-2, -1)).clamp(min=1)[:, None]


def dice_losses(logits: Tensor, masks: Tensor, known: Tensor) -> Tensor:
    """1 - soft Dice of each mask with its truth, which may be soft too; ``(N, K)`` float32, smoothed by one pixel.

    Args:
        logits: (N, K, H, W) float.
        masks: (N, H, W) bool, or float in [0, 1].
        known: (N, H, W) bool, pixels that count.
    """
    p = logits.float().sigmoid() * known[:, None]
    truth = (masks.float() * known)[:, None]
    both = (p * truth).sum((-2, -1))
    return 1 - (2 * both + 1) / (p.sum((-2, -1)) + truth.sum((-2, -1)) + 1)


def true_quality(logits: Tensor, masks: Tensor, known: Tensor) -> Tensor:
    """IoU ``(N, K)`` of each mask, cut at logit 0, with its truth ``(N, H, W)`` bool; 0 where both are empty."""
    found, truth = (logits > 0) & known[:, None], (masks & known)[:, None]
    return (found & truth).sum((-2, -1)) / (found | truth).sum((-2, -1)).clamp(min=1)


def mask_terms(masks: PromptMasks, truth: Tensor, known: Tensor, focal: float = 20.0) -> dict[str, Tensor]:
    """What SAM minimises: focal and Dice loss of the best of a prompt's masks, squared error of every expected IoU.

    Args:
        masks: N prompts, logits as large as the truth.
        truth: (N, H, W) bool.
        known: (N, H, W) bool, pixels that count.
        focal: weight of the focal loss (20 to 1).

    Returns:
        ``masks`` and ``quality``, means over prompts; both 0 without any.
    """
    shape = focal * focal_losses(masks.logits, truth, known) + dice_losses(masks.logits, truth, known)
    best = shape.min(dim=1).values if len(shape) else shape.new_zeros(0)
    missed = (masks.quality.float() - true_quality(masks.logits.detach(), truth, known)) ** 2
    return {"masks": best.sum() / max(len(best), 1), "quality": missed.sum() / max(missed.numel(), 1)}


def known_pixels(labels: Tensor, of: Tensor) -> Tensor:
    """Where the crop of each prompt has a label: ``(N, H, W)`` bool."""
    return (labels != IGNORE)[of]


@dataclass(frozen=True)
class PromptedWeights:
    """How much is asked of a labelled crop, and how much it counts.

    Attributes:
        prompts: most components of a crop that a point is drawn in.
        background: points per crop on background.
        focal: weight of the focal loss of a mask; its Dice loss has 1.
        quality: weight of the error of the expected IoU.
        whole: weight of the segmentation without a prompt; 0 drops it.
        overlap: weight of the soft Dice in that.
    """

    prompts: int = 6
    background: int = 2
    focal: float = 20.0
    quality: float = 1.0
    whole: float = 1.0
    overlap: float = 1.0


def prompted_terms(
    network: InstanceNetwork, crops: SourceCrops, weights: PromptedWeights, generator: torch.Generator
) -> dict[str, Tensor]:
    """Losses of labelled crops, asked with a point in each of some objects and without any.

    Args:
        network: with the encoder and decoder of SAM.
        crops: already in the student's view.
        weights: what is asked, and the weights of the terms.
        generator: draws objects and points.

    Returns:
        ``masks`` and ``quality`` of the prompts; ``segmentation`` and ``overlap`` of what is said without one.
    """
    size = (int(crops.images.shape[-2]), int(crops.images.shape[-1]))
    embeddings = network.encode(crops.images)
    drawn = draw_prompts(crops.labels, weights.prompts, weights.background, generator)
    masks = network.decode(embeddings, drawn.points, drawn.of, size)
    large = PromptMasks(network.enlarge(masks.logits, size), masks.quality)
    terms = mask_terms(large, drawn.masks, known_pixels(crops.labels, drawn.of), weights.focal)
    terms["quality"] = weights.quality * terms["quality"]
    if weights.whole:
        output = NetworkOutput(network.enlarge(network.whole(embeddings).logits, size))
        unasked = supervised_terms(output, crops.labels, weights.overlap)
        terms |= {name: weights.whole * term for name, term in unasked.items()}
    return terms

"""Prompt-guided contrastive learning (PCL): which points, and the loss (Prompt-DAS Eq. 3, Prefer-DAS Eq. 7)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dabench.ops.components import label_components
from dabench.ops.precision import full_precision
from dabench.ops.prompts import Prompts, pad_points, sample_per_component, sample_pixels

#: Queries drawn from each confident instance (paper: 3).
_PER_INSTANCE = 3


@dataclass(frozen=True)
class ContrastPoints:
    """Contrast tokens of a batch: for each crop positives, then queries, then negatives; padded."""

    padded: Prompts
    counts: list[tuple[int, int, int]]


def draw_contrast(
    foreground: Tensor,
    background: Tensor,
    points: list[Tensor],
    most: tuple[int, int],
    generator: torch.Generator,
) -> ContrastPoints:
    """Draw the points whose embeddings are contrasted.

    Args:
        foreground: (B, H, W) bool, confident foreground.
        background: (B, H, W) bool, confident background.
        points: trusted centres of each crop, (N, 2); their mean embedding is the positive key.
        most: queries and negatives a crop.
        generator: source of randomness.
    """
    groups, counts = [], []
    for fg, bg, positive in zip(foreground, background, points, strict=True):
        instances = torch.from_numpy(label_components(fg.cpu().numpy())).to(fg.device)
        queries = sample_per_component(instances, _PER_INSTANCE, most[0], generator)
        negatives = sample_pixels(bg, most[1], generator)
        groups.append(torch.cat([positive.to(queries), queries, negatives]))
        counts.append((len(positive), len(queries), len(negatives)))
    return ContrastPoints(pad_points(groups), counts)


def contrast_loss(embeddings: Tensor, points: ContrastPoints, temperature: float, *, frozen_keys: bool) -> Tensor:
    """Mean over crops of `prompt_contrast_loss`; embeddings (B, K, D) in the order of the points."""
    losses = []
    for row, (p, q, n) in zip(embeddings, points.counts, strict=True):
        positive, queries, negatives = row[:p], row[p : p + q], row[p + q : p + q + n]
        losses.append(prompt_contrast_loss(positive, queries, negatives, temperature, frozen_keys=frozen_keys))
    return torch.stack(losses).mean()


def prompt_contrast_loss(
    positive: Tensor, queries: Tensor, negatives: Tensor, temperature: float = 0.5, *, frozen_keys: bool = False
) -> Tensor:
    """Prompt-guided contrastive loss of one image (Eq. 7), mean over queries.

    Similarity is the cosine, as in the release; the paper prints a dot product and a sum over queries. With frozen keys
    (release) only foreground is pulled, and what all embeddings share drags the background along: nothing is learnt.

    Args:
        positive: (P, D) float, embeddings of trusted points; their mean is the foreground key.
        queries: (Q, D) float, embeddings of confident foreground pixels.
        negatives: (N, D) float, embeddings of confident background pixels.
        temperature: τ.
        frozen_keys: no gradient to positives and negatives.

    Returns:
        Scalar >= 0; 0 (attached to the graph) when any of the three is empty.
    """
    if 0 in (len(positive), len(queries), len(negatives)):
        return queries.sum() * 0
    if frozen_keys:
        positive, negatives = positive.detach(), negatives.detach()
    with full_precision(queries):
        return _contrast(positive.float(), queries.float(), negatives.float(), temperature)


def _contrast(positive: Tensor, queries: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    key = F.normalize(positive.mean(dim=0), dim=0)
    others = F.normalize(negatives, dim=1)
    unit = F.normalize(queries, dim=1)
    toward = unit @ key / temperature
    away = unit @ others.T / temperature
    return (torch.logsumexp(torch.cat([toward[:, None], away], dim=1), dim=1) - toward).mean()

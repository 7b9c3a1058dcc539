"""Class-focused contrast of IPL (section III.D): projection head, queries, and the loss against prototypes (Eq. 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dabench.ops.discs import stamp_discs
from dabench.ops.precision import full_precision
from dabench.ops.prompts import NetworkOutput
from dabench_ipl.prototypes import Alignment, PrototypeMemory
from dabench_ipl.settings import IPLSettings

#: Radius in pixels around a given point whose features make the prototype of the given points.
_AT_POINT = 3.0


class ProjectionHead(nn.Module):
    """Maps to features at quarter resolution: C → C/2 → 128, each with InstanceNorm and ReLU."""

    def __init__(self, channels: int, width: int = 128) -> None:
        """Builds the head: 288 channels in the paper's network, 60,176 parameters there.

        Args:
            channels: of the map it reads.
            width: of the features.
        """
        super().__init__()
        half = channels // 2
        self.layers = nn.Sequential(
            *(nn.Conv2d(channels, half, 1), nn.InstanceNorm2d(half), nn.ReLU()),
            *(nn.Conv2d(half, width, 1), nn.InstanceNorm2d(width), nn.ReLU()),
        )

    def forward(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, C, h, w) of crops of ``size`` → (B, D, size / 4) float32, neither enlarged nor of length one yet."""
        small = (-(-size[0] // 4), -(-size[1] // 4))
        quarter = F.interpolate(maps, size=small, mode="bilinear", align_corners=False)
        features: Tensor = self.layers(quarter).float()
        return features


def features_at(maps: Tensor, pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Features of some pixels, as if the maps were enlarged bilinearly and normalised; only these are computed.

    Args:
        maps: (B, D, h, w) float.
        pixels: (N, 3) integer, (sample, y, x) at the crops' resolution.
        size: of the crops, (H, W).

    Returns:
        (N, D) of length one; the same as `torch.nn.functional.interpolate` (bilinear, corners not aligned) gives.
    """
    small = (maps.shape[-2], maps.shape[-1])
    sample, rows = pixels[:, 0], maps.permute(0, 2, 3, 1)
    lower, upper, share = [], [], []
    for axis in (0, 1):
        place = ((pixels[:, 1 + axis] + 0.5) * (small[axis] / size[axis]) - 0.5).clamp(0, small[axis] - 1)
        lower.append(place.floor().long())
        upper.append((lower[-1] + 1).clamp(max=small[axis] - 1))
        share.append((place - place.floor())[:, None])
    top = rows[sample, lower[0], lower[1]].lerp(rows[sample, lower[0], upper[1]], share[1])
    bottom = rows[sample, upper[0], lower[1]].lerp(rows[sample, upper[0], upper[1]], share[1])
    return F.normalize(top.lerp(bottom, share[0]), dim=1)


@dataclass(frozen=True)
class QueryRule:
    """Which pixels become queries.

    Attributes:
        rule: ``ranked``: half are drawn among twice as many least confident pixels, half among the rest (release).
            ``confidence``: half lie below ``hard``, half above ``easy`` (paper, Eqs. 5-6).
        most: queries of a class, N.
        easy: δ_e, also the confidence of pixels that a prototype is made of.
        hard: δ_h.
    """

    rule: Literal["ranked", "confidence"] = "ranked"
    most: int = 1024
    easy: float = 0.95
    hard: float = 0.8

    def draw(self, confidence: Tensor, generator: torch.Generator) -> Tensor:
        """Indices of the queries among ``(N,)`` pixels of one class, given their probability of that class."""
        return self._ranked(confidence, generator) if self.rule == "ranked" else self._split(confidence, generator)

    def _ranked(self, confidence: Tensor, generator: torch.Generator) -> Tensor:
        each = min(len(confidence) // 2, self.most // 2)
        least = torch.sort(confidence, stable=True).indices[: 2 * each]
        hard = some_of(least, each, generator)
        free = torch.ones(len(confidence), dtype=torch.bool, device=confidence.device)
        free[hard] = False
        return torch.cat([hard, some_of(torch.nonzero(free)[:, 0], each, generator)])

    def _split(self, confidence: Tensor, generator: torch.Generator) -> Tensor:
        hard = torch.nonzero(confidence < self.hard)[:, 0]
        easy = torch.nonzero(confidence > self.easy)[:, 0]
        return torch.cat([some_of(pool, self.most // 2, generator) for pool in (hard, easy)])


def some_of(pool: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """At most so many entries of a ``(N,)`` tensor, drawn uniformly without replacement."""
    order = torch.randperm(len(pool), generator=generator)[:count]
    return pool[order.to(pool.device)]


@dataclass(frozen=True)
class Seen:
    """One domain's crops after the network.

    features (B, D, h, w) of the head; probability (B, H, W), which gives confidence and no gradient; labels
    (B, H, W) uint8 {0, 1, 255}, true or pseudo; points (B, H, W) bool, pixels at given points, None on the source.
    """

    features: Tensor
    probability: Tensor
    labels: Tensor
    points: Tensor | None = None

    def confidence(self, label: int) -> Tensor:
        """Probability of a class, (B, H, W), without gradient."""
        probability = self.probability.detach().float()
        return probability if label else 1 - probability

    def at(self, pixels: Tensor) -> Tensor:
        """Features of length one (N, D) of pixels (N, 3): sample, y, x."""
        return features_at(self.features, pixels, (self.labels.shape[-2], self.labels.shape[-1]))


class ContrastBranch(nn.Module):
    """Head and memory; gives the loss of a batch."""

    #: Features of a group that an update adds to the memory, at most.
    added = 256

    def __init__(self, head: ProjectionHead, memory: PrototypeMemory, rule: QueryRule) -> None:
        """Take the parts."""
        super().__init__()
        self.head, self.memory, self.rule = head, memory, rule

    def see(self, output: NetworkOutput, labels: Tensor, given: Sequence[Tensor] | None = None) -> Seen:
        """What the contrast looks at: features, confidence, labels and, of a target, pixels at given points.

        Args:
            output: of the network, with its feature maps.
            labels: (B, H, W), or pseudo-labels.
            given: (N, 2) points x, y of each sample.
        """
        encoder = cast(Any, output.features).encoder
        features = self.head(encoder[read_map(encoder)], (labels.shape[-2], labels.shape[-1]))
        points = None
        if given is not None:
            nowhere = torch.zeros_like(labels)
            points = torch.stack([stamp_discs(plane, p, _AT_POINT, 1) for plane, p in zip(nowhere, given, strict=True)])
        return Seen(features, output.probability, labels, None if points is None else points == 1)

    def observe(self, source: Seen, target: Seen, *, sure: bool, generator: torch.Generator) -> None:
        """Add features of every group to the memory.

        Args:
            source: labelled; only correctly and confidently segmented pixels count (Eq. 7).
            target: pseudo-labelled.
            sure: whether pseudo-labelled pixels must be confident too (release: in the detection rounds).
            generator: draws which.
        """
        pools: dict[str, tuple[Seen, Tensor]] = {}
        for label, name in ((1, "foreground"), (0, "background")):
            pools[f"source_{name}"] = source, (source.labels == label) & (source.confidence(label) > self.rule.easy)
            pseudo = target.labels == label
            pools[f"target_{name}"] = target, pseudo & (target.confidence(label) > self.rule.easy) if sure else pseudo
        if target.points is not None:
            pools["points"] = target, target.points & (target.confidence(1) > self.rule.easy)
        for group, (seen, mask) in pools.items():
            with torch.no_grad():
                self.memory.remember(group, seen.at(some_of(torch.nonzero(mask), self.added, generator)))

    def loss(
        self, alignments: tuple[Alignment, ...], seen: dict[str, Seen], temperature: float, generator: torch.Generator
    ) -> Tensor:
        """Sum over alignments of Eq. 4, each a mean over classes; 0 (attached) where nothing can be contrasted."""
        loss = sum((one.features.sum() * 0 for one in seen.values()), torch.zeros(()))
        for alignment in alignments:
            loss = loss + self._aligned(alignment, seen[alignment.queries], temperature, generator)
        return loss

    def _aligned(self, alignment: Alignment, seen: Seen, temperature: float, generator: torch.Generator) -> Tensor:
        losses = []
        for label in (0, 1):
            mask, other = seen.labels == label, 1 - label
            queries = seen.at(torch.nonzero(mask)[self.rule.draw(seen.confidence(label)[mask], generator)])
            positives = self.memory.prototypes(alignment.of_class(label))
            negatives = [
                self.memory.prototypes(alignment.of_class(other)),
                self.memory.clusters(alignment.pool(other)),
            ]
            losses.append(prototype_contrast(queries, positives, torch.cat(negatives), temperature))
        return torch.stack(losses).mean()


def prototype_contrast(queries: Tensor, positives: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """Contrast of queries with the mean prototype of their class and all prototypes of the other (Eq. 4, one class).

    Args:
        queries: (N, D) float of length one.
        positives: (P, D) float, prototypes of the class; their mean, of length one, is the key.
        negatives: (K, D) float, prototypes and clusters of the other class. Neither gets a gradient.
        temperature: τ.

    Returns:
        Scalar >= 0, mean over queries; 0 (attached to the graph) when any of the three is empty.
    """
    if 0 in (len(queries), len(positives), len(negatives)):
        return queries.sum() * 0
    with full_precision(queries):
        key = F.normalize(positives.detach().float().mean(dim=0), dim=0)
        toward = queries.float() @ key / temperature
        away = queries.float() @ negatives.detach().float().T / temperature
        return (torch.logsumexp(torch.cat([toward[:, None], away], dim=1), dim=1) - toward).mean()


def read_map(maps: Sequence[Any]) -> int:
    """Which of the network's maps the head reads: the last but one (288 channels in the paper's network)."""
    return len(maps) - 2 if len(maps) > 1 else 0


def contrast_branch(settings: IPLSettings, network: nn.Module) -> ContrastBranch:
    """Projection head on the network's maps, and an empty memory."""
    s = settings
    channels = cast(Any, network).encoder_channels
    head = ProjectionHead(channels[read_map(channels)], s.width)
    return ContrastBranch(
        head, PrototypeMemory(s.width, s.memory, s.clusters), QueryRule(s.query_rule, s.queries, s.easy, s.hard)
    )

"""Prototypes of the class-focused contrast: which groups of pixels have one, a memory of features, and k-means.

A prototype is the mean of unit features of a group; clusters are the centres of a group's k-means (IPL, Eq. 7).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dabench.ops.precision import full_precision

#: Groups of pixels that have a prototype. ``points`` are the pixels at given points of the target.
GROUPS = ("source_foreground", "source_background", "points", "target_foreground", "target_background")

AlignmentName = Literal["none", "source", "target", "source-and-target", "background", "foreground"]


@dataclass(frozen=True)
class Alignment:
    """Queries of one domain, and the groups whose prototypes stand for each class.

    Each query is pulled to the mean prototype of its class and pushed from all prototypes of the other class and from
    the clusters that the query's own domain has there.
    """

    queries: Literal["source", "target"]
    foreground: tuple[str, ...]
    background: tuple[str, ...]

    def of_class(self, label: int) -> tuple[str, ...]:
        """Groups of a class: 0 background, 1 foreground."""
        return self.foreground if label else self.background

    def pool(self, label: int) -> str:
        """The group that queries, and the clusters of a class, come from."""
        return f"{self.queries}_{'foreground' if label else 'background'}"


_SOURCE = Alignment("source", ("source_foreground",), ("source_background",))
_TARGET = Alignment("target", ("points", "target_foreground"), ("target_background",))

#: The rows of IPL, Table IV; ``foreground`` is the paper's choice.
ALIGNMENTS: dict[str, tuple[Alignment, ...]] = {
    "none": (),
    "source": (_SOURCE,),
    "target": (_TARGET,),
    "source-and-target": (_SOURCE, _TARGET),
    "background": (Alignment("target", _TARGET.foreground, ("source_background", *_TARGET.background)),),
    "foreground": (Alignment("target", ("source_foreground", *_TARGET.foreground), _TARGET.background),),
}


class PrototypeMemory(nn.Module):
    """The latest features of each group, and the prototypes and clusters made of them; buffers alone, no parameters."""

    def __init__(self, width: int, length: int, clusters: int) -> None:
        """Builds an empty memory.

        Args:
            width: of a feature, D.
            length: features remembered of each group, L.
            clusters: k of k-means, K.
        """
        super().__init__()
        groups = len(GROUPS)
        self.features: Tensor
        self.written: Tensor
        self.means: Tensor
        self.centres: Tensor
        self.known: Tensor
        self.register_buffer("features", torch.zeros(groups, length, width))
        self.register_buffer("written", torch.zeros(groups, dtype=torch.long))
        self.register_buffer("means", torch.zeros(groups, width))
        self.register_buffer("centres", torch.zeros(groups, clusters, width))
        self.register_buffer("known", torch.zeros(groups, 2, dtype=torch.bool))

    @torch.no_grad()
    def remember(self, group: str, features: Tensor) -> None:
        """Write ``(N, D)`` unit features over the oldest; at most the last L of them."""
        index, length = GROUPS.index(group), self.features.shape[1]
        latest = features[-length:].detach().to(self.features)
        places = (self.written[index] + torch.arange(len(latest), device=latest.device)) % length
        self.features[index, places] = latest
        self.written[index] += len(latest)

    @torch.no_grad()
    def renew(self) -> None:
        """Make prototypes and clusters again from what is remembered; a group without features keeps what it had."""
        with full_precision(self.features):
            for index, written in enumerate(self.written.tolist()):
                self._renew(index, self.features[index, : min(written, self.features.shape[1])])

    def _renew(self, index: int, features: Tensor) -> None:
        clusters = self.centres.shape[1]
        if len(features):
            self.means[index] = F.normalize(features.mean(dim=0), dim=0)
            self.known[index, 0] = True
        if len(features) >= clusters:
            self.centres[index] = k_means(features, clusters)
            self.known[index, 1] = True

    def prototypes(self, groups: tuple[str, ...]) -> Tensor:
        """Those prototypes of some groups that exist, ``(n, D)``."""
        indices = [GROUPS.index(group) for group in groups]
        return self.means[indices][self.known[indices, 0]]

    def clusters(self, group: str) -> Tensor:
        """Cluster centres of a group, ``(K, D)``; none before it has had K features."""
        index = GROUPS.index(group)
        return self.centres[index] if bool(self.known[index, 1]) else self.centres[index, :0]


def k_means(features: Tensor, clusters: int, iterations: int = 10) -> Tensor:
    """Centres of k-means on unit features, of length one.

    Starts with the feature farthest from the mean, then the one farthest from all centres so far: no randomness.

    Args:
        features: (N, D) float, N >= clusters.
        clusters: K.
        iterations: of Lloyd's algorithm.

    Returns:
        (K, D) float.
    """
    distance = torch.cdist(features, features.mean(dim=0, keepdim=True))[:, 0]
    chosen = [int(distance.argmax())]
    for _ in range(clusters - 1):
        chosen.append(int(torch.cdist(features, features[chosen]).min(dim=1).values.argmax()))
    centres = features[chosen]
    for _ in range(iterations):
        nearest = F.one_hot(torch.cdist(features, centres).argmin(dim=1), clusters).to(features)
        sums, sizes = nearest.T @ features, nearest.sum(dim=0)[:, None]
        centres = torch.where(sizes > 0, sums / sizes.clamp(min=1), centres)
    return F.normalize(centres, dim=1)

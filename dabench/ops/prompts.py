"""Point prompts and what a promptable network answers, and how points are drawn during training.

Points are ``(x, y)`` in pixels of the image they belong to, the centre of the first pixel being ``(0, 0)``.
Every random draw takes a ``torch.Generator``, so a run can be repeated and resumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Prompts:
    """Point prompts of a batch, padded to a common number.

    Attributes:
        points: (B, M, 2) float, ``(x, y)`` pixels; padded entries hold any finite value (zero by convention).
        valid: (B, M) bool, False where an entry is padding. M may be zero.
    """

    points: Tensor
    valid: Tensor

    def to(self, device: torch.device | str) -> Prompts:
        """The same prompts on another device."""
        return Prompts(self.points.to(device), self.valid.to(device))

    def unpad(self) -> list[Tensor]:
        """One (N, 2) tensor an image: the inverse of `pad_points`."""
        return [points[valid] for points, valid in zip(self.points, self.valid, strict=True)]


@dataclass(frozen=True)
class Features:
    """What a network sees on its way, for methods that align, contrast or reconstruct it.

    Attributes:
        decoder: (B, C, h, w) float, the finest map before the segmentation head.
        encoder: (B, C_i, H / s_i, W / s_i) float maps, deepest last.
    """

    decoder: Tensor
    encoder: list[Tensor]


@dataclass(frozen=True)
class NetworkOutput:
    """What a segmentation network answers to a batch of images.

    A network is called with ``(images, prompts=None, ..., with_density=False, with_features=False)``; one that takes no
    prompts ignores them, one without a detection head leaves the density out.

    Attributes:
        logits: (B, C, H, W) float32, C = 1: the log-odds of foreground. Losses take these; a probability has lost what
            they need where the network is sure.
        density: (B, H, W) float on the 0-1 scale (unbounded: the head is linear), None when it was not asked for.
        prompt_embeddings: (B, M, D) float, contrast-MLP embeddings of the prompts; None without prompts or when
            no contrast tokens were given.
        contrast_embeddings: (B, K, D) float, embeddings of the contrast tokens; None without them.
        features: maps on the way, None when they were not asked for.
    """

    logits: Tensor
    density: Tensor | None = None
    prompt_embeddings: Tensor | None = None
    contrast_embeddings: Tensor | None = None
    features: Features | None = None

    @property
    def probability(self) -> Tensor:
        """(B, H, W) float32 in [0, 1], the chance that a pixel is foreground."""
        return foreground(self.logits).sigmoid()


def foreground(logits: Tensor) -> Tensor:
    """The log-odds of foreground ``(B, H, W)`` float32 of a network's logits ``(B, 1, H, W)``.

    Raises:
        ValueError: there are several classes; dabench segments one.
    """
    if logits.ndim != 4 or logits.shape[1] != 1:
        raise ValueError(f"logits have the shape (B, 1, H, W), one foreground class; got {tuple(logits.shape)}")
    return logits[:, 0].float()


def binary_logits(two: Tensor) -> Tensor:
    """Logits ``(B, 2, H, W)`` of background and foreground as the one ``(B, 1, H, W)`` that has the same softmax."""
    classes = two.float()
    return classes[:, 1:] - classes[:, :1]


def pad_points(points: Sequence[Tensor]) -> Prompts:
    """Pads lists of points to a common length.

    Args:
        points: one (N_i, 2) float tensor an image, ``(x, y)``; N_i may be zero.

    Returns:
        Prompts with M = max N_i (zero when no image has a point).
    """
    most = max((len(p) for p in points), default=0)
    device = points[0].device if points else torch.device("cpu")
    padded = torch.zeros(len(points), most, 2, device=device)
    valid = torch.zeros(len(points), most, dtype=torch.bool, device=device)
    for row, p in enumerate(points):
        padded[row, : len(p)] = p.to(padded.dtype)
        valid[row, : len(p)] = True
    return Prompts(padded, valid)


def random_subset(points: Tensor, generator: torch.Generator) -> Tensor:
    """A random number of the given points, uniform on 0..N, without replacement.

    The random prompt count of Prompt-DAS training: the network learns to work with all, some or no prompts.

    Args:
        points: (N, 2) float.
        generator: source of randomness (CPU).

    Returns:
        (n, 2) float with 0 <= n <= N.
    """
    count = int(torch.randint(0, len(points) + 1, (1,), generator=generator))
    order = torch.randperm(len(points), generator=generator)[:count]
    return points[order.to(points.device)]


def merge_points(first: Tensor, second: Tensor, distance: float) -> Tensor:
    """Union of two point lists; a point of the second that lies near one of the first is dropped.

    Args:
        first: (N, 2) float, kept whole (points that a person gave).
        second: (M, 2) float (detected peaks).
        distance: in pixels; at or below it two points are the same object.

    Returns:
        (N + m, 2) float.
    """
    if len(first) == 0 or len(second) == 0:
        return torch.cat([first.reshape(-1, 2), second.reshape(-1, 2)])
    near = torch.cdist(second, first).min(dim=1).values <= distance
    return torch.cat([first, second[~near]])


def sample_pixels(mask: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Pixels drawn uniformly, without replacement, from a mask.

    Args:
        mask: (H, W) bool.
        count: at most so many; fewer when the mask is smaller.
        generator: source of randomness (CPU).

    Returns:
        (n, 2) float ``(x, y)``, n <= count.
    """
    rows, columns = torch.nonzero(mask, as_tuple=True)
    order = torch.randperm(len(rows), generator=generator)[:count].to(mask.device)
    return torch.stack([columns[order], rows[order]], dim=1).float()


def sample_per_component(components: Tensor, each: int, count: int, generator: torch.Generator) -> Tensor:
    """Pixels drawn evenly over components (queries of the prompt-guided contrast: 3 an instance in the paper).

    Args:
        components: (H, W) integer labels, 0 = background.
        each: pixels a component (all of it when it is smaller).
        count: at most so many altogether.
        generator: source of randomness (CPU).

    Returns:
        (n, 2) float ``(x, y)``, n <= count.
    """
    labels = [label for label in torch.unique(components).tolist() if label != 0]
    drawn = [sample_pixels(components == label, each, generator) for label in labels]
    if not drawn:
        return torch.zeros(0, 2, device=components.device)
    points = torch.cat(drawn)
    order = torch.randperm(len(points), generator=generator)[:count]
    return points[order.to(points.device)]

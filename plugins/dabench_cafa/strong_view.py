"""CAFA's strong view: photometry alone, so that pixels stay where they are in the weak view."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

#: Binomial kernel of three pixels.
_KERNEL = (0.25, 0.5, 0.25)


@dataclass(frozen=True)
class StrongOptions:
    """Strengths; the defaults are the release's.

    Attributes:
        chance: that a section is changed at all, and then of each change (0.5 · 0.5).
        noise: largest standard deviation of Gaussian noise.
        boxes: most boxes that are erased.
        side: their largest side in pixels.
    """

    chance: float = 0.5
    noise: float = 0.2
    boxes: int = 10
    side: int = 10


def strong_view(images: Tensor, options: StrongOptions, generator: torch.Generator) -> Tensor:
    """Change each section on its own.

    Args:
        images: (B, N, H, W) float in [0, 1].
        options: strengths.
        generator: source of randomness (CPU).

    Returns:
        The same shape, in [0, 1].
    """
    planes = [_changed(plane, options, generator) for plane in images.flatten(0, 1)]
    return torch.stack(planes).view_as(images)


def _changed(plane: Tensor, options: StrongOptions, generator: torch.Generator) -> Tensor:
    # Every draw is made, used or not: one plane's draws then do not depend on another's.
    at_all, blurred, noisy, erased = (torch.rand(4, generator=generator) < options.chance).tolist()
    std = float(torch.rand((), generator=generator)) * options.noise
    noise = torch.randn(plane.shape, generator=generator) * std
    wide = bool(torch.rand((), generator=generator) < 0.5)
    boxes = _draw_boxes(plane, options, generator)
    if not at_all:
        return plane
    # A kernel of one pixel changes nothing.
    seen = _blur(plane) if blurred and wide else plane
    seen = seen + noise.to(seen) if noisy else seen
    return erase(seen, boxes if erased else []).clamp(0, 1)


def _blur(plane: Tensor) -> Tensor:
    line = torch.tensor(_KERNEL).to(plane)
    padded = F.pad(plane[None, None], (1, 1, 1, 1), mode="reflect")[0, 0]
    rows = sum(line[i] * padded[i : i + plane.shape[0]] for i in range(3))
    assert isinstance(rows, Tensor)
    blurred = sum(line[i] * rows[:, i : i + plane.shape[1]] for i in range(3))
    assert isinstance(blurred, Tensor)
    return blurred


def _draw_boxes(plane: Tensor, options: StrongOptions, generator: torch.Generator) -> list[tuple[int, int, int, int]]:
    """(row, column, height, width) of up to so many boxes; those over the border are cut there."""
    height, width = plane.shape
    high = torch.tensor([height, width, options.side, options.side])
    draws = (torch.rand(options.boxes, 4, generator=generator) * high).long()
    count = int(torch.randint(0, options.boxes + 1, (), generator=generator))
    return [(int(y), int(x), int(h) + 1, int(w) + 1) for y, x, h, w in draws[:count]]


def erase(plane: Tensor, boxes: list[tuple[int, int, int, int]]) -> Tensor:
    """Black boxes (row, column, height, width) on a copy of (H, W)."""
    out = plane.clone()
    for y, x, height, width in boxes:
        out[y : y + height, x : x + width] = 0
    return out


def match_histogram(images: Tensor, references: Tensor) -> Tensor:
    """Give each section the grey values of another: the pixel of rank r gets the reference's value of rank r.

    Args:
        images: (B, N, H, W) float.
        references: (R, N, H, W) float, taken in turn.

    Returns:
        Like ``images``.
    """
    chosen = references[torch.arange(len(images)) % len(references)]
    order = images.flatten(2).argsort(dim=2, stable=True)
    values = chosen.flatten(2).sort(dim=2).values
    return torch.empty_like(values).scatter_(2, order, values).view_as(images)

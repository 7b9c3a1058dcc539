"""Cross-position cut-and-paste: where the target has most given points goes to where it has fewest (WDA-Net)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

#: Windows are looked for on a grid of a quarter of their side.
_STEPS = 4


@dataclass(frozen=True)
class Sample:
    """One target crop with all that belongs to it.

    image ``(1, S, S)`` float; points ``(N, 2)`` (x, y); labels ``(S, S)`` uint8 {0, 1, 255} and weights, their pixels'
    in the loss, ``(S, S)`` float >= 0; both None in stage 1.
    """

    image: Tensor
    points: Tensor
    labels: Tensor | None = None
    weights: Tensor | None = None


def cut_paste(sample: Sample, donor: Sample, side: int, generator: torch.Generator) -> Sample:
    """The sample with the donor's window of most points on its own window of fewest.

    Args:
        sample: is pasted on.
        donor: another crop of the same size, which gives.
        side: of the windows in pixels.
        generator: decides between windows with equally many points.

    Returns:
        A new sample; the same one when the donor has no point.
    """
    if len(donor.points) == 0:
        return sample
    size = int(sample.image.shape[-1])
    here = _window(_counts(sample.points, size, side), generator, most=False)
    there = _window(_counts(donor.points, size, side), generator, most=True)
    to, origin = (torch.tensor([x, y], device=sample.points.device) for y, x in (here, there))
    kept = sample.points[~_inside(sample.points, to, side)]
    moved = donor.points[_inside(donor.points, origin, side)] - origin + to

    def paste(onto: Tensor | None, of: Tensor | None) -> Tensor | None:
        return None if onto is None or of is None else _paste(onto, of, here, there, side)

    image = _paste(sample.image, donor.image, here, there, side)
    labels, weights = paste(sample.labels, donor.labels), paste(sample.weights, donor.weights)
    return Sample(image, torch.cat([kept, moved]), labels, weights)


def _origins(size: int, side: int) -> list[int]:
    """Where a window may begin along one axis."""
    return sorted({*range(0, size - side + 1, max(1, side // _STEPS)), size - side})


def _counts(points: Tensor, size: int, side: int) -> dict[tuple[int, int], int]:
    """Points in every window of the grid, by its origin (y, x)."""
    origins = _origins(size, side)
    places = [(y, x) for y in origins for x in origins]
    return {(y, x): int(_inside(points, points.new_tensor([x, y]), side).sum()) for y, x in places}


def _inside(points: Tensor, origin: Tensor, side: int) -> Tensor:
    """Which points (N, 2) lie on a pixel of the window at ``origin`` (x, y): (N,) bool."""
    local = points - origin
    return ((local >= -0.5) & (local < side - 0.5)).all(dim=1)


def _window(counts: dict[tuple[int, int], int], generator: torch.Generator, *, most: bool) -> tuple[int, int]:
    """One of the windows with most (or fewest) points, at random."""
    wanted = max(counts.values()) if most else min(counts.values())
    places: Sequence[tuple[int, int]] = [place for place, count in counts.items() if count == wanted]
    return places[int(torch.randint(len(places), (), generator=generator))]


def _paste(onto: Tensor, of: Tensor, here: tuple[int, int], there: tuple[int, int], side: int) -> Tensor:
    """A copy of a (..., S, S) map with one window replaced."""
    pasted = onto.clone()
    (y, x), (v, u) = here, there
    pasted[..., y : y + side, x : x + side] = of[..., v : v + side, u : u + side]
    return pasted

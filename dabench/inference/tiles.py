"""Where tiles lie on a slice, how they are turned, and the plain mean that puts their predictions together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from dabench.errors import UnknownNameError
from dabench.types import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dabench.types import Array


@dataclass(frozen=True)
class Profile:
    """How densely a slice is covered: largest stride in pixels (0: half a tile) and quarter turns of each tile."""

    name: str
    stride: int
    turns: tuple[int, ...]

    def step(self, tile: int) -> int:
        """Pixels from one tile to the next: the profile's stride, and never more than half a tile."""
        half = max(1, tile // 2)
        return min(self.stride, half) if self.stride else half


#: ``fast``: half-tile stride, no test-time augmentation. ``paper``: stride 128, four rotations (FACTS §1.7).
PROFILES = {p.name: p for p in (Profile("fast", 0, (0,)), Profile("paper", 128, (0, 1, 2, 3)))}


def profile_named(name: str) -> Profile:
    """The profile of this name. Raises UnknownNameError."""
    if name not in PROFILES:
        raise UnknownNameError("inference profile", name, PROFILES)
    return PROFILES[name]


def origins(length: int, tile: int, step: int) -> list[int]:
    """First pixels of tiles along one axis: every ``step``, the last one flush with the end. Needs length >= tile."""
    last = length - tile
    return [*range(0, last, step), last]


def windows(shape: tuple[int, int], tile: int, step: int) -> list[Window]:
    """Windows of ``tile`` x ``tile`` that cover every pixel of an ``(H, W)`` slice, row by row."""
    height, width = shape
    return [Window(y, x, tile, tile) for y in origins(height, tile, step) for x in origins(width, tile, step)]


def pad_to_tile(image: Array, tile: int) -> Array:
    """Reflect an ``(H, W)`` image at its lower and right edge up to one tile; points keep their (x, y)."""
    height, width = image.shape
    missing = ((0, max(0, tile - height)), (0, max(0, tile - width)))
    return np.pad(image, missing, mode="reflect") if any(after for _, after in missing) else image


def turn_points(points: torch.Tensor, turns: int, size: int) -> torch.Tensor:
    """Where points of a square tile lie after ``torch.rot90(tile, turns, (-2, -1))``.

    Args:
        points: ``(N, 2)`` (x, y), pixel centres.
        turns: quarter turns, counter-clockwise on the screen.
        size: side of the tile.
    """
    for _ in range(turns % 4):
        points = torch.stack((points[:, 1], size - 1 - points[:, 0]), dim=1)
    return points


class Blend:
    """Running sum of overlapping tiles of one slice, or of a part of it, which becomes their plain mean.

    Sums are kept in double precision, so that the mean of equal values is that value, bit for bit.
    """

    def __init__(self, shape: tuple[int, int], device: torch.device, corner: tuple[int, int] = (0, 0)) -> None:
        """Start an ``(H, W)`` map of zeros on a device; ``corner`` is the (y, x) of its first pixel on the slice."""
        exact = torch.float32 if device.type == "mps" else torch.float64
        self._sum = torch.zeros(shape, dtype=exact, device=device)
        self._corner = corner

    def add(self, places: Sequence[Window], tiles: torch.Tensor) -> None:
        """Add tiles ``(B, S, S)``, one a window of the slice; what lies beyond the map is left out."""
        for window, tile in zip(places, tiles.to(self._sum.dtype), strict=True):
            here, part = self._overlap(window)
            self._sum[here] += tile[part]

    def mean(self, count: torch.Tensor) -> Array:
        """``(H, W)`` float32 mean, once: it is made in place.

        Args:
            count: ``(H, W)`` whole numbers >= 1, the tiles that lie on each pixel; one that was not added counts as 0.
        """
        result: Array = self._sum.div_(count).float().cpu().numpy()
        return result

    def _overlap(self, window: Window) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Where a window meets the map: in the map's pixels, and in the window's own."""
        here, part = [], []
        places = zip(self._corner, self._sum.shape, (window.y, window.x), (window.height, window.width), strict=True)
        for corner, length, first, size in places:
            start, stop = max(first, corner), min(first + size, corner + length)
            here.append(slice(start - corner, stop - corner))
            part.append(slice(start - first, stop - first))
        return (here[0], here[1]), (part[0], part[1])

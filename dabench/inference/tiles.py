"""Where tiles lie on a slice, how they are turned, and the weighted mean that puts their predictions together."""

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
    """How densely a slice is covered: largest stride in pixels (0: half a tile) and quarter turns of each tile.

    Without ``overlap`` tiles lie side by side and every pixel is predicted once for each turn. Overlapping ones
    are put together by their plain mean, with ``hann`` weighted by a Hann window: most in the middle of a tile.
    """

    name: str
    stride: int
    turns: tuple[int, ...]
    overlap: bool = True
    hann: bool = False

    def step(self, tile: int) -> int:
        """Pixels from one tile to the next: a tile, or the profile's stride and never more than half a tile."""
        if not self.overlap:
            return tile
        half = max(1, tile // 2)
        return min(self.stride, half) if self.stride else half

    def weights(self, tile: int) -> Array:
        """Weights of a tile's rows, or columns, ``(tile,)`` float64 > 0; a pixel has the product of its two."""
        window: Array = np.sin(np.pi * (np.arange(tile) + 0.5) / tile) ** 2
        return window if self.hann else np.ones(tile)


#: Rows of a band of sums.
_BAND = 256

#: ``hann``: half-tile stride, weights that fall to the rim, where a network sees least of what lies around a pixel.
#: ``fast``: the same tiles, plain mean. ``paper``: stride 128, four rotations, plain mean.
#: ``tiles``: no overlap. All but ``paper`` without test-time augmentation.
PROFILES = {
    p.name: p
    for p in (
        Profile("hann", 0, (0,), hann=True),
        Profile("fast", 0, (0,)),
        Profile("paper", 128, (0, 1, 2, 3)),
        Profile("tiles", 0, (0,), overlap=False),
    )
}
DEFAULT_PROFILE = "hann"


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


def on_device(values: Array, device: torch.device) -> torch.Tensor:
    """Numbers to calculate with on a device: in double precision where it has that."""
    return torch.from_numpy(values).to(torch.float32 if device.type == "mps" else torch.float64).to(device)


class Blend:
    """Overlapping tiles of one slice, or of a part of it, becoming their weighted mean from the top downward.

    Sums are kept in double precision, so that the mean of equal values is that value, bit for bit; they are kept in
    bands of rows, each only from its first tile to its last, so that a large slice takes little more than its result.
    """

    def __init__(self, weights: tuple[Array, Array], device: torch.device, corner: tuple[int, int] = (0, 0)) -> None:
        """Start an empty map.

        Args:
            weights: sum of the weights > 0 of the tiles on each of its rows and columns (on a pixel it is their
                product); a tile that is never added counts as 0.
            device: of the tiles.
            corner: (y, x) of its first pixel on the slice.
        """
        self._rows, self._columns = (on_device(axis, device) for axis in weights)
        self._corner, self._shape = corner, (len(weights[0]), len(weights[1]))
        self._bands: dict[int, torch.Tensor] = {}
        self._mean = np.zeros(self._shape, np.float32)

    def add(self, places: Sequence[Window], tiles: torch.Tensor) -> None:
        """Add tiles ``(B, S, S)``, weighted already, one a window of the slice; what is beyond the map is left out."""
        for window, tile in zip(places, tiles.to(self._rows.dtype), strict=True):
            top, bottom, y = self._overlap(window, 0)
            left, right, x = self._overlap(window, 1)
            for number in range(top // _BAND, -(-bottom // _BAND)):
                start, stop = max(top, number * _BAND), min(bottom, (number + 1) * _BAND)
                part = tile[start - top + y : stop - top + y, x : x + right - left]
                self._band(number)[start - number * _BAND : stop - number * _BAND, left:right] += part

    def settle(self, row: int) -> None:
        """No tile that is still to come begins above this row of the slice."""
        for number in [n for n in self._bands if (n + 1) * _BAND <= row - self._corner[0]]:
            self._finish(number)

    def mean(self) -> Array:
        """``(H, W)`` float32, after the last tile."""
        for number in list(self._bands):
            self._finish(number)
        return self._mean

    def _band(self, number: int) -> torch.Tensor:
        if number not in self._bands:
            height = min(_BAND, self._shape[0] - number * _BAND)
            self._bands[number] = torch.zeros(
                (height, self._shape[1]), dtype=self._rows.dtype, device=self._rows.device
            )
        return self._bands[number]

    def _finish(self, number: int) -> None:
        rows = slice(number * _BAND, (number + 1) * _BAND)
        total = self._bands.pop(number).div_(torch.outer(self._rows[rows], self._columns))
        self._mean[rows] = total.float().cpu().numpy()

    def _overlap(self, window: Window, axis: int) -> tuple[int, int, int]:
        """Where a window meets the map along an axis: from, to (in the map), and where in the window that begins."""
        first, size = ((window.y, window.height), (window.x, window.width))[axis]
        start = max(first, self._corner[axis])
        stop = min(first + size, self._corner[axis] + self._shape[axis])
        return start - self._corner[axis], stop - self._corner[axis], start - first

"""From one pixel size to another within a slice: images, maps, masks and points, whole slices or any window of one.

Two grids of pixels cover the same area from edge to edge, so points and masks come back to where they were. Values are
antialiased linear interpolation: a triangle as wide as the coarser pixel, cut and normalised at the rim. Every value
has the same bits whatever window it is computed in, and a constant stays that constant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import sparse

from dabench.types import Array, Window

#: Relative difference up to which two pixel sizes count as one.
TOLERANCE = 0.01
#: Rows that are resampled at a time.
_BAND = 256


@dataclass(frozen=True)
class Resampling:
    """How pixels of a slice become those of another grid over the same area.

    Attributes:
        source: (H, W) of the slice as it is.
        target: (H, W) that it becomes.

    Example:
        >>> import numpy as np
        >>> halved = Resampling((4, 4), (2, 2))
        >>> halved.points(np.array([[0.5, 2.5]]))  # between the first two pixels is the centre of the first new one
        array([[0., 1.]], dtype=float32)
    """

    source: tuple[int, int]
    target: tuple[int, int]

    @classmethod
    def between(
        cls, shape: tuple[int, int], size: tuple[float, float], wanted: tuple[float, float]
    ) -> Resampling | None:
        """What brings a slice to another pixel size; None where it has that size (to 1 %) already.

        Args:
            shape: (H, W) of the slice.
            size: nm (y, x) of its pixels.
            wanted: nm (y, x) that they are to have; they get the size nearest to it that fills the slice.
        """
        rows, columns = (
            n if math.isclose(a, b, rel_tol=TOLERANCE) else max(1, round(n * a / b))
            for n, a, b in zip(shape, size, wanted, strict=True)
        )
        return None if (rows, columns) == shape else cls(shape, (rows, columns))

    @property
    def inverse(self) -> Resampling:
        """The way back."""
        return Resampling(self.target, self.source)

    @property
    def area(self) -> float:
        """Pixels of the target for each of the source."""
        return math.prod(self.target) / math.prod(self.source)

    def points(self, points: Array) -> Array:
        """Where points ``(N, 2)`` (x, y) of the source lie on the target; float32. Those on a pixel stay on one."""
        before, after = (np.array(shape[::-1], np.float64) for shape in (self.source, self.target))
        moved = ((np.asarray(points, np.float64).reshape(-1, 2) + 0.5) * (after / before) - 0.5).astype(np.float32)
        edge = np.nextafter((after - 0.5).astype(np.float32), np.float32(0))
        beyond = moved > edge  # rounded onto the far edge, which is no pixel's
        inside = np.asarray(points).reshape(-1, 2) < before - 0.5
        found: Array = np.where(beyond & inside, edge, moved)
        return found

    def needed(self, window: Window) -> Window:
        """The pixels of the source that a window of the target is made of."""
        top, rows = _weights(self.source[0], self.target[0], window.y, window.y + window.height)
        left, columns = _weights(self.source[1], self.target[1], window.x, window.x + window.width)
        return Window(top, left, rows.shape[1], columns.shape[1])

    def apply(self, pixels: Array, window: Window | None = None) -> Array:
        """A window of the target, ``(h, w)`` float32.

        Args:
            pixels: ``(H, W)`` of numbers or bool: what `needed` says of the source.
            window: of the target; all of it by default.
        """
        window = window or Window(0, 0, *self.target)
        top, _ = _weights(self.source[0], self.target[0], window.y, window.y + window.height)
        _, columns = _weights(self.source[1], self.target[1], window.x, window.x + window.width)
        made = np.empty((window.height, window.width), np.float32)
        for first in range(0, window.height, _BAND):
            last = min(first + _BAND, window.height)
            low, rows = _weights(self.source[0], self.target[0], window.y + first, window.y + last)
            band = rows @ pixels[low - top : low - top + rows.shape[1]]
            made[first:last] = (columns @ band.T).T
        return made

    def nearest(self, values: Array, window: Window | None = None) -> Array:
        """The same for values that cannot be mixed (ids): those of the source's pixel that each centre lies in."""
        window = window or Window(0, 0, *self.target)
        needed = self.needed(window)
        rows, columns = (
            ((np.arange(first, first + size) + 0.5) * before / after).astype(np.int64) - low
            for first, size, before, after, low in zip(
                (window.y, window.x), (window.height, window.width), self.source, self.target, (needed.y, needed.x),
                strict=True,
            )
        )  # fmt: skip
        found: Array = values[np.ix_(rows, columns)]
        return found


@lru_cache(maxsize=256)
def _weights(before: int, after: int, first: int, last: int) -> tuple[int, sparse.csr_array]:
    """What pixels ``first`` to ``last - 1`` of an axis are made of: the first pixel of the source, and weights.

    In double precision, so that weights of a constant add up to it in float32.
    """
    step = before / after
    radius = max(step, 1.0)
    centres = (np.arange(first, last) + 0.5) * step - 0.5
    reach = math.ceil(radius)
    taps = np.floor(centres).astype(np.int64)[:, None] + np.arange(-reach, reach + 2)
    weights = np.maximum(1 - np.abs(taps - centres[:, None]) / radius, 0)
    weights[(taps < 0) | (taps >= before)] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    rows, columns = np.nonzero(weights)
    used = taps[rows, columns]
    low = int(used.min())
    shape = last - first, int(used.max()) + 1 - low
    return low, sparse.csr_array((weights[rows, columns], (rows, used - low)), shape=shape)

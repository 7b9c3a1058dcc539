"""Which part of a volume is shown, and how much smaller: slices, a window, a whole factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dabench.errors import ConfigError
from dabench.types import Window

if TYPE_CHECKING:
    from dabench.types import Array

#: Pixels of labels that are sorted at once.
_BAND = 2**22


@dataclass(frozen=True)
class Downsampling:
    """Slices of a window, ``factor`` times smaller; ``of`` is how many slices were asked for before thinning."""

    slices: tuple[int, ...]
    of: int
    window: Window
    factor: int


def choose_downsampling(
    shape: tuple[int, int, int],
    *,
    slices: range | None = None,
    every: int = 1,
    most: int = 64,
    window: Window | None = None,
    side: int = 1024,
) -> Downsampling:
    """What to show of a volume.

    Args:
        shape: (slices, rows, columns) of the volume.
        slices: only these (all).
        every: every n-th of them.
        most: of more slices than this, evenly spread ones are shown, the first and the last among them.
        window: only this part of each slice (all).
        side: pixels of the longer side of a slice on the page; a larger one is shown at 1/2, 1/3, ...

    Raises:
        ConfigError: slices or window leave the volume, or a number is below 1.
    """
    depth, height, width = shape
    for option, value in (("--every", every), ("--max", most), ("--side", side)):
        if value < 1:
            raise ConfigError(f"{option} {value}: at least 1.")
    wanted = range(depth) if slices is None else slices
    if not len(wanted) or wanted[0] < 0 or wanted[-1] >= depth:
        raise ConfigError(
            f"slices {wanted.start} to {wanted.stop - 1}: the volume has {depth} (0 to {depth - 1}).",
            f"For example  --slices 0:{min(depth, 10)}",
        )
    seen = window or Window(0, 0, height, width)
    if min(seen.y, seen.x) < 0 or min(seen.height, seen.width) < 1:
        raise ConfigError(f"{_words(seen)}: y and x from 0 on, height and width at least 1.")
    if seen.y + seen.height > height or seen.x + seen.width > width:
        raise ConfigError(f"{_words(seen)} leaves slices of {height} rows and {width} columns.")
    factor = -(-max(seen.height, seen.width) // side)
    return Downsampling(_spread(wanted[::every], most), len(wanted), seen, factor)


def _spread(wanted: range, most: int) -> tuple[int, ...]:
    places = np.linspace(0, len(wanted) - 1, min(len(wanted), most)).round().astype(int)
    return tuple(wanted[int(place)] for place in places)


def _words(window: Window) -> str:
    return f"--window {window.y},{window.x},{window.height},{window.width}"


def area_mean(image: Array, factor: int) -> Array:
    """Means over squares of ``factor`` pixels, float32 ``(ceil(H / factor), ceil(W / factor))``.

    Squares at the lower and right edge are as large as what is left of the slice.
    """
    if factor == 1:
        return image.astype(np.float32)
    rows, columns = (np.arange(0, length, factor) for length in image.shape)
    sums = np.add.reduceat(np.add.reduceat(image, rows, axis=0, dtype=np.float64), columns, axis=1)
    tall, wide = (np.diff(np.append(s, length)) for s, length in zip((rows, columns), image.shape, strict=True))
    means: Array = (sums / np.outer(tall, wide)).astype(np.float32)
    return means


def most_frequent(labels: Array, factor: int) -> Array:
    """The value that most pixels of each square have; of equally frequent ones the largest: objects win.

    Args:
        labels: ``(H, W)`` whole numbers; the last row and column fill up squares at the lower and right edge.
        factor: side of a square in pixels.

    Returns:
        ``(ceil(H / factor), ceil(W / factor))`` of the same type.
    """
    if factor == 1:
        return labels
    height, width = (-(-length // factor) for length in labels.shape)
    step = max(1, _BAND // (width * factor**2))
    bands = [_modes(labels[y * factor : (y + step) * factor], factor) for y in range(0, height, step)]
    return np.concatenate(bands)


def _modes(labels: Array, factor: int) -> Array:
    padded = np.pad(labels, [(0, -length % factor) for length in labels.shape], mode="edge")
    height, width = (length // factor for length in padded.shape)
    squares = padded.reshape(height, factor, width, factor).swapaxes(1, 2).reshape(height, width, factor**2)
    values = np.sort(squares, axis=-1)
    best, most, run = values[..., 0].copy(), np.ones((height, width), int), np.ones((height, width), int)
    for i in range(1, factor**2):
        run = np.where(values[..., i] == values[..., i - 1], run + 1, 1)
        better = run >= most
        best[better], most[better] = values[..., i][better], run[better]
    return best

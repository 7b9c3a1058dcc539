"""Pictures for people: slices beside the same slices with label contours, with a scale bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from dabench.errors import ConfigError
from dabench.files.atomic import atomic
from dabench.ops.pictures import draw_contours, levels, rgb
from dabench.types import IGNORE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dabench.interfaces import Split
    from dabench.types import Array

_YELLOW, _VIOLET = (255, 215, 0), (190, 80, 255)
_MARGIN, _HEADER = 4, 16


def chosen_slices(split: Split, wanted: Sequence[int] | None) -> list[int]:
    """The slices to draw: those that are wanted, or the first, the middle and the last. Raises ConfigError."""
    count = split.images.shape[0]
    if not wanted:
        return sorted({0, count // 2, count - 1})
    beyond = next((z for z in wanted if not 0 <= z < count), None)
    if beyond is not None:
        raise ConfigError(f"--slice {beyond}: split {split.name!r} of {split.domain!r} has slices 0 to {count - 1}.")
    return list(wanted)


def draw(split: Split, slices: Sequence[int], path: Path, *, most: int = 768) -> None:
    """Write a PNG with one row per slice: the image and, where there are labels, the image with their contours.

    Args:
        split: an opened split.
        slices: which slices, by index in the split.
        path: where to write, atomically.
        most: slices longer than this are shown as their middle ``most`` x ``most`` pixels, never resampled.
    """
    rows = [_row(split, z, most) for z in slices]
    gap = np.full((_MARGIN, rows[0].shape[1], 3), 255, np.uint8)
    sheet = np.concatenate([part for row in rows for part in (row, gap)][:-1])
    with atomic(path) as part:
        Image.fromarray(sheet).save(part, format="PNG", optimize=True)


def _row(split: Split, z: int, most: int) -> Array:
    _, height, width = split.images.shape
    window = _middle(height, most), _middle(width, most)
    raw = split.images.read(z)[window]
    image = levels(raw, *np.percentile(raw, (0.5, 99.5)))
    panels = [rgb(image)]
    if split.labels is not None:
        labels, gap = split.labels.read(z)[window], np.full((image.shape[0], _MARGIN, 3), 255, np.uint8)
        panels += [gap, draw_contours(image, {_VIOLET: labels == IGNORE, _YELLOW: labels == 1})]
    return _titled(np.concatenate(panels, axis=1), f"{split.domain}  {split.name}  slice {z}", split.voxel[2])


def _middle(length: int, most: int) -> slice:
    if length <= most:
        return slice(0, length)
    start = (length - most) // 2
    return slice(start, start + most)


def _titled(panel: Array, title: str, nanometres: float) -> Array:
    """The panel under a line of text, with a scale bar in its lower left corner."""
    sheet = Image.new("RGB", (panel.shape[1], panel.shape[0] + _HEADER), "white")
    sheet.paste(Image.fromarray(panel), (0, _HEADER))
    pen = ImageDraw.Draw(sheet)
    length = next((n for n in (5000, 2000, 1000, 500, 200, 100) if n / nanometres < panel.shape[1] / 5), 50)
    bottom = sheet.height - 6
    pen.text((3, 2), f"{title}   bar {length} nm", fill="black")
    pen.line([(6, bottom), (6 + round(length / nanometres), bottom)], fill="white", width=3)
    return np.asarray(sheet)

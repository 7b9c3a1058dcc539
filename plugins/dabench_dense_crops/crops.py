"""Weak label ``crops``: a few square parts of the training slices, in which every object is outlined.

What most labs do today. A draw takes tiles of a regular grid over all slices, each as likely as any other, empty ones
too; draws are nested: the crops of 1 % are among those of 5 %. An erring person leaves an object out, or draws its
outline too wide or too narrow, in equal parts.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field
from scipy.ndimage import binary_dilation, binary_erosion

from dabench.ops.components import label_components
from dabench.ops.patches import cut, tile_windows
from dabench.ops.resampling import Resampling
from dabench.plugin import IGNORE, Array, DataError, Settings, Truth, WeakLabel, Window
from dabench_dense_crops.crop_files import read_crops, write_crops


class CropSettings(Settings):
    """Size and price of a crop, and the shape of a mistake."""

    side: int = Field(256, ge=16, description="Side of a crop in pixels; slices that are smaller are one crop.")
    seconds_per_object: float = Field(
        79.0,
        ge=0,
        description="Seconds to outline one object; an assumption (Bearman et al. 2016, of COCO: 79 s in photos).",
    )
    seconds_per_crop: float = Field(5.0, ge=0, description="Seconds to look over a crop; an assumption.")
    slip: int = Field(4, ge=1, description="Pixels by which an erring person draws an outline too wide or too narrow.")


@dataclass(frozen=True)
class CropRequest:
    """A share of all crops of these slices."""

    fraction: float
    slices: tuple[int, ...]


@dataclass(frozen=True)
class CropAnswer:
    """Labels ``(h, w)`` uint8 {0, 1, 255} of one window; 255 is what the person left open.

    ``objects`` is how many were outlined.
    """

    z: int
    window: Window
    labels: Array
    objects: int
    seconds: float
    rater: str


class Crops(WeakLabel):
    """Densely labelled crops."""

    suffix = ".jsonl"

    def __init__(self, config: CropSettings) -> None:
        """Take the settings."""
        self.config = config

    # ---------------------------------------------------------------------------------------------------------- asking
    def request(self, share: float, slices: Sequence[int]) -> CropRequest:
        """A share of all crops."""
        return CropRequest(share, tuple(slices))

    def key(self, request: CropRequest, shape: tuple[int, int, int]) -> Hashable:
        """The request itself. Raises DataError for slices that the split has not."""
        return super().key(request, shape)

    def simulate(
        self, request: CropRequest, truth: Truth, rng: np.random.Generator, error_rate: float
    ) -> list[CropAnswer]:
        """Outline every object of the drawn crops, each wrong with the error rate; at least one crop."""
        order, mistakes = (np.random.default_rng(seed) for seed in rng.integers(1 << 62, size=2))
        places = [(z, w) for z in request.slices for w in self._windows(truth.labels(z).shape)]
        drawn = order.permutation(len(places))[: max(1, math.ceil(request.fraction * len(places) - 1e-9))]
        rater = f"simulated:{error_rate:g}"
        return [self._paint(places[i], truth, mistakes, error_rate, rater) for i in drawn]

    def _windows(self, shape: tuple[int, ...]) -> list[Window]:
        height, width = shape
        size = min(self.config.side, height, width)
        return tile_windows(height, width, size)

    def _paint(
        self, place: tuple[int, Window], truth: Truth, rng: np.random.Generator, error_rate: float, rater: str
    ) -> CropAnswer:
        z, window = place
        labels = cut(truth.labels(z), window, fill=IGNORE).astype(np.uint8)
        objects = label_components(labels == 1)
        painted = np.where(labels == 1, 0, labels).astype(np.uint8)
        count = 0
        for number in range(1, int(objects.max(initial=0)) + 1):
            mask = self._outline(objects == number, rng, error_rate)
            count += bool(mask.any())
            painted[mask & (labels != IGNORE)] = 1
        return self._priced(CropAnswer(z, window, painted, count, 0.0, rater))

    def _outline(self, mask: Array, rng: np.random.Generator, error_rate: float) -> Array:
        wrong, kind = rng.random() < error_rate, int(rng.integers(4))
        if not wrong:
            return mask
        if kind < 2:
            return np.zeros_like(mask)
        change = binary_dilation if kind == 2 else binary_erosion
        changed: Array = change(mask, iterations=self.config.slip)
        return changed

    def match(self, request: CropRequest, recorded: Sequence[CropAnswer]) -> list[CropAnswer]:
        """A person's crops; the file decides how many there are."""
        del request
        return [self._priced(answer) for answer in recorded]

    def resampled(self, answers: Sequence[CropAnswer], resampling: Resampling) -> list[CropAnswer]:
        """The same crops on other pixels of their slices: every new pixel has the label that its centre lies in."""
        return [_resampled(answer, resampling) for answer in answers]

    # ----------------------------------------------------------------------------------------------- metering and files
    def charge(self, keys: Sequence[CropRequest], shape: tuple[int, int, int]) -> float:
        """The largest share: draws are nested."""
        del shape
        return max((request.fraction for request in keys), default=0.0)

    def check(self, answers: Sequence[CropAnswer], shape: tuple[int, int, int]) -> None:
        """Raises DataError for a crop that leaves the split."""
        depth, height, width = shape
        for a in answers:
            w = a.window
            inside = min(w.y, w.x) >= 0 and w.y + w.height <= height and w.x + w.width <= width
            if not (0 <= a.z < depth and inside):
                raise DataError(
                    f"a crop at slice {a.z}, row {w.y}, column {w.x} with {w.height} x {w.width} pixels: the training "
                    f"split has {depth} slices of {height} x {width}."
                )

    def price(self, answers: Sequence[CropAnswer]) -> float:
        """Seconds for every outlined object and every crop."""
        return float(sum(answer.seconds for answer in answers))

    def write(self, answers: Sequence[CropAnswer], path: Path, about: Mapping[str, Any] | None = None) -> None:
        """Write one line of JSON per crop, atomically."""
        lines = [(a.z, a.window, a.labels, {"objects": a.objects, "who": a.rater}) for a in answers]
        write_crops(lines, path, about or {})

    def read(self, path: Path) -> list[CropAnswer]:
        """Read what `write` wrote, or a painted TIFF stack. Raises DataError."""
        return [
            CropAnswer(z, window, labels, _objects(labels), 0.0, who) for z, window, labels, who in read_crops(path)
        ]

    def _priced(self, answer: CropAnswer) -> CropAnswer:
        c = self.config
        return replace(answer, seconds=c.seconds_per_object * answer.objects + c.seconds_per_crop)


def _objects(labels: Array) -> int:
    return int(label_components(labels == 1).max(initial=0))


def _resampled(answer: CropAnswer, resampling: Resampling) -> CropAnswer:
    canvas = np.full(resampling.source, IGNORE, np.uint8)
    canvas[answer.window.slices] = answer.labels
    seen = resampling.nearest(canvas)
    corners = np.argwhere(seen != IGNORE)
    if not len(corners):
        return replace(answer, window=Window(0, 0, 1, 1), labels=seen[:1, :1])
    (top, left), (bottom, right) = corners.min(0), corners.max(0) + 1
    window = Window(int(top), int(left), int(bottom - top), int(right - left))
    return replace(answer, window=window, labels=seen[window.slices].copy())

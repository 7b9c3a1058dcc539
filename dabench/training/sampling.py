"""Crops for training. Stateless: an update's crops follow from (seed, stage, step) alone, so resume needs no state."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from dabench.errors import DataError
from dabench.interfaces import CropSpec, Volume
from dabench.ops.centres import component_centres
from dabench.ops.patches import cut
from dabench.types import IGNORE, Array, Batch, CropId, SourceCrops, TargetCrops, Window

if TYPE_CHECKING:
    from dabench.types import PointAnswer

#: `Stage.target_crops`.
Choose = Callable[[int, np.random.Generator], "Sequence[CropId] | None"]

#: Foreground pixels remembered a slice; crops are drawn around one of them.
_REMEMBERED = 2048


def step_seed(seed: int, stage: str, step: int) -> int:
    """A 63-bit seed for one update; different for every (seed, stage, step)."""
    sequence = np.random.SeedSequence([seed, zlib.crc32(stage.encode()), step])
    return int(sequence.generate_state(1, np.uint64)[0] >> 1)


def gap_slices(nanometres: float, thickness: float, depth: int) -> int:
    """Slices to the section nearest so many nm further, at least 1; 0 for 0 nm.

    Args:
        nanometres: from a section to its partner.
        thickness: nm a slice.
        depth: slices of the volume; in one that is thinner the partner is as far as it can be.
    """
    return max(1, min(round(nanometres / thickness), depth - 1)) if nanometres else 0


class LabelledSlices:
    """Slices with dense labels: images (float32 [0, 1]) and labels (0, 1, 255) read lazily, centres kept."""

    def __init__(self, images: Volume, labels: Volume) -> None:
        """Both volumes have the same shape."""
        self.images, self.labels = images, labels
        self.foreground = lru_cache(maxsize=4096)(self._foreground)
        self.centres = lru_cache(maxsize=4096)(self._centres)

    def _foreground(self, z: int) -> Array:
        """Up to 2048 evenly spread foreground pixels of a slice, ``(N, 2)`` (y, x)."""
        pixels = np.argwhere(self.labels.read(z) == 1)
        return pixels[:: max(1, len(pixels) // _REMEMBERED)].astype(np.int32)

    def _centres(self, z: int) -> Array:
        return component_centres(self.labels.read(z) == 1)

    def place(self, spec: CropSpec, rng: np.random.Generator, gap: int = 0) -> CropId:
        """Where a crop is cut; with probability ``foreground`` it holds foreground. Section z + gap exists."""
        depth, height, width = self.images.shape
        z = int(rng.integers(depth - gap))
        pixels = self.foreground(z) if rng.random() < spec.foreground else _NONE
        return CropId(z, draw_window(spec.size, height, width, rng, around=pixels))

    def crops(self, places: Sequence[CropId], gap: int = 0) -> SourceCrops:
        """Crops at these places, ``gap`` sections further."""
        images, labels, points = [], [], []
        for place in places:
            z, window = place.z + gap, place.window
            images.append(cut(self.images.read(z), window))
            labels.append(cut(self.labels.read(z), window, fill=IGNORE))
            points.append(torch.from_numpy(window.to_local(self.centres(z))))
        return SourceCrops(_as_images(images), torch.from_numpy(np.stack(labels)), points)


def _as_images(crops: list[Array]) -> torch.Tensor:
    return torch.from_numpy(np.stack(crops).astype(np.float32))[:, None]


_NONE = np.empty((0, 2), np.int32)


def draw_window(size: int, height: int, width: int, rng: np.random.Generator, around: Array = _NONE) -> Window:
    """A square window inside the slice, uniform, or uniform among those that hold a random one of ``around`` (y, x)."""
    low, high = np.zeros(2, np.int64), np.maximum(np.array([height, width]) - size, 0)
    if len(around):
        y, x = around[int(rng.integers(len(around)))]
        low = np.clip(np.array([y, x]) - size + 1, low, high)
        high = np.minimum(high, np.array([y, x]))
    top, left = (int(rng.integers(a, max(a, b) + 1)) for a, b in zip(low, high, strict=True))
    return Window(top, left, size, size)


class CropSampler:
    """Draws the batch of any update of one stage."""

    def __init__(
        self,
        spec: CropSpec,
        seed: int,
        stage: str,
        labelled: LabelledSlices | None = None,
        target: Volume | None = None,
        points: Mapping[int, PointAnswer] | None = None,
        gaps: tuple[int, int] = (0, 0),
    ) -> None:
        """``target`` images are float32 [0, 1]; ``points`` are the desk's, by slice.

        ``gaps`` are slices between the sections of a pair, in the labelled and in the target split.
        """
        self.spec, self.seed, self.stage = spec, seed, stage
        self.labelled, self.target, self.points, self.gaps = labelled, target, points or {}, gaps
        for volume, gap in ((labelled.images if labelled else None, gaps[0]), (target, gaps[1])):
            if volume is not None and volume.shape[0] <= gap:
                raise DataError(f"stage {stage!r} wants pairs {gap} slices apart, of a volume with {volume.shape[0]}.")

    def draw(self, step: int, choose: Choose | None = None) -> Batch:
        """The batch of update ``step``; the same at every call. ``choose`` may name its target crops."""
        number = step_seed(self.seed, self.stage, step)
        rng = np.random.default_rng(number)
        generator = torch.Generator().manual_seed(number)
        return Batch(step, generator, self._source(rng), self._target(rng, choose(step, rng) if choose else None))

    def _source(self, rng: np.random.Generator) -> SourceCrops | None:
        if not self.spec.source or self.labelled is None:
            return None
        gap = self.gaps[0]
        places = [self.labelled.place(self.spec, rng, gap) for _ in range(self.spec.source)]
        crops = self.labelled.crops(places)
        return replace(crops, second=self.labelled.crops(places, gap)) if gap else crops

    def _target(self, rng: np.random.Generator, chosen: Sequence[CropId] | None) -> TargetCrops | None:
        if self.target is None or not (self.spec.target or chosen):
            return None
        gap = self.gaps[1]
        places = list(chosen or ()) or [self._target_place(self.target, rng, gap) for _ in range(self.spec.target)]
        crops = self._target_crops(self.target, places)
        if not gap:
            return crops
        return replace(crops, second=self._target_crops(self.target, [replace(p, z=p.z + gap) for p in places]))

    def _target_place(self, target: Volume, rng: np.random.Generator, gap: int) -> CropId:
        depth, height, width = target.shape
        z = int(rng.integers(depth - gap))
        wanted = rng.random() < self.spec.target_points
        around = np.round(self._given(z)[:, ::-1]).astype(np.int32) if wanted else _NONE
        return CropId(z, draw_window(self.spec.size, height, width, rng, around=around))

    def _target_crops(self, target: Volume, places: list[CropId]) -> TargetCrops:
        images = [cut(target.read(place.z), place.window) for place in places]
        points = [torch.from_numpy(place.window.to_local(self._given(place.z))) for place in places]
        return TargetCrops(_as_images(images), points, places)

    def _given(self, z: int) -> Array:
        """Points of a slice, ``(N, 2)`` (x, y)."""
        return self.points[z].points if z in self.points else np.empty((0, 2), np.float32)

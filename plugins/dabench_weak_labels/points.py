"""Weak label ``points``: centres of a share of the mitochondria of each slice (Prompt-DAS: 15 %).

Drawing rule: ceil(fraction * n) of the n 8-connected components of a slice, at least one where there is one,
drawn on the whole slice before any crop. Draws are nested: the points of 15 % are among those of 50 %.
A wrong answer is, in equal parts, a point that is missing and one that was put on background nearby.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from dabench.ops.centres import label_centres
from dabench.ops.components import Labels, label_components
from dabench.ops.resampling import Resampling
from dabench.plugin import DataError, PointAnswer, PointRequest, Settings, Truth, WeakLabel, Window
from dabench_weak_labels.point_files import check_origin, read_points, write_points

Points2d = npt.NDArray[np.float32]


class PointSettings(Settings):
    """Price of a point and shape of a mistake."""

    seconds_per_point: float = Field(
        2.4,
        ge=0,
        description="Seconds to find and click one object; an assumption (Bearman et al. 2016: 2.4 s in photos).",
    )
    offset: float = Field(
        0.0,
        ge=0,
        description="Distance in pixels from each centre to the given point, inside the object (IPL, Fig. 5; paper: "
        "0).",
    )
    displacement: int = Field(
        40,
        ge=1,
        description="Largest offset in pixels, along x and along y, of a point that an erring rater misplaces.",
    )


class Points(WeakLabel):
    """Sparse centre points."""

    def __init__(self, config: PointSettings) -> None:
        """Take the settings."""
        self.config = config
        self.seconds_per_unit = config.seconds_per_point

    def simulate(
        self, request: PointRequest, truth: Truth, rng: np.random.Generator, error_rate: float
    ) -> list[PointAnswer]:
        """Draw points slice by slice; a slice's draw depends on the generator's state and its index alone."""
        base = int(rng.integers(1 << 62))
        rater = f"simulated:{error_rate:g}"
        return [
            self._simulate_slice(request.fraction, z, truth.labels(z), base, error_rate, rater) for z in request.slices
        ]

    def _simulate_slice(
        self, fraction: float, z: int, label: npt.NDArray[np.uint8], base: int, error_rate: float, rater: str
    ) -> PointAnswer:
        objects = label_components(label == 1)
        centres = label_centres(objects)
        order = np.random.default_rng([base, z, 0]).permutation(len(centres))
        chosen = centres[order[: number_of_points(fraction, len(centres))]]
        if self.config.offset:
            chosen = off_centre(chosen, objects, self.config.offset, np.random.default_rng([base, z, 2]))
        given = self._err(chosen, label == 0, np.random.default_rng([base, z, 1]), error_rate)
        return PointAnswer(z, given, self.config.seconds_per_point * len(given), rater)

    def _err(
        self, points: Points2d, background: npt.NDArray[np.bool_], rng: np.random.Generator, error_rate: float
    ) -> Points2d:
        """Points after mistakes: each is wrong with the error rate, half of the wrong ones missing, half misplaced."""
        wrong = rng.random(len(points)) < error_rate
        missing = rng.random(len(points)) < 0.5
        kept = []
        for point, is_wrong, is_missing in zip(points, wrong, missing, strict=True):
            moved = self._misplace(point, background, rng) if is_wrong and not is_missing else None
            if moved is not None:
                kept.append(moved)
            elif not is_wrong:
                kept.append(point)
        return np.asarray(kept, dtype=np.float32).reshape(-1, 2)

    def _misplace(
        self, point: Points2d, background: npt.NDArray[np.bool_], rng: np.random.Generator
    ) -> Points2d | None:
        """A random background pixel near the point, or None where there is none."""
        x, y = np.rint(point).astype(int)
        reach = self.config.displacement
        top, left = max(0, y - reach), max(0, x - reach)
        rows, columns = np.nonzero(background[top : y + reach + 1, left : x + reach + 1])
        if len(rows) == 0:
            return None
        pick = rng.integers(len(rows))
        return np.asarray([columns[pick] + left, rows[pick] + top], dtype=np.float32)

    def match(self, request: PointRequest, recorded: Sequence[PointAnswer]) -> list[PointAnswer]:
        """A person's points on the requested slices; the file decides how many there are.

        Points on a slice that was not requested are kept, so that the desk can name a file of another volume.
        """
        by_slice = {answer.z: answer for answer in recorded}
        empty = np.zeros((0, 2), dtype=np.float32)
        asked = [by_slice.pop(z, PointAnswer(z, empty, 0.0, "recorded", regions=())) for z in request.slices]
        return [replace(a, seconds=self.config.seconds_per_point * clicks(a)) for a in (*asked, *by_slice.values())]

    def write(self, answers: Sequence[PointAnswer], path: Path, about: Mapping[str, Any] | None = None) -> None:
        """Write a manifest, CSV or (suffix ``.json``) JSON, atomically."""
        write_points(answers, path, about or {})

    def read(self, path: Path) -> list[PointAnswer]:
        """Read a manifest or a user's clicks. Raises DataError with line and value."""
        return read_points(path)

    def digest(self, path: Path) -> str:
        """Names the points and regions: a copy with other columns, or more comments, is the same."""
        said = [(a.z, a.points.tolist(), _places(a.negative), a.regions) for a in self.read(path)]
        return hashlib.sha256(repr(said).encode()).hexdigest()

    def check_file(self, path: Path, split: Mapping[str, Any]) -> None:
        """Raises DataError for a file of another domain or split, or of negative clicks alone: nothing learns there."""
        check_origin(path, {name: str(split.get(name, "")) for name in ("domain", "split")})
        answers = self.read(path)
        if sum(map(clicks, answers)) and not any(len(answer.points) for answer in answers):
            raise DataError(
                f"{path}: holds negative clicks alone, which neither train nor prompt: they judge.",
                "Click some objects too.",
            )

    def resampled(self, answers: Sequence[PointAnswer], resampling: Resampling) -> list[PointAnswer]:
        """The same points, and regions, on other pixels."""
        return [_resampled(answer, resampling) for answer in answers]

    def units(self, answers: Sequence[PointAnswer]) -> int:
        """Points that were given, negative ones too."""
        return sum(map(clicks, answers))

    def check(self, answers: Sequence[PointAnswer], shape: tuple[int, int, int]) -> None:
        """Points and regions lie on pixels of the split. Raises DataError that names the first one outside."""
        slices, height, width = shape
        mend = "Points are voxels of the split: z counts its slices from 0, y its rows, x its columns."
        for answer in answers:
            if not 0 <= answer.z < slices:
                raise DataError(f"points on slice {answer.z}: the split has slices 0 to {slices - 1}", mend)
            marked = answer.points if answer.negative is None else np.concatenate([answer.points, answer.negative])
            inside = Window(0, 0, height, width).contains(marked)
            if not inside.all():
                x, y = marked[~inside][0]
                raise DataError(
                    f"point (x {x:g}, y {y:g}) on slice {answer.z} lies outside {height} x {width} pixels", mend
                )
            for window in (region.window for region in answer.regions or () if region.window is not None):
                if window.y + window.height > height or window.x + window.width > width:
                    raise DataError(f"{window} on slice {answer.z} lies outside {height} x {width} pixels", mend)


def _places(points: Points2d | None) -> list[list[float]]:
    return [] if points is None else points.tolist()


def clicks(answer: PointAnswer) -> int:
    """All clicks of a slice, negative ones too."""
    return len(answer.points) + (0 if answer.negative is None else len(answer.negative))


def _resampled(answer: PointAnswer, resampling: Resampling) -> PointAnswer:
    negative = None if answer.negative is None else resampling.points(answer.negative)
    regions = answer.regions and tuple(
        region if region.window is None else replace(region, window=_window(region.window, resampling))
        for region in answer.regions
    )
    return replace(answer, points=resampling.points(answer.points), negative=negative, regions=regions)


def _window(window: Window, resampling: Resampling) -> Window:
    """The pixels whose edges lie nearest to those of a window of other pixels."""
    up, across = (b / a for a, b in zip(resampling.source, resampling.target, strict=True))
    top, bottom = round(window.y * up), round((window.y + window.height) * up)
    left, right = round(window.x * across), round((window.x + window.width) * across)
    return Window(top, left, max(1, bottom - top), max(1, right - left))


def number_of_points(fraction: float, components: int) -> int:
    """ceil(fraction * components); 0 only where the fraction or the components are 0."""
    return min(components, math.ceil(fraction * components - 1e-9)) if fraction > 0 else 0


def off_centre(points: Points2d, objects: Labels, offset: float, rng: np.random.Generator) -> Points2d:
    """Points moved in a random direction, each inside its object (IPL, Fig. 5).

    Args:
        points: (N, 2) (x, y), each in an object.
        objects: (H, W) numbered components.
        offset: pixels that each is moved; where the object does not reach so far, as far as it reaches.
        rng: draws the directions.

    Returns:
        (N, 2) float32, pixel positions within half a pixel of that distance.
    """
    moved = []
    for x, y in points:
        rows, columns = np.nonzero(objects == objects[round(float(y)), round(float(x))])
        distance = np.hypot(columns - x, rows - y)
        wanted = distance[np.abs(distance - offset).argmin()]
        pick = rng.choice(np.flatnonzero(np.abs(distance - wanted) <= 0.5))
        moved.append((columns[pick], rows[pick]))
    return np.asarray(moved, dtype=np.float32).reshape(-1, 2)

"""What a run says of pixel sizes: which one its model sees, and where the sizes of a task do not fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from dabench.data.labels import known_slices
from dabench.interfaces import StageSpec, WeakLabel
from dabench.ops.centres import component_centres
from dabench.runs.task import TaskData
from dabench.types import Array

#: nm (y, x).
Pixel = tuple[float, float]
#: Ratio of two pixel sizes above which matching them is doubtful, and of two spacings of objects.
FAR, APART = 4.0, 10.0
#: Slices of the source that are looked at, and points without which there is no spacing.
_LOOKED_AT, _FEWEST = 8, 5


def model_pixel(task: TaskData, specs: Iterable[StageSpec]) -> Pixel | None:
    """The nm (y, x) of pixels that a trained model knows.

    The source's where sizes were matched or no stage saw the target, else the target's.
    """
    split = task.target_train
    sees_target = any(read is split for spec in specs for read in task.read_by(spec))
    if task.pixel_size == "match" or not sees_target:
        return task.source_pixel
    return split.voxel[1:]


def notes(task: TaskData, clicks: Path | None, points: WeakLabel) -> tuple[str, ...]:
    """What a reader of the plan should know of the pixel sizes of source and target.

    Args:
        task: of the run.
        clicks: a person's file of points on the target's training split.
        points: the weak label that reads it.
    """
    found = [*_sizes(task)]
    if clicks is not None and (note := _spacings(task, points, clicks)):
        found.append(note)
    return tuple(found)


def far(one: Pixel, other: Pixel) -> float:
    """By what factor two pixel sizes differ, at least 1."""
    return max(max(a / b, b / a) for a, b in zip(one, other, strict=True))


def nm(pixel: Iterable[float]) -> str:
    """``8 x 8 nm``."""
    return " x ".join(f"{size:g}" for size in pixel) + " nm"


def _sizes(task: TaskData) -> Iterable[str]:
    source, target, split = task.source_pixel, task.target_train.voxel[1:], task.target_train
    if source is None:
        yield (
            f"pixel size of {task.source!r} unknown: nothing is resampled. Give it as `voxel: [z, y, x]` (nm) in its "
            "card, or choose --pixel-size native"
        )
        return
    sizes = f"pixels of {nm(target)} in {task.target!r}, {nm(source)} in {task.source!r}"
    if task.resampling(split) is not None:
        yield f"{sizes}: slices of {task.target!r} are resampled to {nm(source)}, and results back (--pixel-size match)"
    elif far(source, target) > 1.01:
        yield f"{sizes}: nothing is resampled (--pixel-size {task.pixel_size})"
    if far(source, target) > FAR:
        yield f"{sizes}: they differ by a factor of {far(source, target):.1f}, so each shows much that the other lacks"


def _spacings(task: TaskData, points: WeakLabel, clicks: Path) -> str:
    """A warning where points lie ten times as far apart as objects of the source, or as close, as the model sees them.

    Points have no size of their own; a wrong voxel size, or points of another volume, show in their spacing.
    """
    if task.source_pixel is None or task.missing():
        return ""
    resampling = task.resampling(task.target_train)
    given = {a.z: resampling.points(a.points) if resampling else a.points for a in points.read(clicks)}
    labels = task.source_train.labels
    assert labels is not None
    known = known_slices(labels)
    some = known[:: max(1, len(known) // _LOOKED_AT)]
    ours, theirs = spacing(given), spacing({z: component_centres(labels.read(z) == 1) for z in some})
    if not ours or not theirs or 1 / APART < ours / theirs < APART:
        return ""
    return (
        f"the points in {clicks.name} lie {ours:.0f} pixels apart, but the objects in {task.source!r} {theirs:.0f} (in "
        "pixels of the model). Check the voxel sizes, and that the points belong to this volume (dabench data show)"
    )


def spacing(points: Mapping[int, Array]) -> float:
    """Median distance in pixels from a point ``(N, 2)`` to the nearest other one of its slice; 0 for too few points."""
    nearest = [cKDTree(xy).query(xy, k=2)[0][:, 1] for xy in points.values() if len(xy) > 1]
    distances = np.concatenate(nearest) if nearest else np.empty(0)
    return float(np.median(distances)) if len(distances) >= _FEWEST else 0.0

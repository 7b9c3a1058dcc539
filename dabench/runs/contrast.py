"""Whether objects are dark in the source and bright in the target, or the reverse, as a person's clicks show it.

Grey values are sometimes stored inverted. No error follows from it: a model then finds everything but the objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dabench.data.labels import known_slices
from dabench.interfaces import Volume, WeakLabel
from dabench.ops.centres import component_centres
from dabench.runs.task import TaskData
from dabench.types import Array

#: Shares of objects brighter than their slice below and above which objects count as dark and bright.
DARK, BRIGHT = 0.2, 0.8
#: Slices of either domain that are looked at, and points without which nothing is said.
_LOOKED_AT, _FEWEST = 8, 5
#: Half the side of the square around a centre whose mean is compared, in pixels.
_AROUND = 2


def contrast_note(task: TaskData, points: WeakLabel, clicks: Path | None) -> str:
    """A warning where clicked objects are bright and those of the source dark, or the reverse; else "".

    Args:
        task: of the run.
        points: the weak label that reads the file.
        clicks: a person's file of points on the target's training split.
    """
    if clicks is None or task.missing() or (labels := task.source_train.labels) is None:
        return ""
    known = known_slices(labels)
    theirs = {z: component_centres(labels.read(z) == 1) for z in known[:: max(1, len(known) // _LOOKED_AT)]}
    source = brighter(task.source_train.images, theirs)
    target = brighter(task.target_train.images, {answer.z: answer.points for answer in points.read(clicks)})
    if source is None or target is None:
        return ""
    if not ((source <= DARK and target >= BRIGHT) or (source >= BRIGHT and target <= DARK)):
        return ""
    return (
        f"{target:.0%} of the points in {clicks.name} are brighter than the median of their slice, {source:.0%} of the "
        f"objects in {task.source!r}: are the grey values inverted? Then invert them in a copy of the scan (highest "
        "value minus value), and add that"
    )


def brighter(images: Volume, points: Mapping[int, Array]) -> float | None:
    """Share of points around which a slice is brighter than its median, on at most 8 slices; None for under 5 points.

    Args:
        images: grey values by slice.
        points: ``(N, 2)`` (x, y) by slice.
    """
    slices = sorted(z for z, xy in points.items() if len(xy))
    found: list[bool] = []
    for z in slices[:: max(1, len(slices) // _LOOKED_AT)]:
        image = images.read(z)
        middle = float(np.median(image))
        for x, y in np.rint(points[z]).astype(int):
            rows, columns = (slice(max(0, at - _AROUND), at + _AROUND + 1) for at in (y, x))
            found.append(float(image[rows, columns].mean()) > middle)
    return float(np.mean(found)) if len(found) >= _FEWEST else None

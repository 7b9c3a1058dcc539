"""How well predicted objects agree with a fair draw of the true ones.

Of N objects on a slice ceil(share * N) are drawn (the rule of the weak label ``points``). So a slice with n points has
between ``(n - 1) / share`` and ``n / share`` objects, and the share of points that are hit estimates that of objects.
"""

from __future__ import annotations

import math

import numpy as np

from dabench.ops.components import label_components, remove_small
from dabench.types import Array


def expected_objects(given: int, share: float) -> float:
    """Objects on a slice with so many points: the middle of the whole numbers that the draw can come from.

    Args:
        given: points on the slice, at least 1.
        share: of all objects that are given, in (0, 1].
    """
    least = math.floor((given - 1) / share + 1e-9) + 1
    most = math.floor(given / share + 1e-9)
    return (least + most) / 2


def objects_and_hits(mask: Array, points: Array) -> tuple[int, int]:
    """Predicted objects of a slice, and how many of them hold a point.

    Args:
        mask: ``(H, W)`` bool; components of 15 pixels or fewer are no objects, as in the published protocol.
        points: ``(N, 2)`` (x, y).
    """
    objects = label_components(remove_small(mask))
    height, width = objects.shape
    columns, rows = np.rint(points).astype(int).T
    held = objects[rows.clip(0, height - 1), columns.clip(0, width - 1)]
    return int(objects.max()), len(np.unique(held[held > 0]))


def f_measure(objects: int, hits: int, given: int, expected: float) -> float:
    """Estimated F1 of detection, in [0, 1].

    Recall is ``hits / given`` (two points in one object are one hit: it was merged), so ``recall * expected`` true
    objects are found, though never more than were predicted. F1 = 2 found / (predicted + expected).

    Args:
        objects: predicted.
        hits: predicted objects that hold a point.
        given: points; 0 gives 0.
        expected: true objects, see `expected_objects`.
    """
    if not given:
        return 0.0
    found = min(hits / given * expected, objects)
    return 2 * found / (objects + expected)

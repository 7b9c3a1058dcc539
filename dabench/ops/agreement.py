"""How well predicted objects agree with points: a fair draw of the true objects, or a person's clicks.

Of N objects on a slice ceil(share * N) are drawn (the rule of the weak label ``points``). So a slice with n points has
between ``(n - 1) / share`` and ``n / share`` objects, and the share of points that are hit estimates that of objects. A
person's clicks are no fair draw: they imply a count only in regions in which every object was clicked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from dabench.ops.centres import label_centres
from dabench.ops.components import label_components, remove_small
from dabench.types import Array, PointAnswer, Region


def expected_objects(given: int, share: float) -> float:
    """Objects on a slice with so many points: the middle of the whole numbers that the draw can come from.

    Args:
        given: points on the slice, at least 1.
        share: of all objects that are given, in (0, 1].
    """
    least = math.floor((given - 1) / share + 1e-9) + 1
    most = math.floor(given / share + 1e-9)
    return (least + most) / 2


@dataclass(frozen=True)
class Clicks:
    """What was clicked on one slice, as far as it judges a model.

    Attributes:
        points: ``(N, 2)`` (x, y), all that were given.
        judged: ``(N,)`` bool, those that judge: held out from training, or all.
        negative: ``(M, 2)``, places that are no object.
        regions: in which every object was clicked; None: the points are a fair draw of a share of all.
        share: that share.
    """

    points: Array = field(repr=False)
    judged: Array = field(repr=False)
    negative: Array = field(repr=False)
    regions: tuple[Region, ...] | None = None
    share: float = 0.0

    @classmethod
    def drawn(cls, points: Array, share: float) -> Clicks:
        """A fair draw of a share of all objects, all of it to judge by."""
        return cls(points, np.ones(len(points), bool), np.zeros((0, 2), np.float32), None, share)

    @classmethod
    def of(cls, answer: PointAnswer, share: float, judged: Array | None = None) -> Clicks:
        """An answer as it was given; all its points judge unless ``judged`` says which do."""
        negative = np.zeros((0, 2), np.float32) if answer.negative is None else answer.negative
        judged = np.ones(len(answer.points), bool) if judged is None else judged
        return cls(answer.points, judged, negative, answer.regions, share)

    def __bool__(self) -> bool:
        """Whether the slice says anything; one without a click may never have been looked at."""
        return bool(len(self.points) or len(self.negative) or self.regions)


class Agreement:
    """Adds up slices; `score` is estimated F1 of detection where a count is implied, else the share of clicks hit.

    Either is multiplied by the share of negative clicks that lie on background: what floods hits every click.

    Attributes:
        given: points that judged, ``hits`` of them in a predicted object; two in one object are one hit, for it merged.
        counted: whether a count is implied anywhere: there are ``objects`` predicted, and ``expected`` true ones.
    """

    def __init__(self) -> None:
        """Start without slices."""
        self.given = self.objects = self.negative = self.wrong = 0
        self.hits = self.expected = 0.0
        self.counted = False

    def add(self, mask: Array, clicks: Clicks) -> None:
        """Add one slice: mask ``(H, W)`` bool; its components of 15 pixels or fewer are no objects."""
        objects = label_components(remove_small(mask))
        self.given += int(clicks.judged.sum())
        self.hits += _hits(_under(objects, clicks.points), clicks.judged)
        self.negative += len(clicks.negative)
        self.wrong += int((_under(objects, clicks.negative) > 0).sum())
        if clicks.regions is None:
            self.counted = True
            self.objects += int(objects.max())
            self.expected += expected_objects(len(clicks.points), clicks.share)
        for region in clicks.regions or ():
            centres = label_centres(objects)
            self.counted = True
            self.objects += len(centres) if region.window is None else int(region.window.contains(centres).sum())
            self.expected += region.objects

    def score(self, least: int = 0) -> float:
        """In [0, 1]; 0 without a point that judges.

        Args:
            least: objects that count as predicted at least, where a count is implied.
        """
        if not self.given:
            return 0.0
        right = 1 - self.wrong / self.negative if self.negative else 1.0
        objects = max(self.objects, least)
        if not self.counted or not objects + self.expected:
            return self.hits / self.given * right
        return f_measure(objects, self.hits, self.given, self.expected) * right


def _under(objects: Array, points: Array) -> Array:
    """The object under each point ``(N, 2)``, 0 where there is none."""
    height, width = objects.shape
    columns, rows = np.rint(points).astype(int).T
    found: Array = objects[rows.clip(0, height - 1), columns.clip(0, width - 1)]
    return found


def _hits(held: Array, judged: Array) -> float:
    """Objects that hold points, each as far as its points judge: a half where one of its two was trained on."""
    total, mine = np.bincount(held, minlength=1)[1:], np.bincount(held[judged], minlength=1)[1:]
    parts = np.zeros(len(total))
    parts[: len(mine)] = mine
    return float((parts[total > 0] / total[total > 0]).sum())


def f_measure(objects: int, hits: float, given: int, expected: float) -> float:
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

"""Metrics as users name them: on the command line, on boards and in papers' tables. Names are parsed here alone.

=======================  ======================================================================
``dice``                 the run's result, at the share of test points that a board ranks by
``points_15/dice``       the same with 15 % of the test points as prompts
``stage/NAME/dice``      after another stage than the last
``slices_25/dice``       25th percentile over the slices of the test split
``patches_1-2/agreement``  share of images with 1 or 2 patches that agree with the first row's run
=======================  ======================================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from dabench.tracking.scores import ScoreKey, percent

_NAMES = {"dice": "Dice", "aji": "AJI", "pq": "PQ"}
#: What stands before a metric's last name.
_VARIANT = re.compile(
    r"points_(?P<points>\d+(?:\.\d+)?)|stage/(?P<stage>.+)|slices_(?P<slices>\d+)"
    r"|patches_(?P<least>\d+)(?:-(?P<most>\d+))?"
)


class Metric(NamedTuple):
    """A metric in parts: ``points_15/dice`` is ``dice`` with a share of test points of 0.15.

    At most one of the parts after the name is given; without any it is a run's own result.
    """

    name: str
    test_points: float | None = None
    stage: str = ""
    percentile: int | None = None
    patches: tuple[int, int] | None = None

    @classmethod
    def of(cls, key: ScoreKey, headline: float) -> Metric:
        """The metric of a run's score, whose first asked share of test points is ``headline``."""
        return cls(key.metric, None if key.test_points == headline else key.test_points)

    @classmethod
    def parse(cls, text: str) -> Metric:
        """The parts of what a user has written. Another variant than those above stays in the name."""
        variant, _, name = text.rpartition("/")
        found = _VARIANT.fullmatch(variant)
        if found is None:
            return cls(text)
        points, stage, slices, least, most = found.groups()
        return cls(
            name,
            None if points is None else float(points) / 100,
            stage or "",
            None if slices is None else int(slices),
            None if least is None else (int(least), int(most or least)),
        )

    def __str__(self) -> str:
        """As a user writes it."""
        return f"{variant}/{self.name}" if (variant := self._variant) else self.name

    @property
    def plain(self) -> Metric:
        """The same without a variant: a run's own result."""
        return Metric(self.name)

    @property
    def title(self) -> str:
        """As a person says it; of the variants that boards have."""
        name = _NAMES.get(self.name, self.name)
        return name if self.test_points is None else f"{name} with {percent(self.test_points)}% test points"

    @property
    def label(self) -> str:
        """What is special about the number, to stand behind the name of a row: `` + 15 % of the test points``."""
        if self.test_points is not None:
            return f" + {percent(self.test_points)} % of the test points"
        if self.stage:
            return f", after {self.stage}"
        if self.percentile is not None:
            return f", percentile {self.percentile} of the slices"
        return "" if self.patches is None else f", on {self._variant.removeprefix('patches_')} patches"

    @property
    def order(self) -> tuple[float, int, str]:
        """The order in which metrics are shown: Dice, AJI, PQ, others; the board's share first, more points later."""
        known = list(_NAMES)
        place = known.index(self.name) if self.name in known else len(known)
        return -1.0 if self.test_points is None else self.test_points, place, self.name

    @property
    def _variant(self) -> str:
        if self.test_points is not None:
            return f"points_{percent(self.test_points)}"
        if self.stage:
            return f"stage/{self.stage}"
        if self.percentile is not None:
            return f"slices_{self.percentile}"
        if self.patches is None:
            return ""
        least, most = self.patches
        return f"patches_{least}" if least == most else f"patches_{least}-{most}"


def by_metric(values: Mapping[str, float]) -> dict[Metric, float]:
    """What a paper's table prints, by metrics instead of their names."""
    return {Metric.parse(name): value for name, value in values.items()}

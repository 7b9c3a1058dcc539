"""How users name a metric of a board: ``dice``, or ``points_15/dice`` at another share of test points than the board's.

Boards, ``--by`` and the papers' tables write metrics so. Runs are never read by these names: they have typed keys.
"""

from __future__ import annotations

from dataclasses import dataclass

from dabench.tracking.scores import ScoreKey, percent

_NAMES = {"dice": "Dice", "aji": "AJI", "pq": "PQ"}
_POINTS = "points_"


@dataclass(frozen=True)
class Metric:
    """A metric at a share of test points, 0 to 1; None is the share that a board's runs are ranked at."""

    name: str
    test_points: float | None = None

    @classmethod
    def of(cls, key: ScoreKey, headline: float) -> Metric:
        """The metric of a run's score, whose first asked share of test points is ``headline``."""
        return cls(key.metric, None if key.test_points == headline else key.test_points)

    @classmethod
    def parse(cls, text: str) -> Metric:
        """What a user has written; a variant that is no share of test points stays in the name."""
        variant, _, name = text.rpartition("/")
        try:
            return cls(name, float(variant.removeprefix(_POINTS)) / 100) if variant.startswith(_POINTS) else cls(text)
        except ValueError:
            return cls(text)

    def __str__(self) -> str:
        """As a user writes it."""
        return self.name if self.test_points is None else f"{_POINTS}{percent(self.test_points)}/{self.name}"

    @property
    def title(self) -> str:
        """As a person says it."""
        name = _NAMES.get(self.name, self.name)
        return name if self.test_points is None else f"{name} with {percent(self.test_points)}% test points"

    @property
    def order(self) -> tuple[float, int, str]:
        """The order in which metrics are shown: Dice, AJI, PQ, others; the board's share first, more points later."""
        known = list(_NAMES)
        place = known.index(self.name) if self.name in known else len(known)
        return -1.0 if self.test_points is None else self.test_points, place, self.name

"""How long a stage takes, from the times at which a few of its updates ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from statistics import median


@dataclass(frozen=True)
class Rate:
    """Finished stages of a kind: seconds per update (median), the most memory of one, and how many they are."""

    seconds: float
    memory: int
    stages: int


@dataclass(frozen=True)
class StageTime:
    """Seconds: of one update; of what is made once, before or after them; and of each round where there are rounds."""

    update: float
    once: float = 0.0
    round: float = 0.0
    every: int = 0

    @classmethod
    def of(cls, prepared: float, ends: Sequence[float], every: int) -> StageTime:
        """The time of a stage.

        Args:
            prepared: seconds before the first update.
            ends: seconds after which each update ended, at least one. The first one pays for a round, or for what is
                made once; the last one for what ends a stage.
            every: updates of a round; 0 where there are none.

        Example:
            >>> StageTime.of(2.0, [4.0, 5.0, 6.0, 9.0], every=0)
            StageTime(update=1.0, once=7.0, round=0.0, every=0)
        """
        between = [later - earlier for earlier, later in pairwise(ends)]
        update = median(between) if between else ends[0]
        first, last = max(ends[0] - update, 0.0), max(between[-1] - update, 0.0) if between else 0.0
        return cls(update, prepared + last + (0.0 if every else first), first if every else 0.0, every)

    def seconds(self, updates: int) -> float:
        """Seconds of a whole stage."""
        rounds = ceil(updates / self.every) if self.every else 0
        return self.once + self.update * updates + self.round * rounds

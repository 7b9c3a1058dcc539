"""The annotation desk as one stage sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dabench.errors import ConfigError
from dabench.interfaces import Desk
from dabench.types import PointAnswer, PreferenceAnswer, PreferenceQuestion


class StageDesk(Desk):
    """Hands out only what a stage's key names, so that no cached stage has seen more than its key says."""

    def __init__(self, desk: Desk, asks: frozenset[str]) -> None:
        """A desk, and the kinds of annotation that the stage asks for."""
        self._desk, self._asks = desk, asks

    def ask(self, kind: str, request: Any = None, rater: str | None = None) -> list[Any]:
        self._check(kind, rater)
        return self._desk.ask(kind, request, rater)

    def share(self, kind: str) -> float:
        return self._desk.share(kind) if kind in self._asks else 0.0

    def points(self) -> Mapping[int, PointAnswer]:
        return self._desk.points() if "points" in self._asks else {}

    def point_budget(self) -> float:
        return self.share("points")

    def preferences(self, questions: Sequence[PreferenceQuestion], rater: str | None = None) -> list[PreferenceAnswer]:
        self._check("preferences", rater)
        return self._desk.preferences(questions, rater)

    def recorded_questions(self) -> Sequence[PreferenceQuestion] | None:
        return self._desk.recorded_questions() if "preferences" in self._asks else None

    def patch_budget(self) -> float:
        return self.share("preferences")

    def rng(self, what: str) -> np.random.Generator:
        return self._desk.rng(what)

    def _check(self, kind: str, rater: str | None) -> None:
        # Nobody is asked where the stage names the rater "self".
        if rater != "self" and kind not in self._asks:
            raise ConfigError(f"this stage asks for {kind}, which is not in `asks` of its StageSpec.")

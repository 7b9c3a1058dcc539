"""Weak labels and the annotation desk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from dabench.types import Array, PointAnswer, PreferenceAnswer, PreferenceQuestion


class Truth(Protocol):
    """Dense labels of the target's training split. Only raters inside the annotation desk hold one."""

    def labels(self, z: int) -> Array:
        """``(H, W)`` uint8 {0, 1, 255} of slice ``z``."""

    def __len__(self) -> int:
        """Number of slices."""


class WeakLabel(ABC):
    """A kind of annotation: how it is simulated, stored and priced. Must not hand out dense labels."""

    #: Seconds one unit costs (a point, a patch); `price` may refine it.
    seconds_per_unit: float = 1.0

    @abstractmethod
    def simulate(self, request: Any, truth: Truth, rng: np.random.Generator, error_rate: float) -> list[Any]:
        """Answer a request from truth as a person with this error rate would."""

    @abstractmethod
    def write(self, answers: Sequence[Any], path: Path, about: Mapping[str, str] | None = None) -> None:
        """Write answers in the open file format, atomically; ``about`` is kept with them (domain, split, seed)."""

    @abstractmethod
    def read(self, path: Path) -> list[Any]:
        """Read what `write` wrote, or what a person made. Raises DataError with line and value."""

    @abstractmethod
    def match(self, request: Any, recorded: Sequence[Any]) -> list[Any]:
        """Answer a request from a person's recorded answers; what they left open is answered with "cannot say"."""

    @abstractmethod
    def price(self, answers: Sequence[Any]) -> float:
        """Seconds of a person's time that these answers cost."""


class Desk(Protocol):
    """The annotation desk as a stage sees it: the only door to target training labels."""

    def points(self) -> Mapping[int, PointAnswer]:
        """The sparse points of the target's training split, by slice, within the budget. Same answer every time."""

    def point_budget(self) -> float:
        """Fraction of all centres of the target's training split that are given."""

    def preferences(self, questions: Sequence[PreferenceQuestion], rater: str | None = None) -> list[PreferenceAnswer]:
        """Ask which candidate is best on each patch.

        ``rater`` "self" asks nobody (the question's hint decides, at no cost); None asks the run's rater.
        Raises BudgetError when the questions go past the patch budget; then nothing is handed out.
        """

    def patch_budget(self) -> float:
        """Fraction of all patches of the target's training split that may be asked about."""

    def rng(self, what: str) -> np.random.Generator:
        """Generator of a draw that belongs to annotation: the same for every method and training seed."""

"""Evaluation protocols."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dabench.types import Array


@dataclass(frozen=True)
class SliceScore:
    """Scores of one slice, or why it does not count (``empty on both sides``, ``not labelled``)."""

    z: int
    values: Mapping[str, float]
    left_out: str = ""


class EvaluationProtocol(ABC):
    """A versioned rule that turns predictions and labels into numbers, slice by slice; never holds a volume."""

    #: Names of the metrics that `result` gives, the headline first.
    metrics: tuple[str, ...] = ("dice", "aji", "pq")
    #: Whether `update` wants true instance ids rather than binary labels.
    wants_instances: bool = False
    #: Whether `update` also takes predicted instance ids: whole numbers, 0 = background, the same id on every slice
    #: that an object goes through. Without it a prediction is always a mask.
    takes_instances: bool = False
    #: Whether objects are counted in the volume rather than on each slice: a mask of them is joined through slices.
    through_slices: bool = False

    @abstractmethod
    def update(self, z: int, prediction: Array, label: Array) -> SliceScore:
        """Take one slice, each ``(H, W)``.

        Args:
            z: its index in the stack; a slice comes once.
            prediction: bool, or whole-number ids where the rule takes them (all slices of a stack alike).
            label: 0/1/255, or instance ids (0 background, below 0 ignored) where the rule wants them.
        """

    @abstractmethod
    def result(self) -> dict[str, float]:
        """The metrics over all slices so far, plus ``n`` counted and ``left_out`` slices. NaN only when n is 0."""

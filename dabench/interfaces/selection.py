"""Label-free choice: which checkpoint of the last stage, cut at which threshold, predicts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from dabench.ops.agreement import Clicks
    from dabench.types import Array

#: What a selector may look at: target training images, the points that were given on them, labelled source slices.
LOOKS = ("target", "points", "source")


@dataclass(frozen=True)
class Candidate:
    """A model that could predict: the last stage after so many updates, its probability cut at a threshold."""

    update: int
    threshold: float


@dataclass(frozen=True)
class CandidateSlice:
    """One slice as a candidate's model sees it, in automatic mode.

    probability ``(H, W)`` float32 in [0, 1]; ``finish`` is the method's own last step on a mask; ``label`` ``(H, W)``
    uint8 {0, 1, 255} on the source, None on the target.
    """

    z: int
    probability: Array = field(repr=False)
    finish: Callable[[Array], Array] = field(repr=False)
    label: Array | None = field(default=None, repr=False)

    def mask(self, threshold: float) -> Array:
        """``(H, W)`` bool: probability >= threshold, after the method's own last step."""
        return self.finish(self.probability >= threshold)


class SelectionData(Protocol):
    """All that a selector may look at: no target label, no test image.

    What `Selector.looks_at` does not name raises ConfigError.
    """

    def target(self, update: int, most: int, among: Sequence[int] | None = None) -> Iterator[CandidateSlice]:
        """Predict slices of the target's training split with the model after so many updates.

        Args:
            update: of a candidate.
            most: at most so many slices, evenly spread.
            among: the slices to spread over (all).
        """

    def source(self, update: int, most: int) -> Iterator[CandidateSlice]:
        """The same on labelled source slices that no stage trains on."""

    def points(self) -> Mapping[int, Array]:
        """Points ``(N, 2)`` (x, y) by slice of the target's training split: those that were paid for, no new ones."""

    def clicks(self) -> Mapping[int, Clicks]:
        """The same points with what else they say: which were held out, negative ones, regions. Slices with any."""

    def point_share(self) -> float:
        """Share of all centres of the target's training split that `points` holds."""


class Selector(ABC):
    """A rule that chooses the checkpoint and the threshold without a target label. Draws nothing at random."""

    #: What `scores` asks its data for, among "target", "points" and "source". A run that has none of it skips.
    looks_at: ClassVar[tuple[str, ...]] = ()
    #: Whether this rule chooses on its own accord (``selector: auto``) where points were given on a target that has no
    #: test labels: a volume of one's own. One rule of all says so.
    chooses_by_points: ClassVar[bool] = False

    @abstractmethod
    def scores(self, candidates: Sequence[Candidate], data: SelectionData) -> Sequence[float]:
        """How good each candidate looks: finite, higher is better, no matter in which order they are listed.

        Among equal scores the core takes the later update, then the threshold that the run names first. Predicting is
        what costs: ask the data once an update, and cut what it gives at every threshold.
        """

"""Shapes, ranges and labels that all contracts of dabench share.

Conventions
-----------
- An image tensor is ``(B, 1, H, W)`` float32 in [0, 1].
- A label tensor is ``(B, H, W)`` uint8: 0 background, 1 mitochondrion, ``IGNORE`` (255) unknown.
- A probability is ``(B, H, W)`` float32 in [0, 1]: the chance that a pixel is mitochondrion.
- A density is ``(B, H, W)`` float32, 1 at an isolated centre (not count-preserving).
- A point is ``(x, y)`` in pixels, ``x`` along the columns, at pixel centres (0 is the centre of the first pixel).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

#: A NumPy array of any type; shape and type are said where it is used.
Array = np.ndarray[Any, np.dtype[Any]]

#: Label of a pixel that takes no part in a loss or a score.
IGNORE = 255

#: Version of the contracts below; a plugin that asks for another one is refused by name.
API_VERSION = 2


@dataclass(frozen=True, order=True)
class Window:
    """A rectangle of one slice, in pixels: rows ``[y, y+height)``, columns ``[x, x+width)``."""

    y: int
    x: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the window in an ``(H, W)`` array."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)

    def contains(self, points: Array) -> Array:
        """Which of ``(N, 2)`` (x, y) points lie on a pixel of the window; ``(N,)`` bool."""
        x, y = points[:, 0], points[:, 1]
        inside_x = (x >= self.x - 0.5) & (x < self.x + self.width - 0.5)
        inside_y = (y >= self.y - 0.5) & (y < self.y + self.height - 0.5)
        result: Array = inside_x & inside_y
        return result

    def to_local(self, points: Array) -> Array:
        """Points of the slice that lie in the window, in the window's own (x, y)."""
        kept: Array = points[self.contains(points)].astype("float32")
        kept -= [self.x, self.y]
        return kept


@dataclass(frozen=True, order=True)
class Block:
    """A box of a volume, in voxels: slices ``[z, z+depth)``, rows ``[y, y+height)``, columns ``[x, x+width)``."""

    z: int
    y: int
    x: int
    depth: int
    height: int
    width: int

    @classmethod
    def whole(cls, shape: tuple[int, int, int]) -> Block:
        """All of a volume of this shape."""
        return cls(0, 0, 0, *shape)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns)."""
        return self.depth, self.height, self.width

    @property
    def window(self) -> Window:
        """Where the box lies on each of its slices."""
        return Window(self.y, self.x, self.height, self.width)

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Index of the box in a ``(Z, H, W)`` array."""
        return slice(self.z, self.z + self.depth), *self.window.slices


@dataclass(frozen=True)
class CropId:
    """Where a crop was cut: ``z`` is the slice's index in its split."""

    z: int
    window: Window


@dataclass(frozen=True)
class SourceCrops:
    """Labelled crops.

    images ``(B, 1, S, S)`` float32 in [0, 1]; labels ``(B, S, S)`` uint8 {0, 1, 255};
    points: for each crop ``(N, 2)`` float32, the centres of all components that lie in it;
    second: the same windows on a section nearby, where `CropSpec.neighbour` asks for pairs.
    """

    images: torch.Tensor
    labels: torch.Tensor
    points: list[torch.Tensor]
    second: SourceCrops | None = None

    def to(self, device: torch.device) -> SourceCrops:
        """The same crops on another device."""
        second = self.second.to(device) if self.second else None
        return SourceCrops(self.images.to(device), self.labels.to(device), [p.to(device) for p in self.points], second)


@dataclass(frozen=True)
class TargetCrops:
    """Unlabelled crops of the target's training split.

    images ``(B, 1, S, S)`` float32 in [0, 1]; points: for each crop the *given* points ``(N, 2)`` (none in UDA);
    origins: where each crop was cut, so that a stage can look up its own pseudo-labels;
    second: the same windows on a section nearby, where `CropSpec.neighbour` asks for pairs.
    """

    images: torch.Tensor
    points: list[torch.Tensor]
    origins: list[CropId]
    second: TargetCrops | None = None

    def to(self, device: torch.device) -> TargetCrops:
        """The same crops on another device."""
        second = self.second.to(device) if self.second else None
        return TargetCrops(self.images.to(device), [p.to(device) for p in self.points], self.origins, second)


@dataclass(frozen=True)
class Batch:
    """What one update sees.

    ``generator`` is seeded from (seed, stage, step) alone: all randomness of a step comes from it, which is what makes
    a resumed run bit-identical.
    """

    step: int
    generator: torch.Generator
    source: SourceCrops | None = None
    target: TargetCrops | None = None

    def both(self) -> tuple[SourceCrops, TargetCrops]:
        """Labelled and unlabelled crops of a stage that asked for both. Raises ValueError when one is missing."""
        if self.source is None or self.target is None:
            raise ValueError("the batch lacks source or target crops: CropSpec says how many of each an update needs")
        return self.source, self.target


@dataclass(frozen=True)
class Prediction:
    """Output of a predictor for a batch of tiles.

    probability ``(B, H, W)`` float32 in [0, 1]; density ``(B, H, W)`` float32, or None where not asked for; instances
    ``(B, H, W)`` of a whole-number type, 0 = background, every tile numbered on its own, or None from a predictor that
    makes no objects (`Predictor.gives_instances`).
    """

    probability: torch.Tensor
    density: torch.Tensor | None = None
    instances: torch.Tensor | None = None

    @classmethod
    def of_instances(cls, ids: torch.Tensor) -> Prediction:
        """Objects alone, ``(B, H, W)`` ids: the probability is 1 on them and 0 elsewhere.

        Example:
            >>> import torch
            >>> Prediction.of_instances(torch.tensor([[[0, 7, 7, 3]]])).probability
            tensor([[[0., 1., 1., 1.]]])
        """
        return cls((ids > 0).float(), instances=ids)


@dataclass(frozen=True)
class PreferenceQuestion:
    """One patch shown to a rater: which of these candidate masks is best?

    image ``(H, W)`` float32 in [0, 1] and candidates ``(J, H, W)`` bool cover the patch; ``z`` and ``window`` say where
    it lies in the target's training split. ``hint`` ``(H, W)`` bool, where present, is a label-free reference mask that
    the rater ``self`` ranks against (UPO, Prefer-DAS Eq. 11). How the candidates were made: ``thresholds``, one each,
    of what the model saw in the crop ``tile`` with the points ``prompts``, ``(N, 2)`` float32 (x, y) of the slice.
    ``draw`` says how the patch came to be asked about where it was not at random.
    """

    z: int
    window: Window
    image: Array = field(repr=False)
    candidates: Array = field(repr=False)
    hint: Array | None = field(default=None, repr=False)
    thresholds: tuple[float, ...] = ()
    prompts: Array | None = field(default=None, repr=False)
    tile: Window | None = None
    draw: str | None = None


@dataclass(frozen=True)
class Vote:
    """The answer of one of several raters: the candidates that they chose, and its weight."""

    chosen: tuple[int, ...]
    weight: float
    rater: str


@dataclass(frozen=True)
class PackedMasks:
    """What a file of answers keeps of a question: its candidates, and how they were made.

    ``content`` are masks of ``shape`` (J, H, W), compressed by `dabench.ops.choice.pack_question`; ``prompts`` are
    (x, y) in pixels of the slice.
    """

    content: bytes = field(repr=False)
    shape: tuple[int, int, int]
    thresholds: tuple[float, ...] = ()
    prompts: tuple[tuple[float, float], ...] = ()
    tile: Window | None = None
    draw: str | None = None


@dataclass(frozen=True)
class PreferenceAnswer:
    """The answer of a rater to a question.

    Attributes:
        z: the question's slice.
        window: its patch.
        chosen: indices of the best candidates: one, or several that are equally good; none where all are ``bad``, or
            the rater could not (or need not) say.
        seconds: of the rater's time.
        rater: who answered.
        when: ISO 8601, where it is known.
        candidate_digests: of the candidates that were shown.
        bad: whether the rater said that no candidate is good.
        votes: the answers behind this one, where each of several raters' counts on its own.
        question: the candidates, for the file that a run keeps; no part of the answer.
        shown: the order in which they were shown, for that file too; empty where it is not known.
    """

    z: int
    window: Window
    chosen: tuple[int, ...]
    seconds: float
    rater: str
    when: str = ""
    candidate_digests: tuple[str, ...] = ()
    bad: bool = False
    votes: tuple[Vote, ...] = ()
    question: PackedMasks | None = field(default=None, repr=False, compare=False)
    shown: tuple[int, ...] = field(default=(), repr=False, compare=False)

    @property
    def choice(self) -> int | None:
        """The chosen candidate; None if not exactly one was chosen."""
        return self.chosen[0] if len(self.chosen) == 1 else None

    @property
    def answered(self) -> bool:
        """Whether the question was answered: one candidate is best, several are, or all are bad."""
        return bool(self.chosen) or self.bad

    def weights(self, count: int) -> list[tuple[float, ...]]:
        """What it teaches about ``count`` candidates: a row a vote, how much each candidate counts as preferred.

        Of k that tie each has 1/k of the vote's weight. No row where nothing, or everything, is preferred.

        Example:
            >>> PreferenceAnswer(0, Window(0, 0, 8, 8), (0, 2), 3.0, "anna").weights(3)
            [(0.5, 0.0, 0.5)]
        """
        votes = self.votes or (Vote(self.chosen, 1.0, self.rater),)
        return [
            tuple(vote.weight / len(vote.chosen) if i in vote.chosen else 0.0 for i in range(count))
            for vote in votes
            if 0 < len(vote.chosen) < count
        ]


@dataclass(frozen=True)
class Region:
    """A part of a slice, or with None all of it, in which every object was clicked, and how many there are."""

    window: Window | None
    objects: int


@dataclass(frozen=True)
class PointAnswer:
    """Centres marked on slice ``z``: points ``(N, 2)`` float32 (x, y).

    A person may also have marked places that are no object, ``negative`` ``(M, 2)``, and have said in which ``regions``
    every object was clicked: elsewhere a person's points imply no count. None: a fair draw of a share of all objects.
    """

    z: int
    points: Array = field(repr=False)
    seconds: float
    rater: str
    negative: Array | None = field(default=None, repr=False, metadata={"optional": True})
    regions: tuple[Region, ...] | None = field(default=None, metadata={"optional": True})


@dataclass(frozen=True)
class PointRequest:
    """Centres of a share of the components of each of these slices; the draw on a slice depends on no other slice."""

    fraction: float
    slices: tuple[int, ...]


@dataclass(frozen=True)
class PreferenceRequest:
    """Patches to be judged, each on its own; an answer does not depend on the others or on their order."""

    questions: tuple[PreferenceQuestion, ...]

"""Shapes, ranges and labels that every contract of dabench shares; stated here once.

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
    """What a predictor says of tiles.

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
    the rater ``self`` ranks against (UPO, Prefer-DAS Eq. 11).
    """

    z: int
    window: Window
    image: Array = field(repr=False)
    candidates: Array = field(repr=False)
    hint: Array | None = field(default=None, repr=False)


@dataclass(frozen=True)
class PreferenceAnswer:
    """The rater's choice: index into the candidates, or None when they could not (or need not) say."""

    z: int
    window: Window
    choice: int | None
    seconds: float
    rater: str
    when: str = ""
    candidate_digests: tuple[str, ...] = ()


@dataclass(frozen=True)
class PointAnswer:
    """Centres marked on slice ``z``: points ``(N, 2)`` float32 (x, y)."""

    z: int
    points: Array = field(repr=False)
    seconds: float
    rater: str


@dataclass(frozen=True)
class PointRequest:
    """Centres of a share of the components of each of these slices; the draw on a slice depends on no other slice."""

    fraction: float
    slices: tuple[int, ...]


@dataclass(frozen=True)
class PreferenceRequest:
    """Patches to be judged, each on its own; an answer does not depend on the others or on their order."""

    questions: tuple[PreferenceQuestion, ...]

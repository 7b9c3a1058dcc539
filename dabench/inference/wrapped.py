"""Predictors around predictors, for whole volumes: in bfloat16, and without repeating blank tiles."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from dabench.inference.predictor import FlippedPredictor
from dabench.interfaces import Predictor
from dabench.types import Array, Prediction


class WrappedPredictor(Predictor):
    """Base: a predictor that asks another one."""

    def __init__(self, predictor: Predictor) -> None:
        """Wrap any predictor, one of pairs too."""
        self.predictor, self.neighbour = predictor, predictor.neighbour

    def finish(self, mask: Array) -> Array:
        """As the wrapped predictor does; see `Predictor.finish`."""
        return self.predictor.finish(mask)


class AutocastPredictor(WrappedPredictor):
    """Predicts under bfloat16 autocast; probabilities come back in float32."""

    def predict(
        self, images: torch.Tensor, points: Sequence[torch.Tensor] | None = None, *, density: bool = False
    ) -> Prediction:
        """Segment tiles; see `Predictor.predict`."""
        with torch.autocast(images.device.type, torch.bfloat16):
            found = self.predictor.predict(images, points, density=density)
        return Prediction(found.probability.float(), None if found.density is None else found.density.float())


class BlankPredictor(WrappedPredictor):
    """Predicts a tile of one grey value without points once, and remembers it: the black borders of aligned volumes.

    A quarter turn of such a tile is the same tile. It is predicted alone, so that its result depends on no batch.
    """

    #: Tiles that are remembered at most; the borders of a volume have one or two greys.
    capacity = 8

    def __init__(self, predictor: Predictor) -> None:
        """Remember nothing yet."""
        super().__init__(predictor)
        self._known: dict[tuple[object, ...], Prediction] = {}

    def predict(
        self, images: torch.Tensor, points: Sequence[torch.Tensor] | None = None, *, density: bool = False
    ) -> Prediction:
        """Segment tiles; see `Predictor.predict`."""
        blank = [b and (points is None or not len(points[k])) for k, b in enumerate(_of_one_grey(images))]
        if not any(blank):
            return self.predictor.predict(images, points, density=density)
        rest = [k for k, b in enumerate(blank) if not b]
        given = None if points is None else [points[k] for k in rest]
        others = self.predictor.predict(images[rest], given, density=density) if rest else None
        found = [self._remembered(images[k], points is None, density) if b else None for k, b in enumerate(blank)]
        return _merged(found, others)

    def _remembered(self, tile: torch.Tensor, automatic: bool, density: bool) -> Prediction:
        key = (*tile[:, 0, 0].tolist(), *tile.shape, automatic, density)
        if key not in self._known:
            if len(self._known) >= self.capacity:
                self._known.clear()
            points = None if automatic else [tile.new_zeros((0, 2))]
            self._known[key] = self.predictor.predict(tile[None], points, density=density)
        return self._known[key]


def finishes(predictor: Predictor) -> bool:
    """Whether a predictor has a last step of its own on whole slices (`Predictor.finish`)."""
    while isinstance(predictor, WrappedPredictor | FlippedPredictor):
        predictor = predictor.predictor
    return type(predictor).finish is not Predictor.finish


def _of_one_grey(images: torch.Tensor) -> list[bool]:
    """For each of ``(B, C, H, W)`` whether every channel holds one value."""
    corner = images[:, :, :1, :1]
    same: list[bool] = (images == corner).flatten(1).all(dim=1).tolist()
    return same


def _merged(blank: Sequence[Prediction | None], others: Prediction | None) -> Prediction:
    """Predictions of single tiles put where they belong among those of the ``others``, in order."""
    rows = iter(range(len(blank)))
    single = [(p, 0) if p is not None else (others, next(rows)) for p in blank]
    picked = [(p, row) for p, row in single if p is not None]
    probability = torch.stack([p.probability[row] for p, row in picked])
    maps = [p.density[row] for p, row in picked if p.density is not None]
    return Prediction(probability, torch.stack(maps) if maps else None)

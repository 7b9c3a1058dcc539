"""Predictors around predictors: in bfloat16."""

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
        self.gives_instances = predictor.gives_instances

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
        density_map = None if found.density is None else found.density.float()
        return Prediction(found.probability.float(), density_map, found.instances)


def needs_whole_slices(predictor: Predictor) -> bool:
    """Whether slices cannot be cut: a predictor makes objects, or has a last step of its own (`Predictor.finish`)."""
    return predictor.gives_instances or finishes(predictor)


def finishes(predictor: Predictor) -> bool:
    """Whether a predictor has a last step of its own on whole slices (`Predictor.finish`)."""
    while isinstance(predictor, WrappedPredictor | FlippedPredictor):
        predictor = predictor.predictor
    return type(predictor).finish is not Predictor.finish

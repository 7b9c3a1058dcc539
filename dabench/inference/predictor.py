"""The predictor of any network, and one that looks at every tile in four flips, or five versions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from dabench.interfaces import Predictor
from dabench.ops.prompts import pad_points
from dabench.types import Array, Prediction


class NetworkPredictor(Predictor):
    """Runs a network in evaluation mode, with the points it is given or none."""

    def __init__(self, network: nn.Module, neighbour: float = 0.0) -> None:
        """``network(images, prompts, with_density=...)`` gives a `dabench.ops.prompts.NetworkOutput`.

        ``neighbour`` is for a network of pairs; see `Predictor.neighbour`.
        """
        self.network, self.neighbour = network, neighbour

    def predict(
        self, images: torch.Tensor, points: Sequence[torch.Tensor] | None = None, *, density: bool = False
    ) -> Prediction:
        """Segment tiles ``(B, 1, H, W)``; see `Predictor.predict`."""
        training = self.network.training
        self.network.eval()
        try:
            prompts = None if points is None else pad_points(list(points))
            output = self.network(images, prompts, with_density=density)
        finally:
            self.network.train(training)
        return Prediction(output.probability.float(), None if output.density is None else output.density.float())


class FlippedPredictor(Predictor):
    """Mean of a predictor over the plain tile and its horizontal, vertical and double flip (WDA-Net, IPL, DAMT-Net).

    Objects are those of the plain tile: ids have no mean.
    """

    def __init__(self, predictor: Predictor, *, transposed: bool = False) -> None:
        """Wrap any predictor, one of pairs too; ``transposed`` adds the tile with rows and columns exchanged."""
        self.transposed = transposed
        self.predictor, self.neighbour = predictor, predictor.neighbour
        self.gives_instances = predictor.gives_instances

    def predict(
        self, images: torch.Tensor, points: Sequence[torch.Tensor] | None = None, *, density: bool = False
    ) -> Prediction:
        """Segment tiles ``(B, 1, H, W)`` four or five times; see `Predictor.predict`."""
        found = [self._flipped(images, points, axes, density) for axes in ((), (-1,), (-2,), (-2, -1))]
        if self.transposed:
            found.append(self._exchanged(images, points, density))
        maps = [p.density for p in found if p.density is not None]
        probability = torch.stack([p.probability for p in found]).mean(dim=0)
        return Prediction(probability, torch.stack(maps).mean(dim=0) if maps else None, found[0].instances)

    def finish(self, mask: Array) -> Array:
        """As the wrapped predictor does; see `Predictor.finish`."""
        return self.predictor.finish(mask)

    def _flipped(
        self, images: torch.Tensor, points: Sequence[torch.Tensor] | None, axes: tuple[int, ...], density: bool
    ) -> Prediction:
        """One flip, turned back."""
        height, width = images.shape[-2:]
        moved = None if points is None else [_flip_points(p, axes, height, width) for p in points]
        seen = self.predictor.predict(torch.flip(images, axes), moved, density=density)
        back = None if seen.density is None else torch.flip(seen.density, axes)
        ids = None if seen.instances is None else torch.flip(seen.instances, axes)
        return Prediction(torch.flip(seen.probability, axes), back, ids)

    def _exchanged(self, images: torch.Tensor, points: Sequence[torch.Tensor] | None, density: bool) -> Prediction:
        """Rows and columns exchanged, and back; x and y of points alike."""
        moved = None if points is None else [p.flip(1) for p in points]
        seen = self.predictor.predict(images.mT, moved, density=density)
        return Prediction(seen.probability.mT, None if seen.density is None else seen.density.mT)


def _flip_points(points: torch.Tensor, axes: tuple[int, ...], height: int, width: int) -> torch.Tensor:
    x = width - 1 - points[:, 0] if -1 in axes else points[:, 0]
    y = height - 1 - points[:, 1] if -2 in axes else points[:, 1]
    return torch.stack([x, y], dim=1)

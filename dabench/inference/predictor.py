"""The predictor of any network with the promptable signature."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from dabench.interfaces import Predictor
from dabench.ops.prompts import pad_points
from dabench.types import Prediction


class NetworkPredictor(Predictor):
    """Runs a network in evaluation mode, with the points it is given or none."""

    def __init__(self, network: nn.Module) -> None:
        """``network(images, prompts, with_density=...)`` gives a `dabench.ops.prompts.NetworkOutput`."""
        self.network = network

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

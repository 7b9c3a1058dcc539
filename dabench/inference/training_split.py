"""The target's training split as stages want to see it: predicted slice by slice, or in plain crops."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from dabench.inference.tiles import DEFAULT_PROFILE
from dabench.inference.volume import predict_slices
from dabench.types import CropId, Window

if TYPE_CHECKING:
    from dabench.inference.volume import SlicePrediction
    from dabench.interfaces import Predictor, TrainingData


def predict_training(
    data: TrainingData, predictor: Predictor, tile: int, profile: str = DEFAULT_PROFILE, *, density: bool = False
) -> Iterator[tuple[int, SlicePrediction]]:
    """Predict every slice of the target's training split, in order, one in memory at a time.

    Args:
        data: what the stage may look at.
        predictor: the model that labels.
        tile: side of a tile in pixels.
        profile: as in `predict_slices`.
        density: whether the density map is wanted.

    Yields:
        (z, SlicePrediction).
    """
    depth, height, width = data.target_shape()
    whole = Window(0, 0, height, width)
    slices = (data.target_crop(CropId(z, whole)) for z in range(depth))
    return predict_slices(predictor, slices, tile, profile, device=data.device, density=density)


def plain_batches(data: TrainingData, count: int, size: int, batch: int = 4) -> Iterator[torch.Tensor]:
    """``count`` batches of random plain crops of the target's training split, ``(batch, 1, size, size)``.

    For statistics that belong to the target (BatchNorm). Drawn from ``data.rng``: the same at every start.
    """
    depth, height, width = data.target_shape()
    for _ in range(count):
        crops = []
        for _ in range(batch):
            z = int(data.rng.integers(depth))
            y, x = (int(data.rng.integers(max(1, n - size + 1))) for n in (height, width))
            crops.append(torch.from_numpy(data.target_crop(CropId(z, Window(y, x, size, size))).copy()))
        yield torch.stack(crops)[:, None].to(data.device)

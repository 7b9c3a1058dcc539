"""A model file behind MLflow's ``pyfunc`` loader: this module is named in the ``MLmodel`` file, nothing is pickled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dabench.components.registry import Registry
from dabench.files.workspace import Workspace
from dabench.models.loading import Model, load_model
from dabench.types import Array

#: Tiles a forward pass.
_BATCH = 8


class TileModel:
    """The automatic mode on NumPy arrays."""

    def __init__(self, model: Model) -> None:
        """Take a loaded model."""
        self.model = model

    def predict(self, images: Array, params: Mapping[str, Any] | None = None) -> Array:
        """Segment tiles.

        Args:
            images: ``(B, 1, H, W)`` float32 in [0, 1]; ``(B, 2, H, W)`` for a model of pairs.
            params: none are known.

        Returns:
            Probability ``(B, H, W)`` float32.
        """
        del params
        if len(images) == 0:
            return np.zeros((0, *images.shape[2:]), np.float32)
        tiles = torch.from_numpy(np.ascontiguousarray(images, np.float32))
        with torch.inference_mode():
            found = [
                self.model.predictor.predict(some.to(self.model.device)).probability.cpu()
                for some in torch.split(tiles, _BATCH)
            ]
        result: Array = torch.cat(found).numpy()
        return result


def _load_pyfunc(data_path: str, model_config: Mapping[str, Any] | None = None) -> TileModel:
    """MLflow's entry. ``model_config`` may say ``device``."""
    device = str((model_config or {}).get("device", "cpu"))
    return TileModel(load_model(Path(data_path), Registry.load(), Workspace.find(), device))

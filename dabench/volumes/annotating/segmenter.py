"""A trained model that looks at one tile of a slice at a time, with the points that were clicked on it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dabench.data.blocks import read_block
from dabench.data.resampled import ResampledVolume
from dabench.errors import ConfigError
from dabench.inference.tiles import pad_to_tile
from dabench.ops.components import label_components
from dabench.types import Block, Window
from dabench.volumes.annotating.outlines import outline
from dabench.volumes.prediction.images import unit_volume
from dabench.volumes.prediction.pixels import matching

if TYPE_CHECKING:
    from dabench.interfaces import Volume
    from dabench.models import Model
    from dabench.types import Array


class Segmenter:
    """Segments the tile around a place of a volume.

    Args:
        model: that takes points.
        images: as stored.
        voxel: nm (z, y, x); None if not known.
        name: of the volume, for errors.

    Raises:
        ConfigError: the model takes no points, or looks at pairs of sections.
    """

    def __init__(
        self, model: Model, images: Volume, voxel: tuple[float, float, float] | None, name: str = "volume"
    ) -> None:
        """Measure the grey values that the model is to see."""
        if model.card.neighbour or not model.takes_points:
            why = "looks at pairs of sections" if model.card.neighbour else "takes no points"
            raise ConfigError(f"{model.card.name}: the model {why}.", "Use the run of a method that follows clicks.")
        self.model = model
        plane = images.shape[1:]
        self._resampling, self.notes = matching("match", plane, voxel, model.card)
        unit: Volume = unit_volume(images, model.card.intensity, name)
        self._images = unit if self._resampling is None else ResampledVolume(unit, self._resampling)
        #: Pixels of the volume for one that the model sees, (y, x).
        self.scale = tuple(a / b for a, b in zip(plane, self._images.shape[1:], strict=True))
        self._lock = threading.Lock()

    def outlines(self, z: int, points: Array, place: tuple[float, float]) -> dict[str, Any]:
        """What the model finds around a place.

        Args:
            z: slice.
            points: ``(N, 2)`` (x, y) of the slice, in pixels of the volume.
            place: (y, x) of the tile's middle, in the same.

        Returns:
            ``path``: outlines of the mask, of each object where the model tells them apart; ``tile``: [y, x, height,
            width], both in the model's pixels, of which one is ``scale`` (y, x) of the volume's; ``seconds``: that it
            took.
        """
        began = time.perf_counter()
        tile = self._tile(place)
        found = self._found(z, points if self._resampling is None else self._resampling.points(points), tile)
        return {
            "path": "".join(outline(found == one, tile.y, tile.x) for one in np.unique(found[found > 0])),
            "tile": [tile.y, tile.x, tile.height, tile.width],
            "scale": list(self.scale),
            "seconds": round(time.perf_counter() - began, 3),
        }

    def unclicked(self, z: int, points: Array, place: tuple[float, float]) -> int:
        """Objects that the model finds around a place and that were not clicked; arguments as in `outlines`."""
        tile = self._tile(place)
        seen = points if self._resampling is None else self._resampling.points(points)
        found = self._found(z, seen, tile)
        objects = label_components(found) if found.dtype == bool else found
        x, y = np.rint(tile.to_local(seen)).astype(int).clip(0, [[tile.width - 1, tile.height - 1]]).T
        return int(objects.max(initial=0)) - len(set(objects[y, x].tolist()) - {0})

    def _tile(self, place: tuple[float, float]) -> Window:
        """The tile whose middle is nearest a place; smaller than a tile only where the slice is."""
        sides = [min(self.model.card.tile, length) for length in self._images.shape[1:]]
        starts = [
            int(np.clip(round(at / scale - side / 2), 0, length - side))
            for at, scale, side, length in zip(place, self.scale, sides, self._images.shape[1:], strict=True)
        ]
        return Window(*starts, *sides)

    def _found(self, z: int, points: Array, tile: Window) -> Array:
        """The mask ``(h, w)`` bool of a tile, or the ids of its objects from a model that gives them."""
        block = read_block(self._images, Block(z, tile.y, tile.x, 1, tile.height, tile.width))[0]
        pixels = np.require(pad_to_tile(block, self.model.card.tile), np.float32, ["C", "W"])
        device = self.model.device
        local = torch.from_numpy(tile.to_local(points)).to(device)
        if block.min() == block.max() and not len(local):  # padding, as `dabench.inference` has it
            return np.zeros(block.shape, bool)
        with self._lock, torch.inference_mode():
            found = self.model.predictor.predict(torch.from_numpy(pixels)[None, None].to(device), [local])
        if found.instances is not None:
            return found.instances[0, : tile.height, : tile.width].cpu().numpy()
        probability = found.probability[0, : tile.height, : tile.width].cpu().numpy()
        return self.model.predictor.finish(probability >= self.model.card.threshold)

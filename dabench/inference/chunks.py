"""The engine: a part of one or several slices predicted from one array, as if each whole slice had been."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import torch

from dabench.errors import PluginError
from dabench.inference.instances import JoinedInstances
from dabench.inference.tiles import Blend, on_device, pad_to_tile, turn_points
from dabench.types import Window

if TYPE_CHECKING:
    from dabench.inference.tile_grid import TileGrid
    from dabench.interfaces import Predictor
    from dabench.types import Array, Prediction


@dataclass(frozen=True)
class SlicePrediction:
    """What a predictor says of a slice.

    probability ``(H, W)`` float32 in [0, 1]; density ``(H, W)`` float32, or None where there is none; instances
    ``(H, W)`` int32, objects 1..N in scan order, or None from a predictor that makes none.
    """

    probability: Array = field(repr=False)
    density: Array | None = field(default=None, repr=False)
    instances: Array | None = field(default=None, repr=False)

    def mask(self, threshold: float = 0.5) -> Array:
        """``(H, W)`` bool: probability >= threshold."""
        mask: Array = self.probability >= threshold
        return mask


@dataclass(frozen=True)
class Sections:
    """What a chunk was read as.

    Attributes:
        pixels: ``(N, h, w)`` float in [0, 1], the window `TileGrid.seen` of N slices, each read once.
        channels: for every slice that is wanted, which of the N it is made of: itself, and its partner for pairs.
        points: for every slice that is wanted its prompts ``(M, 2)`` (x, y) of the whole slice; None is automatic mode.
    """

    pixels: Array = field(repr=False)
    channels: Sequence[tuple[int, ...]]
    points: Sequence[Array] | None = None


@torch.inference_mode()
def predict_chunk(
    predictor: Predictor,
    sections: Sections,
    grid: TileGrid,
    device: torch.device | str = "cpu",
    *,
    density: bool = False,
) -> Iterator[SlicePrediction]:
    """Predict the window of a tile grid on every wanted slice: cut, turn, predict, turn back, take the weighted mean.

    Tiles of all the slices share forward passes. A predictor that treats the tiles of a batch apart gives every pixel
    the bits that the whole slice would. A tile of one grey value without points (padding, see
    `dabench.data.intensity`) holds nothing to segment: it is 0, and no network is asked. Objects are those of the tiles
    before they are turned, and whole only where the window is a whole slice.

    Yields:
        One `SlicePrediction` of the window a slice, in order.
    """
    device = torch.device(device)
    canvas = _Canvas(sections, grid, device)
    across = grid.tiling.profile.weights(grid.tiling.tile)
    weights = on_device(np.outer(across, across), device)
    blends = [canvas.blends(1 + density) for _ in sections.channels]
    objects = [JoinedInstances(grid) for _ in sections.channels if predictor.gives_instances]
    for group in grid.groups():
        for blend in chain.from_iterable(blends):
            blend.settle(group[0].y)
        for turns in grid.tiling.profile.turns:
            for batch in canvas.batches(group):
                found = canvas.predict(predictor, batch, turns, density)
                _add(blends, batch, found, turns, grid, weights)
                if objects and not turns:
                    _join(objects, batch, found)
    while blends:
        maps = [blend.mean() for blend in blends.pop(0)]
        ids = objects.pop(0).ids() if objects else None
        yield SlicePrediction(maps[0], maps[1] if len(maps) > 1 else None, ids)


#: Tiles of a forward pass: the number of the slice among those wanted, and the window on it.
_Batch = list[tuple[int, Window]]


class _Canvas:
    """The pixels of a chunk, from which tiles are cut."""

    def __init__(self, sections: Sections, grid: TileGrid, device: torch.device) -> None:
        self._sections, self._grid, self._device = sections, grid, device
        pixels = sections.pixels
        if self._short():
            pixels = np.stack([pad_to_tile(plane, grid.tiling.tile) for plane in pixels])
        # Volumes hand out read-only views, of which torch makes no tensor without a copy.
        self._pixels: Array = np.require(pixels, np.float32, ["C", "W"])
        self._on_device = torch.from_numpy(self._pixels).to(device)

    def _short(self) -> bool:
        return min(self._grid.shape) < self._grid.tiling.tile

    def blends(self, count: int) -> list[Blend]:
        """Empty maps of the window."""
        rows, columns = self._grid.weights()
        corner = self._grid.window.y, self._grid.window.x
        lying = rows * len(self._grid.tiling.profile.turns), columns
        return [Blend(lying, self._device, corner) for _ in range(count)]

    def batches(self, group: Sequence[Window]) -> Iterator[_Batch]:
        """The tiles of a group on every slice, in forward passes, without blank ones."""
        size = self._grid.tiling.batch_size
        tiles = [(k, w) for k in range(len(self._sections.channels)) for w in group if self._asked(k, w)]
        yield from (tiles[first : first + size] for first in range(0, len(tiles), size))

    def predict(self, predictor: Predictor, batch: _Batch, turns: int, density: bool) -> Prediction:
        """Predict tiles ``(B, C, S, S)`` after quarter turns; the points turn with them."""
        tiles = torch.stack([self._on_device[self._place(k, window)] for k, window in batch])
        points = None
        if self._sections.points is not None:
            points = [turn_points(self._local(k, w), turns, w.height) for k, w in batch]
        return predictor.predict(torch.rot90(tiles, turns, (-2, -1)), points, density=density)

    def _asked(self, k: int, window: Window) -> bool:
        """Whether a network has to look at a tile: a section of it is more than one grey, or it has points."""
        blank = self._blank[window.y, window.x][list(self._sections.channels[k])]
        return not blank.all() or len(self._local(k, window)) > 0

    @cached_property
    def _blank(self) -> dict[tuple[int, int], Array]:
        """For every tile's first pixel (y, x) on the slice, which of the N planes have one grey there."""
        grid, seen, side = self._grid, self._grid.seen, self._grid.tiling.tile
        found: dict[tuple[int, int], Array] = {}
        across = np.array([x for _, x in grid.columns])[:, None] - seen.x + np.arange(side)
        for _, y in grid.rows:
            strip = self._pixels[:, y - seen.y : y - seen.y + side]
            lowest, highest = strip.min(axis=1)[:, across].min(axis=2), strip.max(axis=1)[:, across].max(axis=2)
            found |= {(y, x): flat for (_, x), flat in zip(grid.columns, (lowest == highest).T, strict=True)}
        return found

    def _place(self, k: int, window: Window) -> tuple[list[int], slice, slice]:
        """Where a tile lies among the pixels: its sections, rows, columns."""
        seen = self._grid.seen
        y, x = window.y - seen.y, window.x - seen.x
        return list(self._sections.channels[k]), slice(y, y + window.height), slice(x, x + window.width)

    def _local(self, k: int, window: Window) -> torch.Tensor:
        """The points in a tile, (N, 2) in its own (x, y)."""
        if self._sections.points is None:
            return torch.zeros((0, 2))
        return torch.from_numpy(window.to_local(self._sections.points[k])).to(self._device)


def _add(
    blends: list[list[Blend]],
    batch: _Batch,
    prediction: Prediction,
    turns: int,
    grid: TileGrid,
    weights: torch.Tensor,
) -> None:
    """Turn a prediction back and add it with its weights; the density's blend is dropped when there is no density."""
    found = [m for m in (prediction.probability, prediction.density) if m is not None]
    upright = [torch.rot90(m, -turns, (-2, -1)) for m in found]
    for row, (k, window) in enumerate(batch):
        owned = grid.owned(window)
        own = np.s_[owned.y - window.y :, owned.x - window.x :]
        del blends[k][len(upright) :]
        for blend, tiles in zip(blends[k], upright, strict=False):
            blend.add([owned], (tiles[row][own] * weights[own])[None])


def _join(objects: list[JoinedInstances], batch: _Batch, prediction: Prediction) -> None:
    """Add the objects of tiles to those of their slices."""
    if prediction.instances is None:
        raise PluginError("a predictor says that it gives instances, and gave none.")
    for (k, window), ids in zip(batch, prediction.instances.cpu().numpy(), strict=True):
        objects[k].add(window, ids)

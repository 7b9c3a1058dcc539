"""Whether bfloat16 may be used for a scan: both precisions on some tiles of it, before anything is predicted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch

from dabench.data.blocks import read_block
from dabench.inference.tile_grid import TileGrid
from dabench.inference.tiles import pad_to_tile
from dabench.inference.volume import partner
from dabench.inference.wrapped import AutocastPredictor
from dabench.ops.precision import multiplies_bfloat16
from dabench.types import Block, Window
from dabench.volumes.prediction.chunk_log import CHUNK_LOG, begun_with

if TYPE_CHECKING:
    from dabench.components.registry import Registry
    from dabench.interfaces import Volume
    from dabench.types import Array
    from dabench.volumes.prediction.plan import PredictionPlan
    from dabench.volumes.prediction.request import Precision

#: How far bfloat16 may move a probability.
LIMIT = 1e-2
#: Tiles that are predicted in both precisions, and those that are looked at to find as many that are not blank.
PROBED, LOOKED_AT = 16, 512
_GOLDEN = (5**0.5 - 1) / 2


def measured(plan: PredictionPlan, registry: Registry) -> PredictionPlan:
    """The plan after a look at the images: the statistics of their grey values, and which precision they allow."""
    plan = replace(plan, images=plan.images.measured(registry))
    if plan.precision != "auto":
        return plan
    if begun := begun_with(plan.partial / CHUNK_LOG).get("precision"):
        return replace(plan, precision=begun, notes=(*plan.notes, f"{begun}, as when this prediction was started"))
    moved = deviation(plan, registry) if multiplies_bfloat16(plan.model.device) else None
    if moved is None:
        return replace(plan, precision="float32", notes=(*plan.notes, "float32: no hardware for bfloat16"))
    chosen: Precision = "bfloat16" if moved <= LIMIT else "float32"
    note = f"{chosen}: bfloat16 changes the probabilities of single tiles by up to {moved:.4f} (allowed {LIMIT:g})"
    return replace(plan, precision=chosen, notes=(*plan.notes, note))


@torch.inference_mode()
def deviation(plan: PredictionPlan, registry: Registry) -> float:
    """The largest difference between probabilities in bfloat16 and float32, on tiles spread evenly over the scan.

    Single tiles are compared, without the mean over those that overlap, which brings the precisions closer together.

    Returns:
        The difference, 0 to 1; 0 for a scan that is blank wherever it is looked at.
    """
    exact, device = plan.model.predictor, plan.model.device
    rough = AutocastPredictor(exact)
    largest = 0.0
    for tile, points in islice(_tiles(plan, plan.images.open(registry)), PROBED):
        images = torch.from_numpy(tile)[None].to(device)
        given = None if points is None else [torch.from_numpy(points).to(device)]
        pair = [one.predict(images, given).probability.float() for one in (exact, rough)]
        moved = float((pair[0] - pair[1]).abs().nan_to_num(nan=1.0).max())
        largest = max(largest, moved)
    return largest


def _tiles(plan: PredictionPlan, images: Volume) -> Iterator[tuple[Array, Array | None]]:
    """Tiles ``(C, S, S)`` that are not blank, with the points in them, ``(N, 2)`` as x, y."""
    chunks, (first, _), seen = plan.chunking, plan.slices, plan.seen_points
    windows = [window for group in TileGrid.whole(chunks.plane, chunks.tiling).groups() for window in group]
    count = chunks.shape[0] * len(windows)
    # Multiples of the golden ratio: however few are taken, they are spread over the whole scan.
    places = dict.fromkeys(int(k * _GOLDEN % 1 * count) for k in range(LOOKED_AT))
    for z, window in ((first + place // len(windows), windows[place % len(windows)]) for place in places):
        planes = (z, partner(z, chunks.gap, plan.shape[0])) if chunks.gap else (z,)
        tile = np.stack([_cut(images, plane, window) for plane in planes])
        if tile.min() < tile.max():
            points = None if seen is None else seen.get(z, np.zeros((0, 2), np.float32))
            yield tile, None if points is None else window.to_local(points)


def _cut(images: Volume, z: int, window: Window) -> Array:
    height, width = (min(side, n) for side, n in zip((window.height, window.width), images.shape[1:], strict=True))
    plane = read_block(images, Block(z, window.y, window.x, 1, height, width))[0]
    return np.ascontiguousarray(pad_to_tile(plane, window.height), np.float32)

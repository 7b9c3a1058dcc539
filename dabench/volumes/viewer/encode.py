"""One slice of a view as the page's data: read, counted at full size, reduced, packed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dabench.data.blocks import read_block
from dabench.ops.components import label_components
from dabench.ops.pictures import jpeg, levels
from dabench.types import IGNORE, Block
from dabench.volumes.viewer.downsampling import Downsampling, area_mean, most_frequent
from dabench.volumes.viewer.planes import inline, numbered, plane, probability_levels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dabench.interfaces import Volume
    from dabench.types import Array
    from dabench.volumes.viewer.view_data import ViewData

#: Slices that decide which grey values are shown black and white.
_SAMPLED = 8
#: Grey values of a slice that take part in it.
_PIXELS = 2**18


@dataclass(frozen=True)
class Grey:
    """Grey values shown black and white; the same for all slices, so that slices stay comparable."""

    low: float
    high: float

    def levels(self, image: Array) -> Array:
        """``(H, W)`` uint8."""
        return levels(image, self.low, self.high)


def measure_grey(images: Volume, cut: Downsampling) -> Grey:
    """The 0.5th and the 99.5th percentile of eight of the shown slices, evenly spread from the first to the last."""
    places = np.linspace(0, len(cut.slices) - 1, min(_SAMPLED, len(cut.slices))).round().astype(int)
    values = [_some(read_window(images, cut.slices[place], cut)) for place in places]
    finite = np.concatenate([v[np.isfinite(v)] for v in values])
    low, high = np.percentile(finite, (0.5, 99.5)) if finite.size else (0.0, 1.0)
    return Grey(float(low), float(high))


def _some(image: Array) -> Array:
    flat = image.ravel()
    return flat[:: max(1, flat.size // _PIXELS)].astype(np.float64)


def read_window(volume: Volume, z: int, cut: Downsampling) -> Array:
    """A slice's window, read without the rest of the slice where the file allows it."""
    window = cut.window
    block = read_block(volume, Block(z, window.y, window.x, 1, window.height, window.width))
    return np.squeeze(block, axis=0)


def encode_slice(view_data: ViewData, cut: Downsampling, grey: Grey, z: int) -> dict[str, Any]:
    """What the page knows of slice ``z``: image, planes, points, and the numbers of `count`.

    ``truth`` is a plane of 0, 1 and 2 (ignored); ``instances`` one of places in its list ``ids``; the others are as in
    `ViewData`.
    """
    image = read_window(view_data.images, z, cut)
    found = {name: read_window(volume, z, cut) for name, volume in view_data.layers().items()}
    if "probability" in found:
        found["probability"] = probability_levels(found["probability"])
    masks = as_masks(found)
    record: dict[str, Any] = {"z": z, "image": inline(jpeg(grey.levels(area_mean(image, cut.factor))))}
    for name, mask in masks.items():
        record[name] = plane(most_frequent(mask, cut.factor))
    if "probability" in found:
        record["probability"] = plane(area_mean(found["probability"], cut.factor).astype(np.uint8))
    if "instances" in found:
        places, ids = numbered(found["instances"])
        record["instances"] = {**plane(most_frequent(places, cut.factor)), "ids": ids}
    if z in view_data.points:
        record["points"] = np.round(cut.window.to_local(view_data.points[z]), 2).tolist()
    return record | count(masks, found.get("instances"))


def as_masks(found: Mapping[str, Array]) -> dict[str, Array]:
    """The prediction as 0/1 and the truth as 0, 1, 2 (ignored), each where there is one.

    Without a mask of its own the prediction is where there is an id or, failing that, where the probability is at
    least one half.
    """
    masks: dict[str, Array] = {}
    if "prediction" in found:
        masks["prediction"] = (found["prediction"] != 0).astype(np.uint8)
    elif "instances" in found:
        masks["prediction"] = (found["instances"] != 0).astype(np.uint8)
    elif "probability" in found:
        masks["prediction"] = (found["probability"] >= 128).astype(np.uint8)
    if "truth" in found:
        masks["truth"] = np.where(found["truth"] == IGNORE, 2, found["truth"] != 0).astype(np.uint8)
    return masks


def count(masks: Mapping[str, Array], ids: Array | None = None) -> dict[str, Any]:
    """Objects and Dice of one slice at full size; only what can be said of it.

    ``objects`` counts predicted ids, else the 8-connected components of the prediction, ``true_objects`` those of the
    truth. ``dice`` is of the pixels that are not ignored, None where both are empty.
    """
    said: dict[str, Any] = {}
    if ids is not None:
        said["objects"] = len(np.unique(ids[ids != 0]))
    elif "prediction" in masks:
        said["objects"] = int(label_components(masks["prediction"]).max())
    if "truth" in masks:
        said["true_objects"] = int(label_components(masks["truth"] == 1).max())
    if "truth" in masks and "prediction" in masks:
        said["dice"] = _dice(masks["prediction"] == 1, masks["truth"])
    return said


def _dice(predicted: Array, truth: Array) -> float | None:
    known, true = truth != 2, truth == 1
    total = int((predicted & known).sum() + true.sum())
    return round(2 * int((predicted & true).sum()) / total, 6) if total else None

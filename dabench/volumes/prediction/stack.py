"""A stack predicted in memory: the probabilities that `predict_volume` writes, before they become bytes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dabench.data.blocks import voxel_of
from dabench.data.resampled import ResampledVolume
from dabench.errors import ConfigError, DataError
from dabench.inference import predict_slices
from dabench.inference.returned import returned_ids, returned_probability
from dabench.models.loading import ModelWarning
from dabench.ops.joining import SliceLinks
from dabench.types import Array
from dabench.volumes.arrays import as_volume
from dabench.volumes.prediction.images import ImageSource, unit_volume
from dabench.volumes.prediction.pixels import matching, seen_points
from dabench.volumes.prediction.plan import gap_of
from dabench.volumes.prediction.points import check_inside, read_prompts
from dabench.volumes.prediction.request import Request

if TYPE_CHECKING:
    from dabench.components.registry import Registry
    from dabench.interfaces import Volume
    from dabench.models import Model
    from dabench.volumes.arrays import ArrayLike
    from dabench.volumes.prediction.points import Points
    from dabench.volumes.prediction.request import PixelSize, Voxel

#: Prompts: those of each slice, all with their slice in front, or a file of them.
PointsLike = Mapping[int, Array] | Array | str | Path
#: Called with the slices that are done and all there are.
Advance = Callable[[int, int], None]


def predict_stack(
    model: Model,
    registry: Registry,
    stack: ArrayLike | str | Path,
    points: PointsLike | None = None,
    *,
    profile: str | None = None,
    intensity: str | None = None,
    voxel: Voxel | None = None,
    pixel_size: PixelSize = "match",
    batch: int = 8,
    instances: bool = False,
    advance: Advance | None = None,
) -> Array:
    """Probability of every pixel, float32 in the shape of the stack; the front door's `Model.predict` says the rest.

    With ``instances`` the model's objects, uint32 ids that are joined through slices, 0 = background.

    Raises:
        DataError: the stack is missing, damaged or no stack, or a point lies outside of it.
        ConfigError: a model of pairs and no voxel size; an invalid intensity; objects of a model that makes none.
        UnknownNameError: no such profile.
    """
    card = model.card
    if instances and not model.predictor.gives_instances:
        raise ConfigError(
            f"{card.name} predicts only a probability, no objects.",
            "dabench predict labels the components of its mask.",
        )
    stored, name = _open(stack, registry)
    said = voxel or voxel_of(stored)
    voxel = said or card.voxel
    resampling, notes = matching(pixel_size, stored.shape[1:], said, card)
    for note in notes:
        warnings.warn(note, ModelWarning, stacklevel=2)
    images: Volume = unit_volume(stored, intensity or card.intensity, name)
    prompts = None if points is None else _prompts(points, registry, stored.shape, voxel)
    shown = predict_slices(
        model.predictor,
        images if resampling is None else ResampledVolume(images, resampling),
        card.tile,
        profile or card.inference,
        seen_points(prompts, resampling),
        batch_size=batch,
        device=model.device,
        gap=gap_of(model, voxel, stored.shape[0]),
    )
    found, links = np.empty(stored.shape, np.uint32 if instances else np.float32), SliceLinks()
    back = resampling and resampling.inverse
    for z, prediction in shown:
        if instances and prediction.instances is not None:
            ids = returned_ids(prediction.instances, back)
            found[z] = links.names(ids)[ids]
        else:
            found[z] = returned_probability(prediction, back)
        if advance:
            advance(z + 1, len(found))
    return found if isinstance(stack, str | Path) or len(stack.shape) == 3 else found[0]


def _open(stack: ArrayLike | str | Path, registry: Registry) -> tuple[Volume, str]:
    if isinstance(stack, str | Path):
        return ImageSource(Path(stack), "range").stored(registry), str(stack)
    return as_volume(stack), "the stack"


def _prompts(given: PointsLike, registry: Registry, shape: tuple[int, int, int], voxel: Voxel | None) -> Points:
    """Points ``(N, 2)`` (x, y) by slice. Raises DataError for one outside of the stack, or what are no points."""
    if isinstance(given, str | Path):
        request = Request(run="", images=Path(), output=Path(), points=Path(given))
        return read_prompts(request, registry, shape, voxel)
    if isinstance(given, Mapping):
        found = {int(z): _table(xy, 2) for z, xy in given.items()}
    else:
        table = _table(given, 3)
        slices = np.rint(table[:, 0]).astype(int)
        found = {int(z): table[slices == z][:, [2, 1]] for z in np.unique(slices)}
    check_inside("points", found, shape)
    return found


def _table(points: Array, columns: int) -> Array:
    table = np.asarray(points, np.float32)
    table = table.reshape(0, columns) if table.size == 0 else table
    if table.ndim != 2 or table.shape[1] != columns:
        raise DataError(
            f"points of shape {table.shape}: a slice has (N, 2) points x, y; all slices together (N, 3): z, y, x."
        )
    return table

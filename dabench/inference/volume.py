"""Predicts a stack slice by slice with any predictor; holds one slice at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from dabench.errors import ConfigError, DataError
from dabench.inference.chunks import Sections, SlicePrediction, predict_chunk
from dabench.inference.probabilities import need_probabilities
from dabench.inference.tile_grid import TileGrid, Tiling
from dabench.inference.tiles import DEFAULT_PROFILE, profile_named

if TYPE_CHECKING:
    import torch

    from dabench.interfaces import Predictor, Volume
    from dabench.types import Array

__all__ = ["SlicePrediction", "Tiling", "partner", "predict_slice", "predict_slices"]


def predict_slices(
    predictor: Predictor,
    images: Volume | Iterable[Array],
    tile: int,
    profile: str = DEFAULT_PROFILE,
    points: Mapping[int, Array] | None = None,
    *,
    batch_size: int = 8,
    device: torch.device | str = "cpu",
    density: bool = False,
    slices: Iterable[int] | None = None,
    gap: int = 0,
) -> Iterator[tuple[int, SlicePrediction]]:
    """Predict slices one by one, in order.

    Args:
        predictor: any trained model.
        images: a volume, or slices in order; each ``(H, W)`` float in [0, 1].
        tile: side of a tile; smaller slices are padded by reflection and cut back.
        profile: ``hann`` (half-tile stride, Hann-weighted mean), ``fast`` (the same tiles, plain mean), ``paper``
            (stride 128, four rotations, plain mean) or ``tiles`` (no overlap).
        points: prompts by slice, each ``(N, 2)`` (x, y) of the slice; a slice without an entry has none. None is
            automatic mode. Each tile gets the points that lie in it, in its own (x, y).
        batch_size: tiles a forward pass.
        device: where the predictor is.
        density: whether to ask for the density map.
        slices: which slices of a volume (all).
        gap: for a predictor of pairs, slices to the partner of each; the last ones look back, and one that can do
            neither looks at the farther end. Needs a volume.

    Yields:
        (z, SlicePrediction): ``z`` as in the volume, or counted from 0.

    Raises:
        ConfigError: unknown profile, sizes below 1, or pairs of what is not a volume.
        DataError: a slice is not a floating-point image in two dimensions, or has NaN or infinite pixels.
        PredictionError: the model predicts what is no probability.
    """
    tiling = Tiling(tile, profile_named(profile), batch_size)
    return _predict_each(predictor, _numbered(images, slices, gap), tiling, points, device, density, gap > 0)


def _predict_each(
    predictor: Predictor,
    numbered: Iterable[tuple[int, Array]],
    tiling: Tiling,
    points: Mapping[int, Array] | None,
    device: torch.device | str,
    density: bool,
    pairs: bool,
) -> Iterator[tuple[int, SlicePrediction]]:
    nothing = np.zeros((0, 2), np.float32)
    for z, image in numbered:
        _check(z, image, pairs)
        given = None if points is None else np.asarray(points.get(z, nothing), np.float32).reshape(-1, 2)
        found = predict_slice(predictor, image, tiling, given, device, density=density)
        need_probabilities(found.probability, z)
        yield z, found


def predict_slice(
    predictor: Predictor,
    image: Array,
    tiling: Tiling,
    points: Array | None = None,
    device: torch.device | str = "cpu",
    *,
    density: bool = False,
) -> SlicePrediction:
    """Predict one ``(H, W)`` slice, or a pair ``(2, H, W)``: the chunk that is a whole slice."""
    height, width = image.shape[-2:]
    planes = image.reshape(-1, height, width)
    sections = Sections(planes, [tuple(range(len(planes)))], None if points is None else [points])
    (found,) = predict_chunk(predictor, sections, TileGrid.whole((height, width), tiling), device, density=density)
    return found


def _numbered(images: Volume | Iterable[Array], slices: Iterable[int] | None, gap: int) -> Iterator[tuple[int, Array]]:
    """Slices ``(H, W)`` with their numbers; pairs ``(2, H, W)`` when there is a gap."""
    if isinstance(images, Iterable):
        if gap:
            raise ConfigError("a predictor of pairs needs a volume to find the partner of a slice.")
        wanted = None if slices is None else set(slices)
        return ((z, image) for z, image in enumerate(images) if wanted is None or z in wanted)
    volume, depth = images, images.shape[0]
    if gap >= depth:
        raise DataError(f"a predictor of pairs {gap} slices apart cannot see a volume of {depth}.")
    which = range(depth) if slices is None else slices
    if not gap:
        return ((z, volume.read(z)) for z in which)
    return ((z, np.stack([volume.read(z), volume.read(partner(z, gap, depth))])) for z in which)


def partner(z: int, gap: int, depth: int) -> int:
    """The slice ``gap`` further, or back, or where both leave the volume its farther end."""
    if z + gap < depth:
        return z + gap
    return z - gap if z >= gap else max(0, depth - 1, key=lambda end: abs(end - z))


def _check(z: int, image: Array, pairs: bool) -> None:
    if image.ndim not in (2, 2 + pairs) or image.dtype.kind != "f":
        raise DataError(
            f"slice {z}: inference takes (H, W) float images in [0, 1], got {image.dtype} of shape {image.shape}."
        )
    if not np.isfinite(image).all():
        *_, y, x = np.argwhere(~np.isfinite(image))[0]
        raise DataError(f"slice {z}: pixel {image[y, x]} at row {y}, column {x}.", "Repair the image; NaN is not grey.")

"""A batch seen through the student's eyes: each crop with a draw of its own, all that belongs to it warped alike."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from dabench.ops.augmentation import View, ViewOptions, draw_view
from dabench.types import SourceCrops


def draw_views(images: Tensor, options: ViewOptions, generator: torch.Generator) -> list[View]:
    """One independent view for each of ``(B, 1, H, W)`` images."""
    size = (int(images.shape[-2]), int(images.shape[-1]))
    return [draw_view(size, options, generator) for _ in images]


def view_source(crops: SourceCrops, options: ViewOptions, generator: torch.Generator) -> SourceCrops:
    """Labelled crops with one view each, the sections of a pair with the same; points that leave a crop are dropped."""
    views = draw_views(crops.images, options, generator)
    seen = _seen(views, crops)
    return seen if crops.second is None else replace(seen, second=_seen(views, crops.second))


def _seen(views: list[View], crops: SourceCrops) -> SourceCrops:
    return SourceCrops(
        view_images(views, crops.images), view_labels(views, crops.labels), view_points(views, crops.points)
    )


def view_images(views: list[View], images: Tensor) -> Tensor:
    """``(B, 1, H, W)`` images, geometry and photometry."""
    return torch.stack([view.image(image) for view, image in zip(views, images, strict=True)])


def view_labels(views: list[View], labels: Tensor) -> Tensor:
    """``(B, H, W)`` integer labels, geometry alone; ``IGNORE`` where a warp looks outside."""
    return torch.stack([view.labels(label) for view, label in zip(views, labels, strict=True)])


def view_maps(views: list[View], maps: Tensor) -> Tensor:
    """``(B, H, W)`` real maps, geometry alone; 0 outside."""
    return torch.stack([view.maps(plane[None])[0] for view, plane in zip(views, maps, strict=True)])


def view_points(views: list[View], points: list[Tensor]) -> list[Tensor]:
    """Points of each crop, moved with it."""
    return [view.points(p) for view, p in zip(views, points, strict=True)]


def unview_maps(views: list[View], maps: Tensor) -> Tensor:
    """``(B, H, W)`` maps seen through views of flips and quarter turns, back in the crops' own frame.

    Raises:
        ValueError: a view has a perspective or elastic warp, which has no exact inverse.
    """
    return torch.stack([_unview(view, plane) for view, plane in zip(views, maps, strict=True)])


def _unview(view: View, plane: Tensor) -> Tensor:
    if view.corners is not None or view.displacement is not None:
        raise ValueError("only flips and quarter turns can be undone exactly")
    axes = [axis for axis, flip in ((-1, view.flips[0]), (-2, view.flips[1])) if flip]
    return torch.flip(torch.rot90(plane, -view.turns, (-2, -1)), axes)

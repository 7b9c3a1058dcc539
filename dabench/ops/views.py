"""A batch seen through the student's eyes: each crop with a draw of its own, all that belongs to it warped alike."""

from __future__ import annotations

import torch
from torch import Tensor

from dabench.ops.augmentation import View, ViewOptions, draw_view
from dabench.types import SourceCrops


def draw_views(images: Tensor, options: ViewOptions, generator: torch.Generator) -> list[View]:
    """One independent view for each of ``(B, 1, H, W)`` images."""
    size = (int(images.shape[-2]), int(images.shape[-1]))
    return [draw_view(size, options, generator) for _ in images]


def view_source(crops: SourceCrops, options: ViewOptions, generator: torch.Generator) -> SourceCrops:
    """Labelled crops with one view each; points that leave a crop are dropped."""
    views = draw_views(crops.images, options, generator)
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

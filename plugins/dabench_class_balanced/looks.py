"""Several looks at one crop - flipped, turned, enlarged - and their mean in the crop's own frame (SAC, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dabench.ops.augmentation import View, ViewOptions
from dabench.ops.views import draw_views, unview_maps, view_images
from dabench.types import Window

#: Flips and quarter turns alone: exactly invertible.
_TURNS = ViewOptions(turn=0.75, perspective=0.0, jitter=0.0, noise=0.0)


@dataclass(frozen=True)
class Look:
    """One draw for a batch: for each crop the box that is enlarged to the crop's size, then a flip and a turn."""

    boxes: list[Window]
    views: list[View]

    def see(self, images: Tensor) -> Tensor:
        """(B, 1, H, W) crops as this look shows them, of the same size."""
        size = images.shape[-2:]
        cuts = [_resize(image[:, *box.slices], size) for image, box in zip(images, self.boxes, strict=True)]
        return view_images(self.views, torch.stack(cuts))

    def put_back(self, maps: Tensor) -> list[Tensor]:
        """(B, H, W) maps of what was seen → one map per crop, ``(h, w)`` of its box."""
        turned = unview_maps(self.views, maps)
        return [_resize(plane[None], (box.height, box.width))[0] for plane, box in zip(turned, self.boxes, strict=True)]


def _resize(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    """(C, h, w) → (C, *size), bilinear."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps[None], size=size, mode="bilinear", align_corners=False)[0]


def draw_look(images: Tensor, least: float, generator: torch.Generator) -> Look:
    """A look at ``(B, 1, H, W)`` square crops.

    Args:
        images: the crops.
        least: smallest side of a box as a share of the crop's; 1: no enlargement.
        generator: source of randomness (CPU).
    """
    height, width = int(images.shape[-2]), int(images.shape[-1])
    boxes = [draw_box(height, width, least, generator) for _ in images]
    return Look(boxes, draw_views(images, _TURNS, generator))


def draw_box(height: int, width: int, least: float, generator: torch.Generator) -> Window:
    """A window whose sides are the same share of the crop's, uniform on ``least`` to 1, anywhere inside."""
    draws = torch.rand(3, generator=generator).tolist()
    share = least + (1 - least) * draws[0]
    box_height, box_width = max(1, round(share * height)), max(1, round(share * width))
    top, left = round(draws[1] * (height - box_height)), round(draws[2] * (width - box_width))
    return Window(top, left, box_height, box_width)


def mean_probability(
    segment: Callable[[Tensor], Tensor], images: Tensor, looks: int, least: float, generator: torch.Generator
) -> Tensor:
    """Mean of a segmenter over the plain crop and random looks; each pixel over those that saw it.

    Args:
        segment: (B, 1, H, W) images → (B, H, W) probability.
        images: (B, 1, H, W) square crops.
        looks: in all, the plain one among them.
        least: as in `draw_look`.
        generator: source of randomness (CPU).

    Returns:
        (B, H, W) float32 in [0, 1].
    """
    summed = segment(images).float().clone()  # added to below: never the caller's own tensor
    count = torch.ones_like(summed)
    for _ in range(looks - 1):
        look = draw_look(images, least, generator)
        for index, plane in enumerate(look.put_back(segment(look.see(images)).float())):
            place = (index, *look.boxes[index].slices)
            summed[place] += plane
            count[place] += 1
    return (summed / count).clamp(0, 1)

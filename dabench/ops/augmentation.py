"""The student's view of a crop: one geometric and photometric draw, applied alike to all that belongs to the crop.

The list is the Prefer-DAS release's: flips, quarter turns, perspective, optional elastic deformation;
brightness and contrast, noise, optional motion blur. The *weak* view has flips and quarter turns only. The teacher
sees the plain crop; its label maps and points are warped to the student's view with the same draw.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from dabench.ops.precision import full_precision
from dabench.types import IGNORE


@dataclass(frozen=True)
class ViewOptions:
    """Probabilities and strengths of the student's view; the probabilities are the release's.

    Attributes:
        flip: of each of the two flips.
        turn: of a random number of quarter turns (square crops).
        perspective: of a perspective warp.
        perspective_scale: largest corner shift as a share of half the side.
        elastic: of an elastic deformation (0.3 in Prompt-DAS, off in Prefer-DAS).
        elastic_size: standard deviation of the displacement, pixels.
        jitter: of brightness and contrast jitter.
        jitter_range: factors are drawn from 1 ± this.
        noise: of Gaussian noise.
        noise_std: its largest standard deviation.
        motion_blur: of a motion blur (on for the Lucchi target in the release).
        zoom: of a square part enlarged to the whole (WDA-Net's crops of random size).
        zoom_area: least and greatest share of the area that such a part has.
    """

    flip: float = 0.5
    turn: float = 0.5
    perspective: float = 0.3
    perspective_scale: float = 0.3
    elastic: float = 0.0
    elastic_size: float = 4.0
    jitter: float = 0.5
    jitter_range: float = 0.3
    noise: float = 0.3
    noise_std: float = 0.08
    motion_blur: float = 0.0
    zoom: float = 0.0
    zoom_area: tuple[float, float] = (0.25, 0.8)


STRONG = ViewOptions()
WEAK = ViewOptions(perspective=0.0, jitter=0.0, noise=0.0)
PLAIN = ViewOptions(flip=0.0, turn=0.0, perspective=0.0, jitter=0.0, noise=0.0)


@dataclass(frozen=True)
class View:
    """One draw for one crop of size (H, W). Geometry in this order: flips, turns, perspective, elastic.

    Attributes:
        size: (H, W) of the crop.
        flips: (horizontal, vertical).
        turns: counter-clockwise quarter turns.
        corners: (4, 2) float, where the corners go (pixel-edge coordinates), or None.
        displacement: (H, W, 2) float pixels; the output at p shows the input at p + displacement; or None.
        brightness: factor.
        contrast: factor about the mean.
        noise: (H, W) float added at the end, or None.
        blur: (k, k) float kernel, or None.
    """

    size: tuple[int, int]
    flips: tuple[bool, bool] = (False, False)
    turns: int = 0
    corners: Tensor | None = None
    displacement: Tensor | None = None
    brightness: float = 1.0
    contrast: float = 1.0
    noise: Tensor | None = None
    blur: Tensor | None = None

    def image(self, image: Tensor) -> Tensor:
        """Warps and recolours an image.

        Args:
            image: (1, H, W) float in [0, 1].

        Returns:
            (1, H', W') float in [0, 1]; black where the warp shows what lies outside the crop.
        """
        seen = self.maps(image)
        seen = seen * self.brightness
        seen = (seen - seen.mean()) * self.contrast + seen.mean()
        if self.blur is not None:
            pad = self.blur.shape[-1] // 2
            padded = F.pad(seen[None], (pad, pad, pad, pad), mode="reflect")
            with full_precision(padded):
                seen = F.conv2d(padded, self.blur.to(seen)[None, None])[0]
        if self.noise is not None:
            seen = seen + self.noise.to(seen)
        return seen.clamp(0, 1)

    def maps(self, maps: Tensor) -> Tensor:
        """Warps real-valued maps (probabilities, weights) bilinearly.

        Args:
            maps: (C, H, W) float.

        Returns:
            (C, H', W') float; 0 outside the crop.
        """
        return self._warp(maps, "bilinear", 0.0)

    def labels(self, labels: Tensor) -> Tensor:
        """Warps label maps to the nearest pixel.

        Args:
            labels: (H, W) integer.

        Returns:
            (H', W') of the same type; `IGNORE` outside the crop.
        """
        return self._warp(labels[None].float(), "nearest", float(IGNORE))[0].to(labels.dtype)

    def points(self, points: Tensor) -> Tensor:
        """Moves points with the image; those that leave the crop are dropped.

        Args:
            points: (N, 2) float ``(x, y)``.

        Returns:
            (n, 2) float, n <= N, order kept.
        """
        moved = _turn_points(points, self.size, self.flips, self.turns)
        if self.corners is not None:
            moved = _project(moved, homography(_edges(self.size), self.corners))
        if self.displacement is not None:
            moved = _displace(moved, self.displacement)
        height, width = self._turned_size()
        x, y = moved[:, 0], moved[:, 1]
        inside = (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
        return moved[inside]

    def _turned_size(self) -> tuple[int, int]:
        height, width = self.size
        return (width, height) if self.turns % 2 else (height, width)

    def _warp(self, maps: Tensor, how: str, fill: float) -> Tensor:
        with full_precision(maps):
            return self._warp_exactly(maps, how, fill)

    def _warp_exactly(self, maps: Tensor, how: str, fill: float) -> Tensor:
        import torchvision.transforms.v2.functional as tvf  # two seconds, which a plan does not need
        from torchvision.transforms import InterpolationMode

        mode = InterpolationMode(how)
        axes = [axis for axis, flip in ((-1, self.flips[0]), (-2, self.flips[1])) if flip]
        warped = torch.rot90(torch.flip(maps, axes), self.turns, (-2, -1))
        if self.corners is not None:
            starts, ends = _edges(self.size).tolist(), self.corners.tolist()
            warped = cast(Tensor, tvf.perspective(warped, starts, ends, interpolation=mode, fill=[fill]))
        if self.displacement is not None:
            height, width = self.size
            # torchvision wants displacements in its normalised coordinates, 2 across the image.
            normalised = self.displacement.to(warped) * torch.tensor([2 / width, 2 / height]).to(warped)
            warped = cast(Tensor, tvf.elastic(warped, normalised[None], interpolation=mode, fill=[fill]))
        return warped


def draw_view(size: tuple[int, int], options: ViewOptions, generator: torch.Generator) -> View:
    """Draws one view.

    Args:
        size: (H, W) of the crop; square unless turns are off.
        options: probabilities and strengths.
        generator: source of randomness (CPU).

    Returns:
        The view.
    """

    def chance(probability: float) -> bool:
        return bool(torch.rand((), generator=generator) < probability)

    def factor(happens: bool) -> float:
        draw = float(torch.rand((), generator=generator))
        return 1 + (2 * draw - 1) * options.jitter_range if happens else 1.0

    flips = (chance(options.flip), chance(options.flip))
    turns = int(torch.randint(1, 4, (), generator=generator)) if chance(options.turn) else 0
    corners = _draw_corners(size, options.perspective_scale, generator) if chance(options.perspective) else None
    displacement = _draw_displacement(size, options.elastic_size, generator) if chance(options.elastic) else None
    jitter = chance(options.jitter)
    brightness, contrast = factor(jitter), factor(jitter)
    noise = _draw_noise(size, options.noise_std, generator) if chance(options.noise) else None
    blur = _draw_motion(generator) if chance(options.motion_blur) else None
    if options.zoom and chance(options.zoom):
        corners = _draw_zoom(size, options.zoom_area, corners, generator)
    return View(size, flips, turns, corners, displacement, brightness, contrast, noise, blur)


def _edges(size: tuple[int, int]) -> Tensor:
    """Corners of the image in pixel-edge coordinates, clockwise from the top left."""
    height, width = size
    return torch.tensor([[0, 0], [width, 0], [width, height], [0, height]], dtype=torch.float64)


def _draw_corners(size: tuple[int, int], scale: float, generator: torch.Generator) -> Tensor:
    height, width = size
    reach = torch.tensor([width, height], dtype=torch.float64) * scale / 2
    inward = torch.tensor([[1, 1], [-1, 1], [-1, -1], [1, -1]], dtype=torch.float64)
    # Corners move inwards or outwards: shrinking only would make every warped object smaller than its original.
    shift = torch.rand(4, 2, generator=generator, dtype=torch.float64) * 2 - 1
    return _edges(size) + inward * shift * reach


def _draw_zoom(
    size: tuple[int, int], area: tuple[float, float], corners: Tensor | None, generator: torch.Generator
) -> Tensor:
    """Where the corners go when a random part of the (warped) crop is enlarged to its size."""
    share, x, y = torch.rand(3, generator=generator, dtype=torch.float64).tolist()
    side = math.sqrt(area[0] + share * (area[1] - area[0]))
    height, width = size
    origin = torch.tensor([x * width, y * height], dtype=torch.float64) * (1 - side)
    return ((_edges(size) if corners is None else corners) - origin) / side


def _draw_displacement(size: tuple[int, int], strength: float, generator: torch.Generator) -> Tensor:
    height, width = size
    coarse = torch.randn(1, 2, max(height // 48, 2), max(width // 48, 2), generator=generator) * strength
    smooth = F.interpolate(coarse, size=size, mode="bicubic", align_corners=True)
    return smooth[0].permute(1, 2, 0)


def _draw_noise(size: tuple[int, int], largest: float, generator: torch.Generator) -> Tensor:
    std = float(torch.rand((), generator=generator)) * largest
    return torch.randn(size, generator=generator) * std


def _draw_motion(generator: torch.Generator) -> Tensor:
    """A line through the centre of a kernel of 3 to 7 pixels."""
    size = 3 + 2 * int(torch.randint(0, 3, (), generator=generator))
    angle = float(torch.rand((), generator=generator)) * math.pi
    kernel = torch.zeros(size, size)
    for step in torch.linspace(-(size // 2), size // 2, 4 * size).tolist():
        kernel[round(size // 2 + step * math.sin(angle)), round(size // 2 + step * math.cos(angle))] += 1
    return kernel / kernel.sum()


def _turn_points(points: Tensor, size: tuple[int, int], flips: tuple[bool, bool], turns: int) -> Tensor:
    height, width = size
    x, y = points[:, 0], points[:, 1]
    x = width - 1 - x if flips[0] else x
    y = height - 1 - y if flips[1] else y
    for _ in range(turns):
        # One counter-clockwise turn: the right edge becomes the top.
        x, y = y, width - 1 - x
        height, width = width, height
    return torch.stack([x, y], dim=1)


def homography(starts: Tensor, ends: Tensor) -> Tensor:
    """The projective map that takes four points to four points.

    Args:
        starts: (4, 2) float64.
        ends: (4, 2) float64.

    Returns:
        (3, 3) float64 with a one in the last corner.
    """
    x, y, u, v = starts[:, 0], starts[:, 1], ends[:, 0], ends[:, 1]
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    for_u = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], dim=1)
    for_v = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], dim=1)
    solved = torch.linalg.solve(torch.cat([for_u, for_v]), torch.cat([u, v]))
    return torch.cat([solved, torch.ones(1, dtype=solved.dtype)]).view(3, 3)


def _project(points: Tensor, matrix: Tensor) -> Tensor:
    edge = F.pad(points.double() + 0.5, (0, 1), value=1.0)
    projected = edge @ matrix.to(edge.device).T
    return (projected[:, :2] / projected[:, 2:] - 0.5).to(points.dtype)


def _displace(points: Tensor, displacement: Tensor) -> Tensor:
    """Solves q + displacement(q) = p for q by fixed-point iteration (displacements are smooth and small)."""
    height, width = displacement.shape[:2]
    field = displacement.permute(2, 0, 1)[None].to(points)
    scale = torch.tensor([2 / width, 2 / height]).to(points)
    moved = points
    for _ in range(20):
        grid = ((moved + 0.5) * scale - 1)[None, None]
        here = F.grid_sample(field, grid, mode="bilinear", padding_mode="border", align_corners=False)
        moved = points - here[0, :, 0].T
    return moved

"""Which detected centres are trusted, and which components they make pseudo-label instances (IPL, sections III.B-C).

Everything works on one slice: probability and density ``(H, W)``, points ``(N, 2)`` (x, y), on the CPU.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dabench.ops.components import label_components
from dabench.ops.density import bump_mass
from dabench.ops.peaks import find_peaks
from dabench.plugin import IGNORE, Array

#: A peak of the scaled density is at least so high: what lies below is the head's noise around 0.
_LOWEST = 0.01


def scaled_density(density: Array, floor: float) -> Tensor:
    """Density of a slice, scaled so that its highest value is 1.

    Args:
        density: (H, W) float, unbounded; negative values (a linear head) count as 0.
        floor: a slice whose highest value is lower is divided by this: an empty slice stays empty.

    Returns:
        (H, W) float32 in [0, 1].
    """
    positive = torch.from_numpy(density).float().clamp(min=0)
    highest = max(float(positive.max()), floor)
    return positive / highest if highest > 0 else positive


def estimated_count(density: Tensor) -> float:
    """Objects on a slice: the sum of its scaled density in bumps."""
    return float(density.double().sum()) / bump_mass()


def select_centres(density: Tensor, components: Tensor, given: Tensor, ratio: float, kernel: int) -> Tensor:
    """The highest peaks, as many as a ratio of the estimated count, outside what a given point already marks.

    Args:
        density: (H, W) float in [0, 1], scaled.
        components: (H, W) integer, components of the thresholded segmentation, 0 = none.
        given: (N, 2) points that a person gave.
        ratio: of the estimated count, rounded up.
        kernel: neighbourhood of a peak in pixels, odd.

    Returns:
        (M, 2) float, highest first; without the given points.
    """
    if ratio <= 0:
        return torch.zeros(0, 2)
    peaks = find_peaks(density[None], _LOWEST, kernel).unpad()[0]
    marked = at_points(components, given)
    inside = torch.isin(at_points(components, peaks), marked[marked > 0])
    free = peaks[~inside]
    order = torch.sort(at_points(density, free), descending=True, stable=True).indices
    return free[order[: math.ceil(ratio * estimated_count(density))]]


def instance_labels(
    probability: Array, components: Tensor, centres: Tensor, background: float
) -> tuple[Tensor, Tensor]:
    """Pseudo-label instances: components that hold a trusted centre (Eq. 3).

    Args:
        probability: (H, W) float in [0, 1].
        components: (H, W) integer, components of the thresholded segmentation, 0 = none.
        centres: (N, 2) given and selected.
        background: pixels below this probability are background.

    Returns:
        (H, W) uint8: 1 in the instances, 0 in confident background, `IGNORE` elsewhere; and which centres have no
        component, (N,) bool.
    """
    under = at_points(components, centres)
    chosen = torch.zeros(int(components.max()) + 1, dtype=torch.bool)
    chosen[under] = True
    chosen[0] = False
    labels = torch.full(components.shape, IGNORE, dtype=torch.uint8)
    labels[torch.from_numpy(probability < background)] = 0
    labels[chosen[components]] = 1
    return labels, under == 0


def with_ellipses(labels: Tensor, points: Tensor, inner: tuple[float, float], outer: tuple[float, float]) -> Tensor:
    """Labels in which a given point without a component is an ellipse of foreground in a ring of doubt.

    The ring takes background back, not the instances that others have there.

    Args:
        labels: (H, W) uint8 {0, 1, 255}.
        points: (N, 2) given points that no component holds.
        inner: half axes (x, y) of the foreground in pixels; (0, 0) stamps nothing.
        outer: half axes of the ring.

    Returns:
        (H, W) uint8; the input is left alone.
    """
    ring, core = _ellipses(labels, points, outer), _ellipses(labels, points, inner)
    return labels.masked_fill(ring & (labels == 0), IGNORE).masked_fill(core, 1)


def _ellipses(like: Tensor, points: Tensor, axes: tuple[float, float]) -> Tensor:
    """(H, W) bool: inside an ellipse at any of the points."""
    inside = torch.zeros(like.shape, dtype=torch.bool)
    wide, tall = axes
    if wide <= 0 or tall <= 0:
        return inside
    height, width = like.shape
    for x, y in points.round().tolist():
        rows = torch.arange(max(0, math.ceil(y - tall)), min(height, math.floor(y + tall) + 1))
        columns = torch.arange(max(0, math.ceil(x - wide)), min(width, math.floor(x + wide) + 1))
        near = ((rows - y) / tall)[:, None] ** 2 + ((columns - x) / wide)[None, :] ** 2 <= 1
        inside[rows[:, None], columns[None, :]] |= near
    return inside


def at_points(plane: Tensor, points: Tensor) -> Tensor:
    """Value of a ``(H, W)`` plane under each of ``(N, 2)`` points (x, y)."""
    columns, rows = points.round().long().unbind(dim=1)
    return plane[rows.clamp(0, plane.shape[0] - 1), columns.clamp(0, plane.shape[1] - 1)]


def components_above(probability: Array, threshold: float) -> Tensor:
    """(H, W) int64 components of the pixels at least so likely, 0 = none."""
    return torch.from_numpy(label_components(probability >= threshold)).long()

"""UDA: confident points of the source model stand in for the points that nobody gave (Prompt-DAS, section 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dabench import CropId, TargetCrops, TrainingView, Window
from dabench.ops.patches import tile_windows
from dabench.ops.peaks import find_peaks
from dabench.ops.prompts import merge_points


@dataclass(frozen=True)
class PointRule:
    """When a peak of the source model's density is trusted.

    Attributes:
        peak: at least so high, relative to its tile's highest.
        floor: ... and absolutely.
        kernel: neighbourhood of a peak, pixels.
        confidence: foreground probability at the peak.
        margin: pixels from the tile's border within which none is taken: a cut object has its centre elsewhere.
        apart: two peaks of overlapping tiles so near are one, pixels.
    """

    peak: float = 0.5
    floor: float = 0.15
    kernel: int = 15
    confidence: float = 0.8
    margin: float = 8.0
    apart: float = 15.0


@torch.no_grad()
def estimate_points(view: TrainingView, network: nn.Module, size: int, rule: PointRule) -> dict[int, Tensor]:
    """Confident centres on every slice of the target's training split, ``(N, 2)`` (x, y) by slice.

    The network looks at each tile in four quarter turns and averages: a single look is overconfident across a gap.
    """
    depth, height, width = view.target_shape()
    training = network.training
    network.eval()
    found: dict[int, Tensor] = {}
    for z in range(depth):
        points = torch.zeros(0, 2)
        for window in tile_windows(height, width, size):
            peaks = _tile_peaks(view, network, CropId(z, window), rule)
            points = merge_points(points, peaks + torch.tensor([window.x, window.y]), rule.apart)
        found[z] = points
    network.train(training)
    return found


def _tile_peaks(view: TrainingView, network: nn.Module, crop: CropId, rule: PointRule) -> Tensor:
    image = torch.from_numpy(view.target_crop(crop).copy())[None, None].to(view.device)
    outputs = [network(torch.rot90(image, k, (-2, -1)), with_density=True) for k in range(4)]
    turned = [
        (torch.rot90(o.probability, -k, (-2, -1)), torch.rot90(o.density, -k, (-2, -1))) for k, o in enumerate(outputs)
    ]
    probability = torch.stack([p.float() for p, _ in turned]).mean(dim=0)
    density = torch.stack([d.float() for _, d in turned]).mean(dim=0)
    limit = max(rule.peak * float(density.max()), rule.floor)
    peaks = find_peaks(density, limit, rule.kernel).unpad()[0].cpu()
    columns, rows = peaks.round().long().unbind(dim=1)
    sure = probability[0].cpu()[rows, columns] > rule.confidence
    size = image.shape[-1]
    inside = ((peaks >= rule.margin) & (peaks < size - rule.margin)).all(dim=1)
    return peaks[sure & inside]


def with_points(crops: TargetCrops, points: Mapping[int, Tensor]) -> TargetCrops:
    """The same crops, carrying these points of their slices as if a person had given them."""
    local = [_inside(points[origin.z], origin.window).to(crops.images.device) for origin in crops.origins]
    return TargetCrops(crops.images, local, crops.origins)


def _inside(points: Tensor, window: Window) -> Tensor:
    return torch.from_numpy(window.to_local(points.numpy()))

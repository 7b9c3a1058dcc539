"""UDA: confident points of the source model replace the given points (Prompt-DAS, section 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dabench.ops.patches import tile_windows
from dabench.ops.peaks import find_peaks
from dabench.ops.prompts import merge_points
from dabench.plugin import CropId, TargetCrops, TrainingData, Window

_TILES_AT_ONCE = 16


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


#: Rules by name: ours, and how the release finds prompts in a density (125 of 255, a neighbourhood of 5).
RULES = {
    "cautious": PointRule(),
    "release": PointRule(peak=0.0, floor=125 / 255, kernel=5, confidence=0.0, margin=0.0, apart=2.5),
}


@torch.no_grad()
def estimate_points(data: TrainingData, network: nn.Module, size: int, rule: PointRule) -> dict[int, Tensor]:
    """Confident centres on every slice of the target's training split, ``(N, 2)`` (x, y) by slice.

    The network looks at each tile in four quarter turns and averages: a single look is overconfident across a gap.
    """
    depth, height, width = data.target_shape()
    training = network.training
    network.eval()
    found: dict[int, Tensor] = {}
    for z in range(depth):
        points = torch.zeros(0, 2)
        windows = tile_windows(height, width, size)
        for first in range(0, len(windows), _TILES_AT_ONCE):
            some = windows[first : first + _TILES_AT_ONCE]
            for window, peaks in zip(some, _peaks(data, network, z, some, rule), strict=True):
                points = merge_points(points, peaks + torch.tensor([window.x, window.y]), rule.apart)
        found[z] = points
    network.train(training)
    return found


def _peaks(data: TrainingData, network: nn.Module, z: int, windows: list[Window], rule: PointRule) -> list[Tensor]:
    """Trusted peaks of some tiles of a slice, each ``(N, 2)`` in its tile's own (x, y), on the CPU."""
    crops = [torch.from_numpy(data.target_crop(CropId(z, window)).copy()) for window in windows]
    images = torch.stack(crops)[:, None].to(data.device)
    outputs = [network(torch.rot90(images, k, (-2, -1)), with_density=True) for k in range(4)]
    probability = _mean_turned_back([o.probability for o in outputs]).cpu()
    density = _mean_turned_back([o.density for o in outputs]).cpu()
    return [_trusted(p, d, rule) for p, d in zip(probability, density, strict=True)]


def _mean_turned_back(maps: list[Tensor]) -> Tensor:
    """Mean of ``(B, S, S)`` maps, the k-th of which was seen after k quarter turns."""
    return torch.stack([torch.rot90(m.float(), -k, (-2, -1)) for k, m in enumerate(maps)]).mean(dim=0)


def _trusted(probability: Tensor, density: Tensor, rule: PointRule) -> Tensor:
    """Peaks of one tile that the rule trusts, ``(N, 2)`` (x, y)."""
    limit = max(rule.peak * float(density.max()), rule.floor)
    peaks = find_peaks(density[None], limit, rule.kernel).unpad()[0]
    columns, rows = peaks.round().long().unbind(dim=1)
    sure = probability[rows, columns] > rule.confidence
    inside = ((peaks >= rule.margin) & (peaks < density.shape[-1] - rule.margin)).all(dim=1)
    return peaks[sure & inside]


def with_points(crops: TargetCrops, points: Mapping[int, Tensor]) -> TargetCrops:
    """The same crops, carrying these points of their slices as if a person had given them."""
    local = [_inside(points[origin.z], origin.window).to(crops.images.device) for origin in crops.origins]
    return TargetCrops(crops.images, local, crops.origins)


def _inside(points: Tensor, window: Window) -> Tensor:
    return torch.from_numpy(window.to_local(points.numpy()))

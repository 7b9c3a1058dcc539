"""Target pseudo-labels from a teacher's maps, the detections and the points that a person gave.

Everything that fights the drift of self-training is here: two thresholds with a band of unknown pixels between,
components that no detection supports set to unknown, the surroundings of detections without a component set to
unknown, and given points anchored as small discs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dabench.ops.components import label_components
from dabench.ops.peaks import find_peaks
from dabench.ops.prompts import merge_points
from dabench.types import IGNORE


def two_threshold_labels(probability: Tensor, foreground: float, background: float) -> Tensor:
    """1 at or above the upper threshold, 0 at or below the lower one, unknown between.

    ReCo's weak threshold w is the symmetric case (w, 1 - w).

    Args:
        probability: (B, H, W) float in [0, 1].
        foreground: upper threshold.
        background: lower threshold.

    Returns:
        (B, H, W) uint8 in {0, 1, 255}.
    """
    labels = torch.full(probability.shape, IGNORE, dtype=torch.uint8, device=probability.device)
    labels[probability >= foreground] = 1
    labels[probability <= background] = 0
    return labels


def detected_points(
    density: Tensor, given: Sequence[Tensor], relative: float = 0.5, floor: float = 0.15, kernel: int = 15
) -> list[Tensor]:
    """Given points and the detections that are not beside one.

    A density head loses height on a new domain, so a fixed threshold finds nothing there. The release's training rule
    is half the crop's maximum; the floor keeps a crop without any mitochondrion from detecting noise.

    Args:
        density: (B, H, W) float, the teacher's, 0-1 scale.
        given: for each image (N, 2) float ``(x, y)``.
        relative: a peak is at least this share of its image's maximum.
        floor: and at least so high.
        kernel: neighbourhood of the non-maximum suppression, pixels.

    Returns:
        For each image (M, 2) float, given points first.
    """
    points = []
    for one, known in zip(density, given, strict=True):
        threshold = max(relative * float(one.max()), floor)
        peaks = find_peaks(one[None], threshold, kernel).unpad()[0]
        points.append(merge_points(known, peaks, distance=float(kernel) * 2 / 3))
    return points


def keep_detected(labels: Tensor, probability: Tensor, points: Tensor, reach: float = 12.0) -> Tensor:
    """Detection-guided selection: where segmentation and detection disagree, nothing is claimed.

    A component (probability > 0.5) without a point becomes unknown, unless it touches the border (its centre may lie
    outside the crop). Background around a point that lies on no component becomes unknown.

    Args:
        labels: (H, W) uint8 in {0, 1, 255}.
        probability: (H, W) float in [0, 1] that the labels come from.
        points: (N, 2) float ``(x, y)``, given and detected.
        reach: radius of what becomes unknown around an unsupported point, pixels.

    Returns:
        (H, W) uint8, a new tensor.
    """
    height, width = labels.shape
    components = torch.from_numpy(label_components((probability > 0.5).cpu().numpy())).to(labels.device).long()
    supported = torch.zeros(int(components.max()) + 1, dtype=torch.bool, device=labels.device)
    x = points[:, 0].round().long().clamp(0, width - 1)
    y = points[:, 1].round().long().clamp(0, height - 1)
    on = components[y, x]
    supported[on] = True
    supported[torch.cat([components[0], components[-1], components[:, 0], components[:, -1]])] = True
    supported[0] = True
    kept = labels.masked_fill(~supported[components], IGNORE)
    lonely = discs((height, width), points[on == 0], reach)
    return kept.masked_fill(lonely & (kept == 0), IGNORE)


def anchor_points(labels: Tensor, given: Tensor, radius: float = 5.0) -> Tensor:
    """A small disc of foreground at each given point, whatever the teacher thinks.

    Args:
        labels: (H, W) uint8 in {0, 1, 255}.
        given: (N, 2) float ``(x, y)``, from a person.
        radius: of the disc, pixels; 0 leaves the labels as they are.

    Returns:
        (H, W) uint8, a new tensor.
    """
    if radius <= 0:
        return labels.clone()
    return labels.masked_fill(discs((labels.shape[0], labels.shape[1]), given, radius), 1)


def discs(size: tuple[int, int], points: Tensor, radius: float) -> Tensor:
    """Union of discs around points.

    Args:
        size: (H, W).
        points: (N, 2) float ``(x, y)``.
        radius: in pixels.

    Returns:
        (H, W) bool.
    """
    height, width = size
    y = torch.arange(height, device=points.device).view(1, -1, 1) - points[:, 1].view(-1, 1, 1)
    x = torch.arange(width, device=points.device).view(1, 1, -1) - points[:, 0].view(-1, 1, 1)
    return (x * x + y * y <= radius * radius).any(dim=0)

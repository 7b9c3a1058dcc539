"""Peaks of a density map: detected centres, and the prompts made from them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dabench.ops.components import label_components
from dabench.ops.prompts import Prompts, pad_points


def find_peaks(density: Tensor, threshold: float = 0.5, kernel: int = 5) -> Prompts:
    """Local maxima above a threshold, one a plateau.

    Max-pool non-maximum suppression; the pixels of one flat top (overlapping bumps, zero-order steps) are joined to
    their mean, so a plateau is one point and not hundreds.

    Args:
        density: (B, H, W) float, 0-1 scale.
        threshold: a peak is at least so high (125 of 255 in the release).
        kernel: neighbourhood in pixels, odd (5 at test, 3 in the release's training).

    Returns:
        Peaks ``(x, y)``, in scan order.
    """
    highest = _sliding_maximum(_sliding_maximum(density, kernel).mT, kernel).mT
    is_peak = (density >= highest) & (density >= threshold)
    return pad_points([_plateau_means(mask).to(density.device) for mask in is_peak])


def _sliding_maximum(maps: Tensor, kernel: int) -> Tensor:
    """Maximum over an odd number of neighbours along the last axis; windows grow by doubling."""
    found, width = F.pad(maps, (kernel // 2, kernel // 2), value=-torch.inf), 1
    while width < kernel:
        step = min(width, kernel - width)
        found = torch.maximum(found[..., :-step], found[..., step:])
        width += step
    return found


def _plateau_means(mask: Tensor) -> Tensor:
    """Mean ``(x, y)`` of each connected group of a (H, W) mask: (N, 2)."""
    if not bool(mask.any()):
        return torch.zeros(0, 2)
    labels = torch.from_numpy(label_components(mask.cpu().numpy()))
    rows, columns = torch.nonzero(labels, as_tuple=True)
    index = labels[rows, columns].long() - 1
    total = torch.zeros(int(index.max()) + 1, 2).index_add_(0, index, torch.stack([columns, rows], dim=1).float())
    return total / torch.bincount(index)[:, None]

"""Centres of components: the points that annotators give and the detection head learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dabench.ops.components import Labels, label_components


def component_centres(mask: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """One point inside each 8-connected component of a binary slice.

    Args:
        mask: (H, W), non-zero = foreground (mask out the ignore value first).

    Returns:
        (N, 2) float32 ``(x, y)`` in component order.
    """
    return label_centres(label_components(mask))


def label_centres(labels: Labels) -> npt.NDArray[np.float32]:
    """Centroid of each label; where its rounded pixel lies outside (a crescent), the label's nearest pixel.

    Args:
        labels: (H, W) integer, 0 = background, 1..N; absent labels give no point.

    Returns:
        (N, 2) float32 ``(x, y)``.
    """
    rows, columns = np.nonzero(labels)
    found = labels[rows, columns]
    size = np.bincount(found)
    present = np.flatnonzero(size)
    if len(present) == 0:
        return np.zeros((0, 2), dtype=np.float32)
    x = np.bincount(found, columns)[present] / size[present]
    y = np.bincount(found, rows)[present] / size[present]
    centres = np.stack([x, y], axis=1)
    inside = labels[np.rint(y).astype(int), np.rint(x).astype(int)] == present
    for index in np.flatnonzero(~inside):
        own = found == present[index]
        centres[index] = _nearest(columns[own], rows[own], centres[index])
    return centres.astype(np.float32)


def _nearest(x: npt.NDArray[np.intp], y: npt.NDArray[np.intp], point: npt.NDArray[np.float64]) -> tuple[float, float]:
    best = int(np.argmin((x - point[0]) ** 2 + (y - point[1]) ** 2))
    return float(x[best]), float(y[best])

"""Connected components of binary slices, 8-connected, as in every method and metric of this field."""

from __future__ import annotations

from typing import Any, cast

import cc3d
import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int32]
SMALL_OBJECT = 15


def label_components(mask: npt.NDArray[Any]) -> Labels:
    """Labels the 8-connected components of one slice.

    Args:
        mask: (H, W), non-zero = foreground.

    Returns:
        (H, W) int32, 0 = background, components 1..N in scan order.
    """
    # As uint8, never bool: cc3d 4.1.1 has a path of its own for binary images that labels background pixels at the
    # edges of slices with odd sides (and takes twice as long).
    # A copy, because it does not take read-only slices either.
    binary = np.array(mask, dtype=bool, order="C").view(np.uint8)
    labels = cc3d.connected_components(binary, connectivity=8, out_dtype=np.uint32)
    return cast(Labels, labels.view(np.int32))


def component_sizes(labels: Labels) -> npt.NDArray[np.int64]:
    """Pixels of each label.

    Args:
        labels: (H, W) int32.

    Returns:
        (N + 1,) int64; entry 0 counts the background.
    """
    return np.bincount(labels.ravel()).astype(np.int64)


def remove_small(mask: npt.NDArray[Any], largest: int = SMALL_OBJECT) -> npt.NDArray[np.bool_]:
    """Drops components of at most so many pixels.

    Args:
        mask: (H, W), non-zero = foreground.
        largest: components of this size or smaller go (15 in the published protocol).

    Returns:
        (H, W) bool.
    """
    labels = label_components(mask)
    keep = component_sizes(labels) > largest
    keep[0] = False
    return keep[labels]

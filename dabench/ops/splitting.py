"""Objects that touch, told apart by their outlines: a watershed of each slice, seeded where objects are widest."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.morphology import local_maxima, reconstruction
from skimage.segmentation import watershed

from dabench.ops.components import Labels, label_components

#: Two parts of a component are two objects where the way between their middles narrows to less than this share of the
#: width of the narrower one.
NECK = 0.5
#: Pixels of the Gaussian that takes the steps of pixels out of the width.
_SMOOTH = 1.0
#: Stands for no width at all, on a logarithmic scale.
_NOTHING = math.log(1e-3)


def split_touching(mask: npt.NDArray[np.bool_]) -> Labels:
    """Objects of a slice: its 8-connected components, cut at their necks.

    The width of a place is its distance to the background. Its maxima are the seeds, those taken together between which
    it falls by less than half (`NECK`); from there the mask is flooded. What has no neck stays whole, however long.

    Args:
        mask: (H, W) bool.

    Returns:
        (H, W) int32, 0 = background, objects 1..N. Each object lies in one component.

    Example:
        >>> import numpy as np
        >>> row = np.pad(np.ones((9, 9), bool), 2)
        >>> two = np.hstack([row, row])
        >>> two[6, 8:20] = True  # a bridge of one pixel
        >>> int(label_components(two).max()), int(split_touching(two).max())
        (1, 2)
    """
    foreground = np.asarray(mask, bool)
    pieces = label_components(foreground)
    if foreground.all() or not foreground.any():
        return pieces
    distance = ndimage.distance_transform_edt(foreground)
    smooth = ndimage.gaussian_filter(distance, _SMOOTH)
    width = np.where(foreground, np.log(np.maximum(smooth, 1e-3)), _NOTHING)
    # Tops cut off by the depth of a neck: what they share is one plateau (`h_maxima` takes equal tops for several).
    level = reconstruction(width + math.log(NECK), width)  # type: ignore[no-untyped-call]
    seeds = label_components(local_maxima(level, connectivity=2) & foreground)  # type: ignore[no-untyped-call]
    eight = np.ones((3, 3), bool)
    ids = watershed(-smooth, seeds, connectivity=eight, mask=foreground)  # type: ignore[no-untyped-call]
    return cast(Labels, ids.astype(np.int32))

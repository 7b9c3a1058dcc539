"""Masks as outlines that a browser draws at any zoom."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from skimage.measure import approximate_polygon, find_contours

if TYPE_CHECKING:
    from dabench.types import Array

#: Pixels by which an outline may be simplified: steps of the raster become straight lines, no edge moves visibly.
_TOLERANCE = 0.25


def outline(mask: Array, y: int = 0, x: int = 0) -> str:
    """The edges of a mask as the data of an SVG path; "" where it is empty.

    Args:
        mask: ``(H, W)`` bool.
        y: row of the picture in which its first pixel lies.
        x: column of the same.

    Returns:
        Closed polygons in pixels, where pixel (0, 0) covers the square from 0 to 1; holes are polygons of their own,
        so that the path fills as the mask does with the rule ``evenodd``.

    A padded mask lies one pixel on, and a pixel's middle is at one half: its places go back by half a pixel.

    Example:
        >>> outline(np.ones((1, 1), bool))
        'M0.5,1L0,0.5L0.5,0L1,0.5Z'
    """
    moved = np.array([y, x]) - 0.5
    found = find_contours(np.pad(mask.astype(np.float32), 1), 0.5)  # type: ignore[no-untyped-call]
    simple = (approximate_polygon(line, _TOLERANCE) for line in found)  # type: ignore[no-untyped-call]
    return "".join(_polygon(line + moved) for line in simple)


def _polygon(corners: Array) -> str:
    """Rows and columns as a closed polygon."""
    places = (f"{x:g},{y:g}" for y, x in corners[:-1])
    return f"M{'L'.join(places)}Z"


def disagreement(masks: Array) -> float:
    """How much masks ``(K, H, W)`` bool differ: one minus the mean Dice of all pairs; 0 where all are the same."""
    if len(masks) < 2:
        return 0.0
    flat = masks.reshape(len(masks), -1).astype(np.float32)
    common, sizes = flat @ flat.T, flat.sum(axis=1)
    total = sizes[:, None] + sizes[None]
    dice = np.where(total > 0, 2 * common / np.maximum(total, 1), 1.0)
    return float(1 - dice[np.triu_indices(len(masks), 1)].mean())


def png(picture: Array) -> bytes:
    """``(H, W)`` uint8 as a PNG, without loss."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()

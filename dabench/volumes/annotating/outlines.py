"""Masks as outlines that a browser draws at any zoom."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, cast

import numpy as np
from contourpy import contour_generator

if TYPE_CHECKING:
    from dabench.types import Array


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
        'M0,0.5L0.5,0L1,0.5L0.5,1Z'
    """
    moved = np.array([x, y]) - 0.5
    found = cast("list[Array]", contour_generator(z=np.pad(mask, 1).astype(np.float64)).lines(0.5))
    return "".join(_polygon(_corners(line) + moved) for line in found)


def _corners(line: Array) -> Array:
    """A closed line (x, y) without its last point, which is its first, and without those on straight stretches."""
    steps = np.diff(line, axis=0)
    before = np.roll(steps, 1, axis=0)
    turns = before[:, 0] * steps[:, 1] != before[:, 1] * steps[:, 0]
    corners: Array = line[:-1][turns]
    return corners


def _polygon(corners: Array) -> str:
    return f"M{'L'.join(f'{x:g},{y:g}' for x, y in corners)}Z"


def png(picture: Array) -> bytes:
    """``(H, W)`` uint8 as a PNG, without loss."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()

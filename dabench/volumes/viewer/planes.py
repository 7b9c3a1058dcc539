"""Slices as text inside a page: pictures as JPEG, labels and probabilities as exact planes of whole numbers."""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Any

import fastremap
import numpy as np

if TYPE_CHECKING:
    from dabench.types import Array

#: Largest number that a plane holds.
_MOST = 65_535


def inline(data: bytes) -> str:
    """Bytes in base64."""
    return base64.b64encode(data).decode()


def plane(values: Array) -> dict[str, Any]:
    """``(H, W)`` whole numbers up to 65,535 as ``{"bits": 8 or 16, "data": base64}``, without loss.

    Each row is stored as its difference to the row above, byte by byte, which deflate packs well: a mask of 1024² with
    fifty objects takes about 4 kB. Not a PNG: a browser shows one, but its pixels come back only through a canvas,
    where private modes falsify them.
    """
    bits = 8 if values.max(initial=0) < 256 else 16
    raw = np.ascontiguousarray(values, dtype=f"<u{bits // 8}").view(np.uint8)
    changes = raw.copy()
    changes[1:] -= raw[:-1]
    return {"bits": bits, "data": inline(zlib.compress(changes.tobytes(), 6))}


def numbered(ids: Array) -> tuple[Array, list[str]]:
    """Ids of any size as places in a list: ``(H, W)`` with 0 = background, and the ids as text; place 1 is the first.

    Of more than 65,535 ids on one slice the last ones share a place.
    """
    table, new = fastremap.renumber(ids, preserve_zero=True)
    places = {int(place): str(int(number)) for number, place in new.items() if place}
    table = np.minimum(table, _MOST) if table.dtype.itemsize > 2 else table
    return table, [places[place] for place in sorted(places)]


def probability_levels(values: Array) -> Array:
    """Probabilities as uint8, floor(256 p): 128 and above is exactly one half and above. uint8 is taken as it is."""
    if values.dtype == np.uint8:
        return values
    levels: Array = np.clip(np.floor(np.nan_to_num(values.astype(np.float32)) * 256), 0, 255).astype(np.uint8)
    return levels

"""What a file to be measured holds: a mask, whose objects are found first, or ids of objects."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dabench.data.label_values import Flags, Meaning, meaning_of
from dabench.errors import DataError

if TYPE_CHECKING:
    from dabench.interfaces import Volume

_FLAGS = Flags(ids="for ids of objects  --content ids")


def content_of(
    volume: Volume, path: Path, content: str = "auto", values: Mapping[int, int] | None = None
) -> tuple[bool, Volume]:
    """Whether a file holds a mask, and its values as they are meant: a mask of 0 and 1, or ids.

    Args:
        volume: as stored.
        path: of the file; label images of an OME-Zarr of `dabench predict` say by their name what they are.
        content: ``auto``, ``mask`` (what is not 0) or ``ids``.
        values: stored value to 0, 1 or 255 (of no object).

    Raises:
        DataError: neither a mask nor ids.
        ConfigError: the values can mean several things; names the flags that say which.
    """
    if volume.dtype.kind not in "bui":
        raise DataError(
            f"{path}: {volume.dtype} is neither a mask nor ids, which are whole numbers.",
            "Write a mask or instances with dabench predict, or threshold the probability.",
        )
    if content == "auto" and path.parent.name == "labels" and path.name in ("mask", "instances"):
        content = "mask" if path.name == "mask" else "ids"
    if values:
        meaning = Meaning("instance" if content == "ids" else "semantic", values)
    elif content != "auto":
        return content == "mask", volume
    else:
        meaning = meaning_of(volume, str(path), flags=_FLAGS)
    if meaning.kind == "semantic":
        return True, meaning.mask(volume, str(path))
    return False, meaning.ids(volume, str(path)) if values else volume

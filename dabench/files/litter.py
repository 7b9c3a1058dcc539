"""Files that desktops leave in folders, which are not data."""

from __future__ import annotations

_NAMES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx"}
#: Hidden files that are part of a zarr store.
_KEPT = {".zarray", ".zattrs", ".zgroup", ".zmetadata"}


def is_litter(name: str) -> bool:
    """Whether a file of this name is hidden or was left behind by a file manager (``._x``, ``Thumbs.db``)."""
    return name.lower() in _NAMES or (name.startswith(".") and name not in _KEPT)

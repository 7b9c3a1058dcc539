"""What a volume's file says beside its values: its files, names of its slices, what is not stored, what is strange.

A reader's volume may have ``files`` (all that hold its values, where that is not simply its path), ``names`` (of the
file of each slice), ``absent(slices)`` (chunks of a range of slices that are not stored, and all of them) and ``notes``
(what a user should know). Volumes that wrap another one hand these on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dabench.data.blocks import block_grid, chunks_of, read_block
from dabench.errors import DataError
from dabench.types import Block

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from dabench.interfaces import Volume
    from dabench.types import Array

#: Share of a stack of images that may be blank or absent, unless the user says another one.
MOST_BLANK = 0.5
#: Slices of a volume that stand for all.
_LOOKED_AT = 16
#: Pixels of a slice that are compared at once.
_BAND = 2**22


@dataclass(frozen=True)
class Absent:
    """Chunks (tiles, voxels) of a volume that are not stored, of all that it has."""

    missing: int
    total: int

    @property
    def share(self) -> float:
        """0 to 1."""
        return self.missing / max(self.total, 1)

    def __str__(self) -> str:
        return f"{self.missing:,} of {self.total:,} chunks ({self.share:.0%}) are not stored and read as blank"


def files_of(volume: Volume) -> tuple[Path, ...]:
    """All files that hold a volume's values; () where they are simply those of its path."""
    found: tuple[Path, ...] = getattr(_base(volume), "files", ())
    return found


def names_of(volume: Volume) -> tuple[str, ...]:
    """Name of the file of each slice, () where slices have no files of their own."""
    found: tuple[str, ...] = getattr(volume, "names", ())
    return found


def notes_of(volume: Volume) -> tuple[str, ...]:
    """What its reader found strange."""
    found: tuple[str, ...] = getattr(_base(volume), "notes", ())
    return found


def absent_of(volume: Volume) -> Absent:
    """How much of a volume is not stored, and reads as its fill value. Decodes nothing."""
    first, last, base = 0, volume.shape[0], volume
    while (inner := getattr(base, "volume", None)) is not None:
        first, last = (first + getattr(base, "first", 0), last + getattr(base, "first", 0))
        base = inner
    count = getattr(base, "absent", None)
    return Absent(*count(range(first, last))) if count is not None else Absent(0, volume.shape[0])


def need_stored(images: Volume, name: str, most: float, flag: str) -> Absent:
    """How much of images is not stored. Raises DataError past the share ``most``; ``flag`` is what allows more."""
    absent = absent_of(images)
    if absent.missing and absent.share > most:
        raise DataError(
            f"{name}: {absent}; at most {most:.0%} may.",
            f"Copy the volume again, as a whole. Where nothing was ever recorded there:  {flag} {_up(absent.share)}",
        )
    return absent


def spread(count: int) -> list[int]:
    """At most 16 evenly spaced slices."""
    return [int(z) for z in np.unique(np.linspace(0, count - 1, min(count, _LOOKED_AT)).round())]


class Blank:
    """Which slices hold one value only, found while a volume is read box by box."""

    def __init__(self, depth: int) -> None:
        """Nothing of the slices is known."""
        self._value: list[float | None] = [None] * depth
        self._varies = [False] * depth

    def see(self, values: Array, z: int) -> None:
        """A box ``(depth, height, width)`` that begins on slice ``z``."""
        for i, plane in enumerate(values, z):
            first = self._value[i] if self._value[i] is not None else plane.flat[0]
            self._value[i] = first
            self._varies[i] = self._varies[i] or bool((plane != first).any())

    def count(self) -> int:
        """Slices of which something was seen, and one value only."""
        return sum(value is not None and not varies for value, varies in zip(self._value, self._varies, strict=True))


def blank_slices(volume: Volume, slices: Iterable[int]) -> list[int]:
    """Those of some slices that hold one value only. Of a slice that does not, mostly one band of rows is read."""
    return [z for z in slices if _is_blank(volume, z)]


def need_seen(blank: int, looked_at: int, name: str, most: float, flag: str) -> None:
    """Raises DataError where more than a share of slices is blank; ``flag`` is what allows more."""
    if blank and blank / looked_at > most:
        raise DataError(
            f"{name}: {blank} of {looked_at} slices that were looked at hold one value only; at most {most:.0%} may.",
            f"Look whether all files were found. Where the volume is as it should be:  {flag} {_up(blank / looked_at)}",
        )


def _up(share: float) -> str:
    """A share rounded up, as a flag takes it."""
    return f"{np.ceil(share * 100) / 100:g}"


def _is_blank(volume: Volume, z: int) -> bool:
    _, height, width = volume.shape
    depth, rows, _ = chunks_of(volume)
    band = height if depth == 1 and height * width <= _BAND else max(1, _BAND // width // rows) * rows
    first = None
    for block in block_grid((1, height, width), (1, min(band, height), width)):
        values = read_block(volume, Block(z, block.y, 0, 1, block.height, width))
        first = values.flat[0] if first is None else first
        if (values != first).any():
            return False
    return True


def _base(volume: Volume) -> Volume:
    while (inner := getattr(volume, "volume", None)) is not None:
        volume = inner
    return volume

"""What the values of labels mean: said by the user, plain from the values, or asked. The same for every command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dabench.data.blocks import block_grid, chunks_of, read_block
from dabench.data.labels import Foreground, InstanceIds, MappedLabels
from dabench.data.origin import spread
from dabench.errors import ConfigError, DataError
from dabench.types import Block

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dabench.interfaces import Volume
    from dabench.types import Array

LabelKind = Literal["auto", "semantic", "instance"]
#: Pixels of a slice that are looked at together.
_BAND = 2**22
#: Less of it, and many values are taken for an image: no tissue consists of mitochondria alone.
_LEAST_BACKGROUND = 0.05
#: Share of neighbouring pixels above 0 that differ: in labels those along borders, in grey values most.
_MOST_BORDER = 0.5
#: Values up to this one may be classes as well as ids; of one byte, as few values may.
_CLASSES, _FEW = 5, 3
#: As many values are shown.
_SHOWN = 12


@dataclass(frozen=True)
class Flags:
    """How a command is told what values mean, for the error that asks."""

    values: str = "--label-values"
    ids: str = "for ids of objects  --label-kind instance"
    #: What takes the values for a probability, where the command knows such a thing.
    grey: str = ""

    def mend(self, values: Iterable[int]) -> str:
        """What to write, with an example of these values."""
        few = sorted(values)[:_FEW]
        example = ",".join(f"{value}:{0 if value == few[0] > 0 else _usual(value)}" for value in few)
        said = f"Give a meaning to each value (0 background, 1 mitochondrion, 255 ignore), e.g. {self.values} {example}"
        grey = f"; for a probability  {self.grey}" if self.grey else ""
        return f"{said}; {self.ids}{grey}"


@dataclass(frozen=True)
class Meaning:
    """What label values are: ``values`` are all of a semantic volume, or the exceptions among ids (see `Card`)."""

    kind: Literal["semantic", "instance"]
    values: Mapping[int, int] = field(default_factory=dict)

    def labels(self, volume: Volume, name: str) -> Volume:
        """A volume's values as 0, 1, 255. Reading raises DataError for a value that has no meaning."""
        return MappedLabels(volume, self.values, name, instances=self.kind == "instance")

    def mask(self, volume: Volume, name: str) -> Volume:
        """1 where there is a mitochondrion, else 0."""
        return Foreground(self.labels(volume, name))

    def ids(self, volume: Volume, name: str) -> Volume:
        """Ids of objects, 0 background, -1 ignored. Raises DataError for what is not stored as whole numbers."""
        return InstanceIds(volume, self.values, name)


def meaning_of(
    volume: Volume,
    name: str,
    kind: LabelKind = "auto",
    values: Mapping[int, int] | None = None,
    flags: Flags | None = None,
    *,
    whole: bool = True,
) -> Meaning:
    """What the values of labels, or of a predicted mask, mean.

    Args:
        volume: as stored.
        name: of the file, for errors.
        kind: what the user says; ``auto`` is semantic where ``values`` are given.
        values: what the user says that values are: stored value to 0, 1 or 255.
        flags: of the command that asks.
        whole: read all slices of what seems to be a mask; otherwise 16 of them (a value that turns up later is an
            error when it is read).

    Raises:
        ConfigError: the values can mean several things; names the flags that say which.
        DataError: fractions.

    Example:
        >>> meaning_of(ArrayVolume(np.array([[[0, 255]]], np.uint8)), "mask.tif")
        Meaning(kind='semantic', values={0: 0, 255: 1})
    """
    if values:
        return Meaning("semantic" if kind == "auto" else kind, dict(values))
    if kind == "instance":
        return Meaning("instance")
    flags = flags or Flags()
    seen = _Seen()
    for z in spread(volume.shape[0]):
        seen.see(volume, z, name)
    if whole and len(seen.values) <= _FEW:
        for z in range(volume.shape[0]):
            seen.see(volume, z, name, values_only=True)
    objects = seen.values - {0}
    if len(objects) <= 1 and (0 in seen.values or volume.dtype == bool) and min(objects, default=0) >= 0:
        return Meaning("semantic", {0: 0, **dict.fromkeys(objects or {1}, 1)})
    if doubt := _doubt(seen, volume.dtype, kind):
        raise ConfigError(f"{name}: holds the values {_shown(seen.values)}: {doubt}.", flags.mend(seen.values))
    return Meaning("instance")


def _doubt(seen: _Seen, dtype: np.dtype[Any], kind: LabelKind) -> str:
    """Why these values are not ids of objects beyond doubt; "" where they are."""
    objects = sorted(seen.values - {0})
    if objects[0] < 0:
        return f"{objects[0]} may mean unlabelled pixels"
    if seen.background < _LEAST_BACKGROUND and len(objects) > _FEW:
        return f"{seen.background:.1%} zeros: is this an image? Labels are 0 outside mitochondria"
    if 0 not in seen.values:
        return "no 0, which is the background in labels; some programs count classes from 1"
    if seen.differing > _MOST_BORDER and len(objects) > _FEW:
        return "most neighbouring pixels differ, as in images and probabilities"
    if dtype.kind in "ui" and objects[-1] in (255, np.iinfo(dtype).max):
        return f"{objects[-1]} may be a mitochondrion, or the value of unlabelled pixels"
    if kind == "semantic":
        return "several classes"
    few = objects[-1] <= _CLASSES or (dtype.itemsize == 1 and len(objects) <= _FEW)
    # Nobody stores classes in 32 unsigned bits; segmentation programs store ids so.
    if few and not (dtype.kind == "u" and dtype.itemsize >= 4):
        return "they may be classes (such as boundaries) or object ids"
    return ""


class _Seen:
    """Values of the slices that were looked at, the share of 0, and how often neighbours above 0 differ."""

    def __init__(self) -> None:
        self.values: set[int] = set()
        self._zeros = self._pixels = self._pairs = self._unequal = 0

    @property
    def background(self) -> float:
        return self._zeros / max(self._pixels, 1)

    @property
    def differing(self) -> float:
        return self._unequal / max(self._pairs, 1)

    def see(self, volume: Volume, z: int, name: str, *, values_only: bool = False) -> None:
        for pixels in _bands(volume, z):
            self.values |= _values(pixels, self.values, name, z)
            if values_only:
                continue
            self._zeros += int(np.count_nonzero(pixels == 0))
            self._pixels += pixels.size
            both = (pixels[:, 1:] != 0) & (pixels[:, :-1] != 0)
            self._pairs += int(both.sum())
            self._unequal += int((both & (pixels[:, 1:] != pixels[:, :-1])).sum())


def _bands(volume: Volume, z: int) -> Iterator[Array]:
    """A slice in bands of rows, ``(rows, columns)``."""
    _, height, width = volume.shape
    rows = chunks_of(volume)[1]
    band = height if height * width <= _BAND else max(1, _BAND // width // rows) * rows
    for block in block_grid((1, height, width), (1, min(band, height), width)):
        yield read_block(volume, Block(z, block.y, 0, 1, block.height, width))[0]


def _values(pixels: Array, known: set[int], name: str, z: int) -> set[int]:
    """The values of a part of a slice. Raises DataError for fractions."""
    if pixels.dtype.kind == "u" and pixels.dtype.itemsize <= 2:
        return set(np.flatnonzero(np.bincount(pixels.ravel())).tolist())
    if len(known) <= _FEW and np.isin(pixels, list(known)).all():
        return set()
    found = np.unique(pixels)
    if found.dtype.kind == "f" and not (found == np.round(found)).all():
        raise DataError(f"{name}: slice {z} holds {found[found != np.round(found)][0]}, which is not a whole number.")
    return {int(value) for value in found}


def _usual(value: int) -> int:
    """What a value most often means, for an example."""
    return {0: 0, 1: 1}.get(value, 255 if value < 0 or value == 255 else 1)


def _shown(values: set[int]) -> str:
    first = ", ".join(map(str, sorted(values)[:_SHOWN]))
    return first + (f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else "")

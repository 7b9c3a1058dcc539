"""Axes of an array: what they are called, which of them are z, y, x, and how a box of the volume lies in the array."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from dabench.plugin import Block, Choice, DataError
from dabench.types import Array

_GET_AGAIN = "Copy or download the file again, then  dabench data verify NAME"
_SAME = {
    "z": "depth slice slices plane planes section sections",
    "y": "height row rows",
    "x": "width column columns col cols",
    "channel": "c ch channels s sample samples",
    "time": "t frame frames timepoint timepoints",
}
_CALLED = {other: name for name, others in _SAME.items() for other in others.split()}
#: Names that say nothing: numbered axes of xarray and HDF5, and tifffile's letters for pages of any kind.
_NO_NAME = re.compile(r"(|i|q|(dim|axis|phony_dim)_?\d+)")


class Spatial:
    """How an array is a volume: z, y, x in any order, one place along every other axis.

    Where y and x are named and z is not, the one axis without a name is z. An array that names no axis has z, y, x in
    this order, and axes of length 1 before and after them.

    Attributes:
        names: of the array's axes; ``axis0`` and so on where it has no name for them.
        shape: (slices, rows, columns).
        at: the array's axes along z, y, x; None for z of a single picture.
        layout: what was understood, in words.
    """

    def __init__(
        self, shape: Sequence[int], where: str, names: Sequence[str | None] = (), choice: Choice | None = None
    ) -> None:
        """Find the three axes.

        Args:
            shape: of the array.
            where: the file, or the place in one, as a path that a choice may follow.
            names: what the file calls the axes; () where it does not.
            choice: what the user says.

        Raises:
            DataError: too few axes, several volumes of which none is chosen, no such axis or place, or no voxel.
        """
        self._stored, self._where = tuple(int(length) for length in shape), where
        choice = choice or Choice()
        named = self._called(tuple(choice.axes) or tuple(names))
        self.names = [name or f"axis{axis}" for axis, name in enumerate(named)]
        self._fixed = self._chosen(choice)
        self.at = self._spatial(named)
        self._fix_the_rest()
        z, y, x = (1 if axis is None else self._stored[axis] for axis in self.at)
        self.shape = (z, y, x)
        if 0 in self.shape:
            raise DataError(f"{where}: an array of shape {self._stored} holds no voxel.", _GET_AGAIN)
        self.layout = self._words(bool(any(named)))

    # ---------------------------------------------------------------------------------------------------- reading
    @property
    def in_order(self) -> bool:
        """Whether the array has z, y, x in this order."""
        found = [axis for axis in self.at if axis is not None]
        return found == sorted(found)

    def index(self, block: Block) -> tuple[int | slice, ...]:
        """Index of a box in the array."""
        index: list[int | slice] = [self._fixed.get(axis, 0) for axis in range(len(self._stored))]
        for axis, span in zip(self.at, block.slices, strict=True):
            if axis is not None:
                index[axis] = span
        return tuple(index)

    def grid(self, chunks: Sequence[int], slices: range) -> list[range]:
        """Numbers of the chunks along each axis of the array that some slices touch."""
        _, y, x = self.shape
        index = self.index(Block(slices.start, 0, 0, len(slices), y, x))
        spans = [(at.start, at.stop) if isinstance(at, slice) else (at, at + 1) for at in index]
        return [range(first // size, -(-end // size)) for (first, end), size in zip(spans, chunks, strict=True)]

    def turned(self, values: Array) -> Array:
        """What stood at an index, as ``(depth, height, width)``."""
        found = [axis for axis in self.at if axis is not None]
        rank = {axis: place for place, axis in enumerate(sorted(found))}
        turned: Array = values.transpose([rank[axis] for axis in found])
        return turned if self.at[0] is not None else turned[None]

    def of(self, values: Sequence[Any], missing: Any = 1) -> tuple[Any, Any, Any]:
        """The three entries that belong to z, y, x, of one entry an axis."""
        z, y, x = (missing if axis is None else values[axis] for axis in self.at)
        return z, y, x

    def sizes(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """Sizes along z, y, x, of one size an axis or of three in the order of the spatial axes; else as they are."""
        if len(values) == len(self._stored) != 3:
            return self.of(values)
        found = sorted(axis for axis in self.at if axis is not None)
        if len(values) != 3 or len(found) != 3:
            return tuple(values)
        return tuple(values[found.index(axis)] for axis in self.at if axis is not None)

    # ------------------------------------------------------------------------------------------------ finding axes
    def _called(self, names: tuple[str | None, ...]) -> list[str]:
        """One name an axis, "" for none."""
        if not names:
            return [""] * len(self._stored)
        if len(names) != len(self._stored):
            raise DataError(
                f"{self._where}: names {len(names)} axes ({_joined(names)}), the array has the shape {self._stored}.",
                f"Name each of them, for example  {self._where}/axes={'tczyx'[-len(self._stored) :]}",
            )
        found: list[str] = []
        for name in names:
            plain = (name or "").strip().lower()
            called = "" if _NO_NAME.fullmatch(plain) else _CALLED.get(plain, plain)
            if called and called in found:
                if called in "zyx":
                    raise DataError(f"{self._where}: names the axis {called} twice ({_joined(names)}).", self._rename())
                called = ""
            found.append(called)
        return found

    def _chosen(self, choice: Choice) -> dict[int, int]:
        fixed = {}
        for said, place in choice.at:
            name = _CALLED.get(said.lower(), said.lower())
            if name not in self.names:
                if place == 0 and name in ("channel", "time", "series"):  # the only one there is
                    continue
                raise DataError(f"{self._where}: has no axis {said!r} ({self._shown()}).", f"Leave {said}={place} out.")
            axis = self.names.index(name)
            if name in "zyx" or place >= self._stored[axis]:
                raise DataError(
                    f"{self._where}: {said}={place}: it has {self._shown()}.",
                    "A channel, time or other axis beside z, y, x counts from 0.",
                )
            fixed[axis] = place
        return fixed

    def _spatial(self, named: list[str]) -> tuple[int | None, int, int]:
        free = [axis for axis in range(len(self._stored)) if axis not in self._fixed]
        if "y" not in named or "x" not in named:
            return self._unnamed([axis for axis in free if named[axis] not in ("channel", "time")])
        y, x = named.index("y"), named.index("x")
        if "z" in named:
            return named.index("z"), y, x
        nameless = [axis for axis in free if not named[axis]]
        long = [axis for axis in nameless if self._stored[axis] != 1]
        if len(long) > 1:
            raise self._several(long, long[1:], slices=False)
        return next(iter(long or nameless[-1:]), None), y, x

    def _unnamed(self, kept: list[int]) -> tuple[int, int, int]:
        while len(kept) > 3 and self._stored[kept[0]] == 1:
            kept = kept[1:]
        while len(kept) > 3 and self._stored[kept[-1]] == 1:
            kept = kept[:-1]
        if len(kept) != 3:
            raise DataError(
                f"{self._where}: an array of shape {self._stored}; a volume has three axes (z, y, x), others of "
                "length 1.",
                self._rename() if len(kept) > 3 else _GET_AGAIN,
            )
        z, y, x = kept
        return z, y, x

    def _fix_the_rest(self) -> None:
        rest = [axis for axis in range(len(self._stored)) if axis not in self._fixed and axis not in self.at]
        long = [axis for axis in rest if self._stored[axis] != 1]
        if long:
            raise self._several(long, long, slices=self.at[0] is None)
        self._fixed |= dict.fromkeys(rest, 0)

    # ------------------------------------------------------------------------------------------------------- words
    def _several(self, axes: list[int], ask: list[int], *, slices: bool) -> DataError:
        """Several volumes along ``axes``: what to say of those that are asked for, and that they may be slices."""
        found = " and ".join(f"{self._stored[axis]} along {self.names[axis]!r}" for axis in axes)
        ends = "/".join(f"{self.names[axis]}=0" for axis in ask)
        mend = f"Say which one at the end of the path:  {self._where}/{ends}"
        mend += "  or by  --channel 0" if ends == "channel=0" else ""
        if slices:
            letters = [name if name in "zyx" else name[0] for name in self.names]
            letters[axes[0]] = "z"
            mend += f"  Where they are the slices of one volume:  {self._where}/axes={''.join(letters)}"
        return DataError(f"{self._where}: holds {found} ({self._shown()}); a volume has z, y, x alone.", mend)

    def _rename(self) -> str:
        example = "tczyx"[-len(self._stored) :]
        return f"Say what they are at the end of the path, for example  {self._where}/axes={example}/channel=0"

    def _shown(self) -> str:
        """``z, channel, y, x = (6, 2, 40, 52)``."""
        return f"{', '.join(self.names)} = {self._stored}"

    def _words(self, named: bool) -> str:
        found = dict(zip(self.at, "zyx", strict=True))
        said = [
            found.get(axis) or f"{name} {self._fixed[axis]} (of 0 to {length - 1})"
            for axis, (name, length) in enumerate(zip(self.names, self._stored, strict=True))
        ]
        return ", ".join(said) + ("" if named else " (the file does not name them)")


def _joined(names: Sequence[str | None]) -> str:
    return ", ".join(str(name) for name in names)

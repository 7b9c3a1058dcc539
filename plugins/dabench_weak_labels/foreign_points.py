"""Tables of points that Fiji and napari write, brought to columns z, y, x (voxels, z = slice from 0).

Fiji counts slices from 1: its Results table has the columns ``X Y Slice``, the list of its ROI Manager ``Type X Y Width
Height Pos Z T``. napari writes ``axis-0`` to ``axis-N``, of which the last three are z, y, x.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from dabench.plugin import DataError

#: Where a line stands, and its cells by column.
Row = tuple[str, dict[str, str]]
_AXIS = re.compile(r"axis-(\d+)")
_ONE = "Export the points of one time and channel"


def as_voxels(path: Path, columns: Sequence[str], rows: list[Row]) -> list[Row]:
    """Rows with the columns z, y, x, whatever program wrote them; rows of other tables as they are, in lower case.

    Raises:
        DataError: the table is known, and does not say which slices its points lie on; or it counts slices in an
            unknown way.
    """
    if any(_AXIS.fullmatch(column.lower()) for column in columns):
        return _napari(path, columns, rows)
    if {"Type", "Pos", "X", "Y"} <= set(columns):
        return [(where, _roi(where, row)) for where, row in _on_slices(path, "Z", "T", rows)]
    if {"Slice", "X", "Y"} <= set(columns):
        return [(where, _result(where, row)) for where, row in _on_slices(path, "Slice", "Frame", rows)]
    lower = [column.lower() for column in columns]
    if "slice" in lower and "z" not in lower:
        raise DataError(
            f"{path}: a column 'slice' may count from 0 or, as Fiji does, from 1.",
            "Name it z, counted from 0; or keep Fiji's own names:  X,Y,Slice",
        )
    return [(where, {name.lower(): cell for name, cell in row.items()}) for where, row in rows]


def _napari(path: Path, columns: Sequence[str], rows: list[Row]) -> list[Row]:
    names = sorted(
        (column for column in columns if _AXIS.fullmatch(column.lower())), key=lambda name: int(name.partition("-")[2])
    )
    for name in names[:-3]:
        found = sorted({row[name] for _, row in rows})
        if len(found) > 1:
            raise DataError(
                f"{path}: points have {len(names)} axes, and {name} has the values {', '.join(found[:5])}: z, y, x are "
                "the last three, and the others must have one.",
                f"{_ONE}.",
            )
    spatial = dict(zip(names[-3:], "zyx"[-len(names) :], strict=True))
    return [(where, {spatial.get(name, name.lower()): cell for name, cell in row.items()}) for where, row in rows]


def _on_slices(path: Path, slices: str, frames: str, rows: list[Row]) -> list[Row]:
    """The rows, checked: their points must not be told apart by frames alone."""
    if len({row.get(frames, "") for _, row in rows}) > 1 and len({row.get(slices, "") for _, row in rows}) == 1:
        raise DataError(
            f"{path}: all points lie on one slice ({slices}), and on several frames ({frames}): Fiji took the slices "
            "for times.",
            "Swap them (Image > Properties, or Hyperstacks > Re-order) and measure again, or name the columns z,y,x.",
        )
    return rows


def _result(where: str, row: dict[str, str]) -> dict[str, str]:
    return _others(row) | {"z": _slice(where, row["Slice"]), "y": row["Y"], "x": row["X"]}


def _roi(where: str, row: dict[str, str]) -> dict[str, str]:
    """The middle of a region's box; a point has a box without width."""
    if row["Type"] == "Point" and row.get("Points", "1") not in ("", "0", "1"):
        raise DataError(
            f"{where}: {row['Points']} points in one region, of which the list has only the box.",
            "In the ROI Manager: Measure, then save the Results table.",
        )
    try:
        y, x = (float(row[at]) + float(row.get(size) or 0) / 2 for at, size in (("Y", "Height"), ("X", "Width")))
    except ValueError:
        raise DataError(f"{where}: X, Y, Width, Height are not numbers: {row}") from None
    placed = row.get("Z", "0") or "0"
    return _others(row) | {"z": _slice(where, row["Pos"] if placed == "0" else placed), "y": str(y), "x": str(x)}


def _others(row: dict[str, str]) -> dict[str, str]:
    return {name: row[name] for name in ("kind", "who") if name in row}


def _slice(where: str, text: str) -> str:
    """Fiji's slice, from 1, as one that counts from 0."""
    try:
        number = int(float(text))
    except ValueError:
        number = -1
    if number < 1:
        raise DataError(
            f"{where}: slice {text!r}: Fiji counts slices from 1; 0 is a point that lies on no slice of its own.",
            "Turn on 'Stack position' (Analyze > Set Measurements) and measure again, or name the columns z,y,x.",
        )
    return str(number - 1)

"""Files of points: a CSV or JSON manifest, or the clicks of a person as ``z,y,x``.

CSV with a header: columns ``z y x`` in any order, others (``domain split seed fraction who``) are kept or ignored;
rows whose ``kind`` is ``background`` (no object is there: ``dabench annotate points``) are left out. napari's points
layer (``axis-0 axis-1 axis-2``) is read too. Without a header: three columns z, y, x. Lines that start with ``#`` are
comments. JSON: ``{"format": "dabench-points", "points": [{"z": 0, "y": 1.5, "x": 2}], ...}``.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dabench.plugin import DataError, PointAnswer, write_json, write_text

FORMAT = "dabench-points"
_NAMES = {"axis-0": "z", "axis-1": "y", "axis-2": "x", "slice": "z"}
_About = ("domain", "split", "seed", "fraction")


def write_points(answers: Sequence[PointAnswer], path: Path, about: Mapping[str, Any]) -> None:
    """Write points, sorted by slice. Suffix ``.json`` gives JSON, anything else CSV.

    Args:
        answers: points by slice.
        path: file to write, atomically.
        about: domain, split, seed, fraction; empty where not given.
    """
    rows = [(a.z, float(x), float(y), a.rater) for a in sorted(answers, key=lambda a: a.z) for x, y in a.points]
    known = {name: str(about.get(name, "")) for name in _About}
    if path.suffix == ".json":
        points = [{"z": z, "y": y, "x": x, "who": who} for z, x, y, who in rows]
        write_json(path, {"format": FORMAT, "version": 1, **known, "points": points})
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_About, "z", "y", "x", "who"])
    writer.writerows([*known.values(), z, repr(y), repr(x), who] for z, x, y, who in rows)
    write_text(path, text.getvalue())


def read_points(path: Path) -> list[PointAnswer]:
    """Read points of any of the formats; one answer a slice that has points, without a price.

    Raises:
        DataError: the file is missing, not text, or a line holds a value that is not a position; names both.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot read points: {error}") from None
    records = _json_records(path, text) if path.suffix == ".json" else _csv_records(path, text)
    slices: dict[int, list[tuple[float, float]]] = {}
    raters: dict[int, str] = {}
    for where, record in records:
        if _is_background(where, record):
            continue
        z, y, x = (_number(where, axis, record.get(axis)) for axis in "zyx")
        if z != int(z):
            raise DataError(f"{where}: z = {record['z']!r} is not a whole slice number")
        slices.setdefault(int(z), []).append((x, y))
        raters[int(z)] = str(record.get("who") or "recorded")
    return [PointAnswer(z, np.asarray(xy, dtype=np.float32), 0.0, raters[z]) for z, xy in sorted(slices.items())]


def _is_background(where: str, record: Mapping[str, Any]) -> bool:
    """Whether a person marked a place as no object. Raises DataError for a kind that is none."""
    kind = record.get("kind") or "object"
    if kind not in ("object", "background"):
        raise DataError(f"{where}: kind = {kind!r} is neither 'object' nor 'background'")
    return bool(kind == "background")


def _number(where: str, axis: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise DataError(f"{where}: {axis} = {value!r} is not a number") from None
    if not math.isfinite(number) or number < -0.5:
        raise DataError(f"{where}: {axis} = {value!r} is not a position in a volume")
    return number


def _csv_records(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    lines = ((n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip() and not line.startswith("#"))
    names: list[str] | None = None
    separator = ""
    for number, line in lines:
        separator = separator or _separator(line)
        plain = line if separator == "," else line.replace(",", ".").replace(separator, ",")  # with decimal commas
        cells = [cell.strip() for cell in next(csv.reader([plain]))]
        if names is None:
            names = _header(path, number, cells)
            if names != ["z", "y", "x"] or not _is_number(cells[0]):
                continue
        if len(cells) != len(names):
            raise DataError(
                f"{path}, line {number}: {len(cells)} values, expected {len(names)} ({', '.join(names)}): {line!r}"
            )
        yield f"{path}, line {number}", dict(zip(names, cells, strict=True))


def _separator(line: str) -> str:
    """Comma, semicolon or tab: spreadsheets of some countries write the latter."""
    return next((separator for separator in ";\t" if separator in line), ",")


def _header(path: Path, number: int, cells: list[str]) -> list[str]:
    """Column names of the first line; z, y, x where it is already a point."""
    if len(cells) == 3 and _is_number(cells[0]):
        return ["z", "y", "x"]
    names = [_NAMES.get(cell.lower(), cell.lower()) for cell in cells]
    missing = [axis for axis in "zyx" if axis not in names]
    if missing:
        raise DataError(
            f"{path}, line {number}: no column {', '.join(missing)} in {','.join(cells)!r}",
            "A points file has the columns z, y, x (pixels of the training split, z = slice from 0)."
            + (
                " These are nm: divide by the voxel size; dabench predict reads them as they are." if _nm(names) else ""
            ),
        )
    return names


def _nm(names: list[str]) -> bool:
    return all(f"{axis}_nm" in names for axis in "zyx")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _json_records(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: not JSON: {error.msg}") from None
    points: Iterable[Any] | None = content.get("points") if isinstance(content, dict) else None
    if not isinstance(points, list) or content.get("format", FORMAT) != FORMAT:
        raise DataError(f"{path}: not a points manifest (format {FORMAT!r} with a list of points)")
    for index, point in enumerate(points):
        if not isinstance(point, dict):
            raise DataError(f"{path}, point {index}: {point!r} is not an object with z, y, x")
        yield f"{path}, point {index}", point

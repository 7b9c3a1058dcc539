"""Files of points: a CSV or JSON manifest, or the clicks of a person as ``z,y,x``.

CSV with a header: columns ``z y x`` in any order, others (``domain split seed fraction who``) are kept or ignored;
tables of Fiji and napari are read too (`foreign_points`). Without a header: three columns z, y, x. A column ``kind``
says what was clicked: ``object`` (or nothing), or ``negative``, which is no object. Lines that start with ``#`` are
comments, but for ``# region z=3`` and ``# region z=3:6 y=0:256 x=100:356``: there every object was clicked (of slices
3 to 5 in rows 0 to 255). JSON: ``{"format": "dabench-points", "points": [{"z": 0, "y": 1.5, "x": 2, "kind":
"negative"}], "regions": [{"z": [3, 6], "y": [0, 256], "x": [100, 356]}], ...}``.
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

from dabench.plugin import DataError, PointAnswer, Region, Window, write_json, write_text
from dabench_weak_labels.foreign_points import as_voxels
from dabench_weak_labels.regions import read_regions, spans_of

FORMAT = "dabench-points"
#: What was clicked.
OBJECT, NEGATIVE = "object", "negative"
#: How the name of a rater begins who drew a share of the true objects.
SIMULATED = "simulated:"
_About = ("domain", "split", "seed", "fraction")
_Places = list[tuple[float, float]]


def write_points(answers: Sequence[PointAnswer], path: Path, about: Mapping[str, Any]) -> None:
    """Write points, sorted by slice. Suffix ``.json`` gives JSON, anything else CSV.

    Args:
        answers: points by slice.
        path: file to write, atomically.
        about: domain, split, seed, fraction; empty where not given.
    """
    answers = sorted(answers, key=lambda a: a.z)
    rows = [(a.z, float(x), float(y), a.rater, kind) for a in answers for kind, xy in _kinds(a) for x, y in xy]
    known = {name: str(about.get(name, "")) for name in _About}
    regions = [(a.z, region.window) for a in answers for region in a.regions or ()]
    kinds = any(kind == NEGATIVE for *_, kind in rows)
    if path.suffix == ".json":
        points = [
            {"z": z, "y": y, "x": x, "who": who} | ({"kind": kind} if kinds else {}) for z, x, y, who, kind in rows
        ]
        said = {"regions": [spans_of(*region) for region in regions]} if regions else {}
        write_json(path, {"format": FORMAT, "version": 1, **known, "points": points, **said})
        return
    text = io.StringIO()
    for region in regions:
        text.write("# region " + " ".join(f"{axis}={a}:{b}" for axis, (a, b) in spans_of(*region).items()) + "\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_About, "z", "y", "x", "who", *(["kind"] if kinds else [])])
    for z, x, y, who, kind in rows:
        writer.writerow([*known.values(), z, repr(y), repr(x), who, *([kind] if kinds else [])])
    write_text(path, text.getvalue())


def _kinds(answer: PointAnswer) -> Iterator[tuple[str, Any]]:
    yield OBJECT, answer.points
    if answer.negative is not None:
        yield NEGATIVE, answer.negative


def read_points(path: Path) -> list[PointAnswer]:
    """Read points of any of the formats; one answer per slice that the file mentions, without a price.

    Raises:
        DataError: the file is missing, not text, or a line holds a value that is not a position; names both.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot read points: {error}") from None
    json_file = path.suffix == ".json"
    records = _json_records(path, text) if json_file else _csv_records(path, text)
    clicked: dict[str, dict[int, list[tuple[float, float]]]] = {OBJECT: {}, NEGATIVE: {}}
    raters: dict[int, str] = {}
    for where, record in records:
        z, y, x = (_number(where, axis, record.get(axis)) for axis in "zyx")
        if z != int(z):
            raise DataError(f"{where}: z = {record['z']!r} is not a whole slice number")
        clicked[_kind(where, record)].setdefault(int(z), []).append((x, y))
        raters[int(z)] = str(record.get("who") or "recorded")
    regions = read_regions(path, text)
    objects, negative = clicked[OBJECT], clicked[NEGATIVE]
    return [
        _answer(z, objects.get(z, []), negative.get(z, []), regions.get(z, []), raters.get(z, "recorded"))
        for z in sorted({*objects, *negative, *regions})
    ]


def check_origin(path: Path, wanted: Mapping[str, str]) -> None:
    """Raises DataError where a file says that its points lie in another domain or split; what it leaves open fits.

    Args:
        path: a readable file of points.
        wanted: ``domain`` and ``split`` of the images that they are to be used on; "" is not compared.
    """
    text = path.read_text(encoding="utf-8-sig")
    for where, record in _json_records(path, text) if path.suffix == ".json" else _csv_records(path, text):
        for name, value in wanted.items():
            if value and (said := str(record.get(name) or value)) != value:
                raise DataError(
                    f"{where}: {name} = {said!r}, where points of {wanted['domain']}, {wanted['split']} are needed.",
                    "dabench annotate points --domain NAME --split SPLIT  clicks on the other one; the test split's "
                    "points are test prompts (--test-points FILE), the training split's train (--points FILE).",
                )


def _answer(z: int, given: _Places, refuted: _Places, windows: list[Window | None], rater: str) -> PointAnswer:
    points = np.asarray(given, np.float32).reshape(-1, 2)
    negative = np.asarray(refuted, np.float32).reshape(-1, 2) if refuted else None
    inside = [len(points) if window is None else int(window.contains(points).sum()) for window in windows]
    fair = rater.startswith(SIMULATED) and not windows  # what a run wrote of a simulated person is still a fair draw
    regions = None if fair else tuple(map(Region, windows, inside))
    return PointAnswer(z, points, 0.0, rater, negative, regions)


def _kind(where: str, record: Mapping[str, Any]) -> str:
    kind = str(record.get("kind") or OBJECT).lower()
    if kind not in (OBJECT, NEGATIVE):
        raise DataError(f"{where}: kind = {record['kind']!r}; a click is {OBJECT!r} or {NEGATIVE!r}")
    return kind


def _number(where: str, axis: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise DataError(f"{where}: {axis} = {value!r} is not a number") from None
    if not math.isfinite(number) or number < -0.5:
        raise DataError(f"{where}: {axis} = {value!r} is not a position in a volume")
    return number


def _csv_records(path: Path, text: str) -> list[tuple[str, dict[str, str]]]:
    lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip() and not line.startswith("#")]
    if not lines:
        return []
    separator = _separator(lines[0][1])
    table = [(number, line, _cells(line, separator)) for number, line in lines]
    first = table[0][2]
    headless = len(first) == 3 and _is_number(first[0])
    columns = ["z", "y", "x"] if headless else first
    rows = []
    for number, line, cells in table[0 if headless else 1 :]:
        if len(cells) != len(columns):
            raise DataError(
                f"{path}, line {number}: {len(cells)} values, expected {len(columns)} ({', '.join(columns)}): {line!r}"
            )
        rows.append((f"{path}, line {number}", dict(zip(columns, cells, strict=True))))
    rows = as_voxels(path, columns, rows)
    _need_columns(f"{path}, line {table[0][0]}", columns, list(rows[0][1]) if rows else columns)
    return rows


def _cells(line: str, separator: str) -> list[str]:
    plain = line if separator == "," else line.replace(",", ".").replace(separator, ",")  # with decimal commas
    return [cell.strip() for cell in next(csv.reader([plain]))]


def _separator(line: str) -> str:
    """Comma, semicolon or tab: spreadsheets of some countries write the latter."""
    return next((separator for separator in ";\t" if separator in line), ",")


def _need_columns(where: str, columns: list[str], names: list[str]) -> None:
    missing = [axis for axis in "zyx" if axis not in names]
    if missing:
        raise DataError(
            f"{where}: no column {', '.join(missing)} in {','.join(columns)!r}",
            "A points file has the columns z, y, x (pixels of the training split, z = slice from 0)."
            + (
                " These are nm: divide by the voxel size; dabench predict reads them as they are." if _nm(names) else ""
            ),
        )


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
    about = {name: content[name] for name in _About if name in content}
    for index, point in enumerate(points):
        if not isinstance(point, dict):
            raise DataError(f"{path}, point {index}: {point!r} is not an object with z, y, x")
        if _nm(list(point)) and "z" not in point:
            _need_columns(f"{path}, point {index}", list(point), list(point))
        yield f"{path}, point {index}", {**about, **point}

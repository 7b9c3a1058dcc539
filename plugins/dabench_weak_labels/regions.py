"""Regions in a file of points: parts of slices in which every object was clicked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dabench.plugin import DataError, Window

_LINE = re.compile(r"#\s*region\b(.*)", re.IGNORECASE)
_SPAN = re.compile(r"([zyx])=(\d+)(?::(\d+))?")
_MEND = "Write `# region z=3`, or `# region z=3:6 y=0:256 x=100:356`: from the first to the one after the last."
_Span = tuple[int, int]


def spans_of(z: int, window: Window | None) -> dict[str, _Span]:
    """A region as it is written: for each axis the first and the one after the last."""
    if window is None:
        return {"z": (z, z + 1)}
    return {"z": (z, z + 1), "y": (window.y, window.y + window.height), "x": (window.x, window.x + window.width)}


def read_regions(path: Path, text: str) -> dict[int, list[Window | None]]:
    """Regions of a file by slice; None is a whole slice. Raises DataError, with the line, for what is none."""
    found: dict[int, list[Window | None]] = {}
    for where, spans in _json_spans(path, text) if path.suffix == ".json" else _csv_spans(path, text):
        if "z" not in spans or ("y" in spans) != ("x" in spans) or any(a >= b for a, b in spans.values()):
            raise DataError(f"{where}: {dict(spans)} is no region", _MEND)
        for z in range(*spans["z"]):
            others = found.setdefault(z, [])
            window = _window(spans["y"], spans["x"]) if "y" in spans else None
            if any(_overlap(window, other) for other in others):
                raise DataError(f"{where}: regions of slice {z} overlap: their objects would count twice")
            others.append(window)
    return found


def _window(y: _Span, x: _Span) -> Window:
    return Window(y[0], x[0], y[1] - y[0], x[1] - x[0])


def _overlap(one: Window | None, other: Window | None) -> bool:
    if one is None or other is None:
        return True
    rows = one.y < other.y + other.height and other.y < one.y + one.height
    return rows and one.x < other.x + other.width and other.x < one.x + one.width


def _csv_spans(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, _Span]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if match := _LINE.match(line):
            words = match[1].split()
            spans = [_SPAN.fullmatch(word) for word in words]
            if None in spans:
                raise DataError(f"{path}, line {number}: {line!r} is no region", _MEND)
            found = {m[1]: (int(m[2]), int(m[3] or int(m[2]) + 1)) for m in spans if m}
            yield f"{path}, line {number}", found


def _json_spans(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, _Span]]]:
    regions: Sequence[Any] = json.loads(text).get("regions", [])
    for index, region in enumerate(regions):
        where = f"{path}, region {index}"
        try:
            yield where, {axis: _json_span(region[axis]) for axis in "zyx" if axis in region}
        except (TypeError, ValueError):
            raise DataError(f"{where}: {region!r} is no region", 'Write {"z": [3, 6], "y": [0, 256], …}.') from None


def _json_span(value: Any) -> _Span:
    first, last = (value, value + 1) if isinstance(value, int) else value
    if not (isinstance(first, int) and isinstance(last, int) and first >= 0):
        raise ValueError(value)
    return first, last

"""Files of densely labelled crops.

Lines of JSON, one per crop: ``{"z": 3, "window": [y, x, height, width], "labels": "<PNG in base64>", "who": "anna"}``;
the picture's values are 0 background, 1 object, 255 left open. Or what a person paints: a TIFF stack over the whole
training split with the same values, 255 wherever nothing was painted; every connected part that is not 255 is a crop.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.ndimage import find_objects, label

from dabench.plugin import IGNORE, Array, DataError, Window, write_text

_VALUES = (0, 1, IGNORE)


def write_crops(
    crops: Sequence[tuple[int, Window, Array, Mapping[str, Any]]], path: Path, about: Mapping[str, Any]
) -> None:
    """Write slice, window, labels and further values of every crop."""
    lines = [
        json.dumps({"z": z, "window": [w.y, w.x, w.height, w.width], **more, **about, "labels": _png(labels)})
        for z, w, labels, more in crops
    ]
    write_text(path, "".join(f"{line}\n" for line in lines))


def read_crops(path: Path) -> list[tuple[int, Window, Array, str]]:
    """Slice, window, labels and rater of every crop. Raises DataError with the file, and the line where it has any."""
    if path.suffix.lower() in (".tif", ".tiff"):
        return list(_painted(path))
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot read crops: {error}") from None
    return [_crop(f"{path}, line {number}", line) for number, line in enumerate(lines, 1) if line.strip()]


def _crop(where: str, line: str) -> tuple[int, Window, Array, str]:
    try:
        content = json.loads(line)
        window = Window(*(int(number) for number in content["window"]))
        with Image.open(io.BytesIO(base64.b64decode(content["labels"], validate=True))) as picture:
            labels = np.array(picture)
        z, who = int(content["z"]), str(content.get("who") or "recorded")
    except (ValueError, KeyError, TypeError, OSError, binascii.Error) as error:
        raise DataError(f"{where}: no crop: {type(error).__name__}: {error}") from None
    if labels.shape != (window.height, window.width):
        raise DataError(f"{where}: labels of {labels.shape}, the window has {window.height} x {window.width} pixels.")
    return z, window, _checked(labels, where), who


def _painted(path: Path) -> Iterator[tuple[int, Window, Array, str]]:
    import tifffile

    try:
        stack = tifffile.imread(path)
    except (OSError, ValueError, tifffile.TiffFileError) as error:
        raise DataError(f"{path}: cannot read crops: {error}") from None
    if stack.ndim not in (2, 3):
        raise DataError(f"{path}: {stack.ndim} axes; painted crops are slices x rows x columns.")
    for z, plane in enumerate(stack.reshape(-1, *stack.shape[-2:])):
        labels = _checked(plane, f"{path}, slice {z}")
        parts, _ = label(labels != IGNORE)
        for number, place in enumerate(find_objects(parts), 1):
            rows, columns = place
            window = Window(rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)
            own = np.where(parts[place] == number, labels[place], IGNORE).astype(np.uint8)
            yield z, window, own, "recorded"


def _checked(labels: Array, where: str) -> Array:
    """Labels as uint8. Raises DataError for other values than 0, 1 and 255."""
    foreign = np.setdiff1d(np.unique(labels), _VALUES)
    if foreign.size:
        raise DataError(
            f"{where}: value {foreign[0]}; labels of crops are 0 background, 1 object, 255 not painted.",
            "Where objects have ids, make them 1.",
        )
    return labels.astype(np.uint8)


def _png(labels: Array) -> str:
    buffer = io.BytesIO()
    Image.fromarray(labels.astype(np.uint8)).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()

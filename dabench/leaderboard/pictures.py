"""Pictures of the page: read from run folders, made small, written into the page itself."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path

import numpy as np

from dabench.leaderboard.board import CellLink, Standing
from dabench.ops.pictures import jpeg

#: All pictures of a page together, in bytes of JPEG: what a browser opens without a wait and a mail still takes.
MOST_BYTES = 8_000_000
#: Longest side in pixels: of one picture, and of a strip of several stages.
_SIDE, _STRIP_SIDE = 512, 1280
#: Folder of the pictures that a run writes for slices that no method has picked.
_FIXED = "last"
_NAME = re.compile(r"(?P<kind>slice|truth)-(?P<z>\d{1,9})(-(?P<why>\w{1,20}))?\.(png|jpg)")


@dataclass(frozen=True)
class Picture:
    """One slice as one cell predicted it; ``entry`` is "" for the truth. ``strip`` shows all stages of the run."""

    entry: str
    task: str
    seed: int
    z: int
    strip: bool
    note: str = ""
    src: str = field(default="", repr=False)


@dataclass(frozen=True)
class Album:
    """Pictures that a page holds, and how many it does not: for want of room, and because they cannot be read."""

    pictures: tuple[Picture, ...] = ()
    no_room: int = 0
    unreadable: int = 0
    size: int = 0


def make_album(standings: Sequence[Standing], room: int = MOST_BYTES) -> Album:
    """Pictures of the first finished seed of each entry and task, embedded as JPEG while there is room.

    What compares are pictures of slices that no method has picked (``panels/last``); a run without them gives its
    strips (``panels/slice-0004-median.png``). Truth goes first, then one slice of every entry, then the next one:
    a crowded page leaves out slices, not methods.

    Args:
        standings: entries whose cells name their pictures.
        room: bytes of JPEG that the pictures may take.
    """
    kept: list[Picture] = []
    unreadable, size, found = 0, 0, _in_order(standings)
    for number, (path, picture) in enumerate(found):
        jpeg, comment = _read(path, _STRIP_SIDE if picture.strip else _SIDE)
        if size + len(jpeg) > room:
            return Album(tuple(kept), len(found) - number, unreadable, size)
        if jpeg:
            src = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
            kept.append(replace(picture, note=picture.note or comment, src=src))
        size, unreadable = size + len(jpeg), unreadable + (not jpeg)
    return Album(tuple(kept), 0, unreadable, size)


def _in_order(standings: Sequence[Standing]) -> list[tuple[Path, Picture]]:
    truths: dict[tuple[str, int], tuple[Path, Picture]] = {}
    columns = []
    for standing in standings:
        for cell in _first_cells(standing):
            column = []
            for path, picture in _pictures(standing.entry, cell):
                if picture.entry:
                    column.append((path, picture))
                else:
                    truths.setdefault((picture.task, picture.z), (path, picture))
            columns.append(column)
    overlays = [item for row in zip_longest(*columns) for item in row if item is not None]
    return [*truths.values(), *overlays]


def _first_cells(standing: Standing) -> list[CellLink]:
    """One finished cell a task: that of the lowest seed."""
    cells = sorted((c for c in standing.cells if c.status == "ok" and c.panels), key=lambda c: (c.task, -c.seed))
    return list({cell.task: cell for cell in cells}.values())


def _pictures(entry: str, cell: CellLink) -> Iterator[tuple[Path, Picture]]:
    paths = [Path(cell.path, panel) for panel in cell.panels]
    fixed = [path for path in paths if path.parent.name == _FIXED]
    for path in sorted(fixed or paths):
        if name := _NAME.fullmatch(path.name):
            note = f"its {name['why']} slice" if name["why"] else ""
            shown = entry if name["kind"] == "slice" else ""
            yield path, Picture(shown, cell.task, cell.seed, int(name["z"]), not fixed, note)


def _read(path: Path, side: int) -> tuple[bytes, str]:
    """The picture as a small JPEG, with its comment; no bytes where it cannot be read: it may be a stranger's."""
    from PIL import Image

    try:
        with Image.open(path, formats=("JPEG", "PNG")) as image:
            comment = image.info.get("comment", b"")
            picture = jpeg(np.asarray(image.convert("RGB")), side=side, quality=66)
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError):
        return b"", ""
    return picture, comment.decode("ascii", "replace")[:40] if isinstance(comment, bytes) else ""

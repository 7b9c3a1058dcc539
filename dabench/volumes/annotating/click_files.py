"""The clicks of all raters: a file for each, and one that a run reads, in which an object is clicked once.

Beside ``clicks.csv`` lies the folder ``clicks`` with a CSV and a log of each rater (`RaterClicks`). Raters see their
own clicks only. `merged` says what becomes of them in ``clicks.csv``.
"""

from __future__ import annotations

import csv
import fcntl
import io
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
from scipy.spatial.distance import cdist

from dabench.errors import ConfigError
from dabench.volumes.annotating.clicks import RaterClicks, Row, write_clicks

#: Pixels within which clicks of two raters mean the same object, unless another distance is given.
SAME = 12.0
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass
class Clicks:
    """The clicks of one output file. One process at a time holds it; its threads may share it.

    Args:
        path: of the CSV of all.
        shape: (slices, rows, columns) of the volume.
        about: domain and split, where it is one.
        same: pixels within which clicks of two raters mean the same object.
    """

    path: Path
    shape: tuple[int, int, int]
    about: Mapping[str, str] = field(default_factory=dict)
    same: float = SAME

    def __post_init__(self) -> None:
        """Continue what is there. Raises ConfigError, or DataError for a damaged log or one of other images."""
        self.folder = self.path.with_suffix("")
        if self.folder == self.path:
            raise ConfigError(
                f"{self.path}: the name of the file of clicks must end in .csv.", f"--output {self.path}.csv"
            )
        if self.path.exists() and not self.folder.is_dir():
            raise ConfigError(f"{self.path}: exists, and was not written by this page.", "Choose another name.")
        self._check_images()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock, self._held = threading.Lock(), self._hold()
        logs = sorted(self.folder.glob("*.log.jsonl"))
        self._raters = {name: self._open(name) for name in (log.name.removesuffix(".log.jsonl") for log in logs)}
        self.save()

    def _check_images(self) -> None:
        """Raises ConfigError where the CSV says that its clicks are of another domain or split."""
        rows = csv.DictReader(io.StringIO(self.path.read_text() if self.path.exists() else ""))
        for row in rows:
            there, here = (", ".join(filter(None, map(about.get, ("domain", "split")))) for about in (row, self.about))
            if there != here:
                raise ConfigError(
                    f"{self.path}: contains clicks on {there or 'a file'}, not on {here or 'a file'}.",
                    "Choose another name.",
                )

    def _hold(self) -> IO[str]:
        held = (self.folder / ".lock").open("a")
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            held.close()
            raise ConfigError(f"{self.folder}: another dabench annotate is using it.", "Use its page.") from None
        return held

    def close(self) -> None:
        """Let another process have the files."""
        for clicks in self._raters.values():
            clicks.close()
        self._held.close()

    @property
    def raters(self) -> dict[str, RaterClicks]:
        """Those who have clicked, by name."""
        return {name: clicks for name, clicks in sorted(self._raters.items()) if clicks.seconds() or clicks.standing()}

    def of(self, name: str) -> RaterClicks:
        """A rater's own clicks. Raises ConfigError for an invalid name."""
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"name {name!r}: small letters, digits, '.', '_' and '-', beginning with a letter or digit."
            )
        with self._lock:
            if name not in self._raters:
                self._raters[name] = self._open(name)
            return self._raters[name]

    def _open(self, name: str) -> RaterClicks:
        return RaterClicks(self.folder / f"{name}.csv", self.shape, self.about)

    def save(self) -> None:
        """Write the CSV of all raters."""
        with self._lock:
            write_clicks(self.path, merged([c.rows() for _, c in sorted(self._raters.items())], self.same), self.about)


def merged(raters: Sequence[Sequence[Row]], same: float) -> list[Row]:
    """One row for each place that was clicked.

    Clicks of different raters on one slice that lie within a distance of each other mean the same place, nearest ones
    first, at most one of each rater. Its row lies in their middle, names all who clicked it, with the seconds of all.
    Where one says that there is an object and another that there is none, neither counts.

    Args:
        raters: rows of each rater.
        same: that distance, in pixels.

    Example:
        >>> anna = [Row(Click(z=0, y=10, x=10), "anna", 1.0)]
        >>> ben = [Row(Click(z=0, y=12, x=10), "ben", 2.0), Row(Click(z=0, y=50, x=10), "ben", 1.5)]
        >>> [(row.click.y, row.who, row.seconds) for row in merged([anna, ben], same=12)]
        [(11.0, 'anna+ben', 3.0), (50.0, 'ben', 1.5)]
    """
    places: dict[int, list[list[Row]]] = {}
    for rows in raters:
        for z in dict.fromkeys(row.click.z for row in rows):
            known = places.setdefault(z, [])
            _join(known, [row for row in rows if row.click.z == z], same)
    agreed = (rows for known in places.values() for rows in known if len({row.click.kind for row in rows}) == 1)
    return [_middle(rows) for rows in agreed]


def _join(known: list[list[Row]], rows: list[Row], same: float) -> None:
    """Add a rater's rows of a slice to the places that others clicked, or as new ones."""
    if not known:
        known += [[row] for row in rows]
        return
    distances = cdist(
        [_place(row) for row in rows], [np.mean([_place(row) for row in place], axis=0) for place in known]
    )
    joined: dict[int, int] = {}
    for i, k in zip(*np.unravel_index(np.argsort(distances, axis=None), distances.shape), strict=True):
        if distances[i, k] <= same and i not in joined and k not in joined.values():
            joined[int(i)] = int(k)
    for i, k in joined.items():
        known[k].append(rows[i])
    known += [[row] for i, row in enumerate(rows) if i not in joined]


def _place(row: Row) -> tuple[float, float]:
    return row.click.y, row.click.x


def _middle(rows: Sequence[Row]) -> Row:
    y, x = np.mean([_place(row) for row in rows], axis=0)
    click = rows[0].click.model_copy(update={"y": float(y), "x": float(x)})
    return Row(click, "+".join(row.who for row in rows), sum(row.seconds for row in rows))

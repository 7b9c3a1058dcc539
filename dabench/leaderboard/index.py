"""A flat index of all runs of a workspace, so that a leaderboard of many thousands opens at once.

It is a cache: whatever it holds can be read again from the run directories, so a damaged one is made again, and where
the workspace cannot be written to, it is kept in memory for the time of one command.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from dabench.checking.report import FAILED
from dabench.errors import DataError
from dabench.files.workspace import Workspace
from dabench.interfaces.counting import counted_by
from dabench.interfaces.observer import Observer
from dabench.leaderboard.checked import quickly_checked
from dabench.leaderboard.metric import Metric
from dabench.leaderboard.rows import Row, order, row_of
from dabench.tracking.journal import JOURNAL
from dabench.tracking.record import Costs
from dabench.tracking.run_reader import read_run

#: Raised when rows are to be read differently: then the next refresh reads every run anew.
FORMAT = 4
_TABLE = """CREATE TABLE IF NOT EXISTS runs (
  folder TEXT PRIMARY KEY, mtime_ns INTEGER NOT NULL, size INTEGER NOT NULL, error TEXT, row TEXT, slices BLOB)"""
_BATCH = 500

#: What a journal looked like when it was read: its time of change in ns, its size in bytes.
Fingerprint = tuple[int, int]
#: No journal looks like this: a run with something wrong is read again each time, as it may be mended.
_AGAIN: Fingerprint = (0, 0)


def index_path(workspace: Workspace) -> Path:
    """The file of a workspace's index."""
    return workspace.root / "index.db"


@dataclass(frozen=True)
class Refreshed:
    """What a refresh did: run folders read, those left alone, those that are gone, and what was wrong with others."""

    read: tuple[str, ...]
    unchanged: int
    dropped: tuple[str, ...]
    damaged: tuple[str, ...]


class Index:
    """The index of one workspace. Use it as a context manager: ``with Index(workspace) as index: index.refresh()``."""

    def __init__(self, workspace: Workspace) -> None:
        """Open ``<workspace>/index.db``, or make it."""
        self._runs = workspace.runs
        self._db = _open(index_path(workspace))

    def refresh(self, *, anew: bool = False, observer: Observer | None = None) -> Refreshed:
        """Read the runs whose journals have changed since, and drop those that are gone.

        A damaged run is kept as its message, so that it neither stops the others nor is read again.

        Args:
            anew: read every run.
            observer: told of runs as they are read.
        """
        there = dict(_journals(self._runs))
        known = {} if anew else self._fingerprints()
        changed = sorted(folder for folder, seen in there.items() if known.get(folder) != seen)
        dropped = sorted(set(self._fingerprints()) - set(there))
        entries = (self._entry(folder, there[folder]) for folder in counted_by(observer, changed, "reading runs"))
        while batch := list(islice(entries, _BATCH)):
            self._store(batch)
        with self._db:
            self._db.executemany("DELETE FROM runs WHERE folder = ?", ((folder,) for folder in dropped))
        errors = self._db.execute("SELECT error FROM runs WHERE error IS NOT NULL ORDER BY folder")
        damaged = tuple(str(error) for (error,) in errors)
        return Refreshed(tuple(changed), len(there) - len(changed), tuple(dropped), damaged)

    def rows(self) -> list[Row]:
        """All rows, in an order that does not depend on how they came in."""
        found = self._db.execute("SELECT folder, row, slices FROM runs WHERE row IS NOT NULL")
        return sorted((self._row(*values) for values in found), key=order)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Index:
        """The index itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    # ------------------------------------------------------------------------------------------------------- entries
    def _fingerprints(self) -> dict[str, Fingerprint]:
        found = self._db.execute("SELECT folder, mtime_ns, size FROM runs")
        return {folder: (mtime, size) for folder, mtime, size in found}

    def _store(self, entries: Sequence[tuple[Any, ...]]) -> None:
        with self._db:
            self._db.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?)", entries)

    def _entry(self, folder: str, seen: Fingerprint) -> tuple[Any, ...]:
        try:
            row = quickly_checked(row_of(read_run(self._runs / folder)), self._runs / folder)
        except DataError as error:
            return (folder, *seen, str(error), None, None)
        except Exception as error:  # a stranger's bundle may be wrong in any way, and must not hide the other runs
            return (folder, *seen, f"{folder} cannot be read: {type(error).__name__}: {error}", None, None)
        values = asdict(row)
        del values["path"]
        values["panels"] = [str(Path(p).relative_to(row.path)) for p in row.panels]
        values["scores"] = list(row.scores.items())
        values["slices"] = [(metric, len(scores)) for metric, scores in row.slices.items()]
        blob = b"".join(np.asarray(scores, np.float64).tobytes() for scores in row.slices.values())
        seen = _AGAIN if row.checked == FAILED else seen
        return (folder, *seen, None, json.dumps(values), blob)

    def _row(self, folder: str, text: str, blob: bytes) -> Row:
        values = json.loads(text)
        path = str(self._runs / folder)
        numbers, slices, start = np.frombuffer(blob, np.float64), {}, 0
        for parts, length in values["slices"]:
            slices[Metric(*parts)] = numbers[start : start + length]
            start += length
        panels = tuple(f"{path}/{name}" for name in values["panels"])
        scores = {Metric(*parts): value for parts, value in values["scores"]}
        costs = Costs(*values["costs"])
        return Row(**values | {"scores": scores, "costs": costs, "path": path, "panels": panels, "slices": slices})


def read_index(workspace: Workspace, anew: bool, observer: Observer | None = None) -> tuple[list[Row], tuple[str, ...]]:
    """All rows of a workspace, and what is wrong with others; an index that turns out damaged is made again.

    Args:
        workspace: whose runs.
        anew: read every run, not only what changed.
        observer: told of runs as they are read.
    """
    try:
        return _refreshed(workspace, anew, observer)
    except (sqlite3.DatabaseError, ValueError, TypeError, KeyError):  # torn, and all is in the run directories
        index_path(workspace).unlink(missing_ok=True)
        return _refreshed(workspace, True, observer)


def _refreshed(workspace: Workspace, anew: bool, observer: Observer | None) -> tuple[list[Row], tuple[str, ...]]:
    with Index(workspace) as index:
        report = index.refresh(anew=anew, observer=observer)
        return index.rows(), report.damaged


def _journals(runs: Path) -> Iterator[tuple[str, Fingerprint]]:
    """Run folders with what their journals look like now."""
    if not runs.is_dir():
        return
    with os.scandir(runs) as entries:
        for entry in entries:
            if entry.is_dir():
                with suppress(FileNotFoundError, NotADirectoryError):
                    found = os.stat(f"{entry.path}/{JOURNAL}")  # noqa: PTH116 - a Path each is slow for 10,000
                    yield entry.name, (found.st_mtime_ns, found.st_size)


def _open(path: Path) -> sqlite3.Connection:
    """The database, made again where it is damaged or of another format; in memory where it cannot be written."""
    if not path.parent.is_dir():
        return _connect(":memory:")  # no workspace yet: looking at it does not make one
    try:
        return _connect(str(path))
    except sqlite3.OperationalError:
        return _connect(":memory:")
    except sqlite3.DatabaseError:
        path.unlink()
        return _connect(str(path))


def _connect(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=30)
    try:
        with db:
            if db.execute("PRAGMA user_version").fetchone()[0] != FORMAT:
                db.execute("DROP TABLE IF EXISTS runs")
                db.execute(f"PRAGMA user_version = {FORMAT}")
            db.execute(_TABLE)
            db.execute("DELETE FROM runs WHERE folder = ''")  # fails here, not later, where it may not be written
    except BaseException:
        db.close()
        raise
    return db

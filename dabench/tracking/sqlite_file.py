"""The file of a SQLite store: made whole, set aside when its birth was cut off, mended after a move."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from dabench.errors import DabenchError
from dabench.files.workspace import SQLITE, sqlite_uri

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


class TrackingError(DabenchError):
    """The MLflow store cannot be used. No result is lost: the run directories hold everything."""


def open_store(
    path: Path, connect: Callable[[str], MlflowClient], uri: str, warn: Callable[[str], None]
) -> MlflowClient:
    """Connect to a store in a file; call it under the store's lock.

    A new file gets its tables under another name first: MLflow does not finish tables that it was killed in making.
    A file like that, from elsewhere, is set aside.

    Raises TrackingError for a file that is no MLflow store, at once: MLflow itself would try again for minutes.
    """
    stray = Path(uri.removeprefix(SQLITE)).parent
    was_there = stray.exists()
    try:
        if path.exists() and tables_of(path) and _holds_nothing(path) and not _opens(path, connect):
            aside = _set_aside(path)
            warn(f"MLflow store {path}: its creation was interrupted; it is created again. Old file: {aside.name}")
        if not path.exists() or not tables_of(path):
            _make(path, connect)
        return connect(uri)
    finally:
        # MLflow makes the folder that the address names before it is decoded.
        if not was_there and stray != path.parent:
            with suppress(OSError):
                stray.rmdir()


def _make(path: Path, connect: Callable[[str], MlflowClient]) -> None:
    part = path.with_name(f".{path.name}.new")
    part.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    connect(sqlite_uri(part))
    part.replace(path)


def _opens(path: Path, connect: Callable[[str], MlflowClient]) -> bool:
    """Whether MLflow opens a copy: it would keep the connection to a file that is then set aside."""
    copy = path.with_name(f".{path.name}.copy")
    shutil.copyfile(path, copy)
    try:
        connect(sqlite_uri(copy))
    except Exception:
        return False
    finally:
        copy.unlink()
    return True


def tables_of(path: Path) -> set[str]:
    """Names of the tables of a file; none of an empty one. Raises TrackingError for what is no store of MLflow."""
    if path.is_dir():
        raise TrackingError(f"MLflow store {path}: is a folder.", "Move it away, then: dabench results sync")
    try:
        with closing(_open(path)) as db:
            found = {str(name) for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.DatabaseError as error:
        mend = "No result is lost. When the file is repaired or moved away: dabench results sync"
        raise TrackingError(f"MLflow store {path}: cannot be used: {error}.", mend) from None
    if found and not found & {"experiments", "alembic_version"}:
        mend = "Move the file away, or name another store: --tracker sqlite:///PATH"
        raise TrackingError(
            f"MLflow store {path}: a database of another program ({', '.join(sorted(found)[:3])}).", mend
        )
    return found


def _holds_nothing(path: Path) -> bool:
    """Whether there is nothing that could be lost: no run and no registered model."""
    with closing(_open(path)) as db:
        return all(_is_empty(db, table) for table in ("runs", "registered_models"))


def _is_empty(db: sqlite3.Connection, table: str) -> bool:
    try:
        return db.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is None
    except sqlite3.OperationalError:  # no such table
        return True


def _set_aside(path: Path) -> Path:
    names = (path.with_name(f"{path.name}.unfinished{number or ''}") for number in range(1000))
    aside = next(name for name in names if not name.exists())
    return path.replace(aside)


def move_locations(path: Path, old: str, new: str) -> None:
    """Let every location in a store that begins with ``old`` begin with ``new``, in one transaction.

    MLflow keeps absolute locations of artifacts, of experiments, runs and models, and has no call that changes them.
    """
    with closing(_open(path)) as db, db:
        for table in sorted(tables_of(path)):
            for column in _texts(db, table):
                db.execute(
                    f'UPDATE "{table}" SET "{column}" = ? || substr("{column}", ?) WHERE substr("{column}", 1, ?) = ?',
                    (new, len(old) + 1, len(old), old),
                )


def _texts(db: sqlite3.Connection, table: str) -> Iterable[str]:
    columns = db.execute(f'PRAGMA table_info("{table}")').fetchall()
    return [name for _, name, kind, *_ in columns if kind.upper().startswith(("VARCHAR", "TEXT"))]


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=rw", uri=True, timeout=10)

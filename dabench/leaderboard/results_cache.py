"""Results of long computations, kept in the workspace's index by what they were computed from."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

_TABLE = "CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, used INTEGER NOT NULL, value TEXT NOT NULL)"
_NEXT = "(SELECT IFNULL(MAX(used), 0) + 1 FROM results)"
#: Results that are kept, those used last.
_KEPT = 500


class ResultsCache:
    """Remembers JSON-like values by key. A file that cannot be used is as if nothing were remembered."""

    def __init__(self, path: Path | None = None) -> None:
        """Remember in an existing SQLite file; None remembers nothing."""
        self._path = path

    def recall(self, key: str) -> Any:
        """The value of a key, None where there is none."""

        def find(db: sqlite3.Connection) -> Any:
            found = db.execute("SELECT value FROM results WHERE key = ?", (key,)).fetchone()
            if found is None:
                return None
            db.execute(f"UPDATE results SET used = {_NEXT} WHERE key = ?", (key,))
            return json.loads(found[0])

        return self._try(find)

    def keep(self, key: str, value: Any) -> None:
        """Remember a value; what has not been used for longest is forgotten."""

        def store(db: sqlite3.Connection) -> None:
            db.execute(f"INSERT OR REPLACE INTO results VALUES (?, {_NEXT}, ?)", (key, json.dumps(value)))
            oldest = "SELECT key FROM results ORDER BY used DESC LIMIT -1 OFFSET ?"
            db.execute(f"DELETE FROM results WHERE key IN ({oldest})", (_KEPT,))

        self._try(store)

    def _try(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        """Do something with the file. Its errors are ignored: this is only a cache."""
        if self._path is None or not self._path.is_file():
            return None
        try:
            with closing(sqlite3.connect(self._path, timeout=10)) as db, db:
                db.execute(_TABLE)
                return work(db)
        except (sqlite3.Error, ValueError):
            return None

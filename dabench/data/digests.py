"""SHA-256 of files and folders, remembered by size and time of change so that opening a domain stays cheap."""

from __future__ import annotations

import hashlib
import json
import threading
from typing import TYPE_CHECKING

from dabench.files import digest_file, digest_of, write_json

if TYPE_CHECKING:
    from pathlib import Path


class DigestCache:
    """Digests of file contents, kept in one JSON file (or, without one, in memory).

    An entry holds while the file's size and time of change stay the same; `verify` goes past it with ``fresh``.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Remember where the entries lie; they are read at the first question."""
        self._path = path
        self._entries: dict[str, list[object]] | None = None
        self._lock = threading.Lock()

    def of(self, path: Path, *, fresh: bool = False) -> str:
        """SHA-256 of a file's bytes, or of a folder's file names and their digests."""
        with self._lock:
            before = len(self._known())
            result = self._folder(path, fresh) if path.is_dir() else self._file(path, fresh)
            if fresh or len(self._known()) != before:
                self._save()
            return result

    def _folder(self, path: Path, fresh: bool) -> str:
        names = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
        return digest_of([(p.name, self._file(p, fresh)) for p in names])

    def _file(self, path: Path, fresh: bool) -> str:
        status = path.stat()
        key = hashlib.sha256(f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}".encode()).hexdigest()[:32]
        known = self._known().get(key)
        if known is None or fresh:
            known = [digest_file(path), path.name]
            self._known()[key] = known
        return str(known[0])

    def _known(self) -> dict[str, list[object]]:
        if self._entries is None:
            self._entries = {}
            if self._path is not None and self._path.is_file():
                try:
                    self._entries = json.loads(self._path.read_text(encoding="utf-8"))
                except ValueError:
                    self._entries = {}  # a cache that cannot be read is made again
        return self._entries

    def _save(self) -> None:
        if self._path is None:
            return
        try:
            write_json(self._path, self._known())
        except OSError:
            self._path = None  # a workspace that cannot be written: keep the digests in memory

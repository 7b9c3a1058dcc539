"""SHA-256 of files and folders, remembered by size and time of change so that opening a domain stays cheap."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from dabench.errors import DataError
from dabench.files.atomic import write_json
from dabench.files.digests import digest_file, digest_of
from dabench.files.litter import is_litter
from dabench.interfaces.choice import split_choice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: Files whose presence makes a folder a zarr store.
_ZARR = ("zarr.json", ".zgroup", ".zarray")
#: Folder of a zarr store whose label images are volumes of their own: adding one leaves the images what they were.
_LABELS = "labels"


def container(path: Path) -> Path | None:
    """The file or folder that holds a volume: ``path`` itself, or the file of which it names a part (``scan.h5/raw``).

    What the end of a path chooses (``scan.zarr/channel=1``) is left out.

    Returns:
        None where neither is there.
    """
    path, _ = split_choice(path)
    if path.exists():
        return path
    return next((parent for parent in path.parents if parent.is_file()), None)


class DigestCache:
    """Digests of file contents, kept in one JSON file (or, without one, in memory).

    An entry holds while the file's size and time of change stay the same; `verify` goes past it with ``fresh``.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Remember where the entries lie; they are read at the first question."""
        self._path = path
        self._entries: dict[str, list[object]] | None = None
        self._lock = threading.Lock()

    def of(self, path: Path, files: Sequence[Path] = (), *, fresh: bool = False) -> str:
        """SHA-256 of a file's bytes, of a folder's file names and their digests, or of a zarr store with all below it.

        A volume inside a file has the digest of the file and its place there; a zarr store has one without its label
        images; what desktops leave behind does not count. ``files`` are all that hold the volume's values
        (`dabench.data.origin`): of a folder only these count, of a file also those that it links to.

        Raises:
            OSError: a path is not there.
        """
        with self._lock:
            before = len(self._known())
            result = self._linked(path, files, fresh) if files else self._of(path, fresh)
            if fresh or len(self._known()) != before:
                self._save()
            return result

    def _linked(self, path: Path, files: Sequence[Path], fresh: bool) -> str:
        if path.is_dir():
            return digest_of([(p.name, self._file(p, fresh)) for p in sorted(files)])
        held = (container(path) or path).resolve()
        others = [file for file in files if file.resolve() != held]
        own = self._of(path, fresh)
        return digest_of([own, [(p.name, self._file(p, fresh)) for p in others]]) if others else own

    def _of(self, path: Path, fresh: bool) -> str:
        file = container(path) or path
        if file.is_dir() and file != path:
            return digest_of([self._of(file, fresh), path.relative_to(file).as_posix()])
        if file != path:
            return digest_of([self._file(file, fresh), path.relative_to(file).as_posix()])
        if not path.is_dir():
            return self._file(path, fresh)
        if path.suffix == ".zarr" or any((path / name).is_file() for name in _ZARR):
            return self._store(path, fresh)
        return self._folder(path, fresh)

    def _folder(self, path: Path, fresh: bool) -> str:
        names = sorted(p for p in path.iterdir() if p.is_file() and not is_litter(p.name))
        return digest_of([(p.name, self._file(p, fresh)) for p in names])

    def _store(self, path: Path, fresh: bool) -> str:
        """One entry for a whole store: it may have a hundred thousand files."""
        files = sorted(_walk(str(path)))
        state = hashlib.sha256(repr((str(path.resolve()), files)).encode()).hexdigest()[:32]
        return self._remembered(
            state, path.name, fresh, lambda: digest_of([(name, digest_file(path / name)) for name, _, _ in files])
        )

    def _file(self, path: Path, fresh: bool) -> str:
        status = path.stat()
        key = hashlib.sha256(f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}".encode()).hexdigest()[:32]
        return self._remembered(key, path.name, fresh, lambda: digest_file(path))

    def _remembered(self, key: str, name: str, fresh: bool, compute: Callable[[], str]) -> str:
        known = self._known().get(key)
        if known is None or fresh:
            known = [compute(), name]
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


def _walk(root: str, below: str = "") -> Iterator[tuple[str, int, int]]:
    """Every file of a zarr store below a folder: relative name, bytes, time of change in ns. Links are followed.

    Raises:
        DataError: a link leads nowhere.
    """
    with os.scandir(f"{root}/{below}") as entries:
        for entry in entries:
            name = f"{below}/{entry.name}" if below else entry.name
            if is_litter(entry.name):
                continue
            if not entry.is_dir():
                status = _status(root, name)
                yield name, status.st_size, status.st_mtime_ns
            elif below or entry.name != _LABELS:
                yield from _walk(root, name)


def _status(root: str, name: str) -> os.stat_result:
    try:
        return Path(root, name).stat()
    except FileNotFoundError:
        raise DataError(f"{root}/{name}: a link that leads nowhere.", "Copy what it links to.") from None

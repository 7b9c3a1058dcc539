"""Append-only JSON lines: a run's journal and its loss curves.

A journal line is one ``write`` followed by ``fsync``, so a kill leaves at most one torn line, at the end. Readers leave
a torn last line out; a damaged line anywhere else is an error that names it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from dabench.errors import DataError
from dabench.files.atomic import atomic
from dabench.tracking.events import Event, from_line, to_line

JOURNAL = "journal.jsonl"


class Journal:
    """Writes the journal of one run directory. Opening it again continues it."""

    def __init__(self, run_dir: Path) -> None:
        """Make the directory if need be, and cut off a line that an earlier process left torn."""
        self.path = Path(run_dir) / JOURNAL
        self.path.parent.mkdir(parents=True, exist_ok=True)
        cut_torn_line(self.path)

    def append(self, event: Event) -> None:
        """Write one event; when this returns, it is on the disk."""
        line = (to_line(event) + "\n").encode()
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            written = os.write(handle, line)
            if written != len(line):  # disk full: the torn line is cut off at the next start
                raise OSError(f"{self.path.name}: only {written} of {len(line)} bytes could be written (disk full?)")
            os.fsync(handle)
        finally:
            os.close(handle)


def read_journal(path: Path) -> list[Event]:
    """All events of a journal that this version knows. Raises DataError naming file and line."""
    events = []
    for number, line in read_lines(path):
        try:
            event = from_line(line)
        except ValueError as error:
            raise _damaged(path, number, line, error) from None
        if event is not None:
            events.append(event)
    return events


@dataclass(frozen=True)
class Curve:
    """Losses of one stage: for each named term its steps and values, in order."""

    terms: Mapping[str, tuple[list[int], list[float]]]

    def __bool__(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.terms)


class CurveLog:
    """Writes ``curves/<stage>.jsonl``: one line per update, buffered. Use it as a context manager.

    ``start`` is the first update that will be logged: lines from there on, left by a killed process, are dropped.
    """

    def __init__(self, path: Path, start: int = 0) -> None:
        """Keep the lines before ``start`` and open the file for more."""
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._rewind(start)
        self._file: IO[str] = self.path.open("a", encoding="utf-8")

    def _rewind(self, start: int) -> None:
        if not self.path.exists():
            return
        kept = [line for step, line in _curve_lines(self.path) if step < start]
        with atomic(self.path) as part:
            part.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def append(self, step: int, terms: Mapping[str, float]) -> None:
        """Log the named terms of one update."""
        self._file.write(json.dumps({"step": step, **terms}, separators=(",", ":")) + "\n")

    def flush(self) -> None:
        """Hand buffered lines to the system; call it with every checkpoint."""
        self._file.flush()

    def __enter__(self) -> CurveLog:
        """The log itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self._file.close()


def read_curve(path: Path) -> Curve:
    """Read a curve; where a step occurs twice, the later line counts. Raises DataError naming file and line."""
    rows = {step: json.loads(line) for step, line in _curve_lines(path)}
    terms: dict[str, tuple[list[int], list[float]]] = {}
    for step in sorted(rows):
        for name, value in rows[step].items():
            if name == "step":
                continue
            steps, values = terms.setdefault(name, ([], []))
            steps.append(step)
            values.append(float(value))
    return Curve(terms)


def _curve_lines(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in read_lines(path):
        try:
            yield int(json.loads(line)["step"]), line
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(path, number, line, error) from None


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered whole lines of a file of JSON lines; a last one without its end is torn and left out."""
    data = Path(path).read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    for number, line in enumerate(whole.split(b"\n")[:-1], start=1):
        yield number, line.decode("utf-8", errors="replace")


def cut_torn_line(path: Path) -> None:
    """Cut off what follows the last line's end, so that the next line does not grow out of a torn one."""
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole != len(data):
        os.truncate(path, whole)


def _damaged(path: Path, number: int, line: str, error: Exception) -> DataError:
    where = "/".join(Path(path).parts[-2:])
    seen = line if len(line) <= 60 else f"{line[:60]}…"
    return DataError(
        f"{where}, line {number} is damaged ({error}): {seen!r}",
        "Restore the file from a copy, or remove that line, or run the cell again with --no-cache.",
    )

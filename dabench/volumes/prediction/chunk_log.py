"""What of a prediction is done: a file that is only added to, and that fits one configuration."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dabench.errors import ConfigError

FORMAT = "dabench-prediction"
#: Name of the file in the folder of an output in the making.
CHUNK_LOG = "manifest.jsonl"


class ChunkLog:
    """The journal of one output in the making.

    Its first line is the configuration, every other one a chunk or a phase that is done. A line is on the disk before
    the next step begins; a half-written last line counts as not written.

    Args:
        path: of the file.
        configuration: all that decides the bytes of the result, as JSON values.
    """

    def __init__(self, path: Path, configuration: Mapping[str, Any]) -> None:
        """Begin, or continue what is there. Raises ConfigError naming what differs from what is there."""
        self.path = path
        self.configuration = json.loads(json.dumps(configuration))
        lines = list(_lines(path))
        #: Whether another process did a part of the work.
        self.continues = bool(lines)
        #: Chunks that are done, with their foreground voxels.
        self.chunks: dict[int, int] = {line["chunk"]: line["foreground"] for line in lines if "chunk" in line}
        self.phases: dict[str, Any] = {line["phase"]: line.get("value") for line in lines if "phase" in line}
        if lines:
            _compare(lines[0]["configuration"], self.configuration, path.parent)
            _end_line(path)
        else:
            path.unlink(missing_ok=True)
            self._append({"format": FORMAT, "version": 1, "configuration": self.configuration})

    def chunk_done(self, number: int, foreground: int) -> None:
        """A chunk's voxels are on the disk."""
        self._append({"chunk": number, "foreground": foreground})
        self.chunks[number] = foreground

    def phase_done(self, name: str, value: Any = None) -> None:
        """A phase after the chunks is complete; ``value`` is what it found."""
        self._append({"phase": name, "value": value})
        self.phases[name] = value

    def _append(self, line: Mapping[str, Any]) -> None:
        with self.path.open("ab") as handle:
            handle.write(json.dumps(line, sort_keys=True).encode() + b"\n")
            handle.flush()
            os.fsync(handle.fileno())


def begun_with(path: Path) -> Mapping[str, Any]:
    """The configuration that a chunk log was begun with; empty where there is none."""
    found: Mapping[str, Any] = next(_lines(path), {}).get("configuration", {})
    return found


def phases_done(path: Path) -> set[str]:
    """Phases that a chunk log of whatever configuration has."""
    return {line["phase"] for line in _lines(path) if "phase" in line}


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Whole lines; a file without a whole first line is empty."""
    if not path.is_file():
        return
    for number, text in enumerate(path.read_bytes().splitlines()):
        try:
            line = json.loads(text)
        except ValueError:
            if number == 0:
                return
            continue
        yield line


def _end_line(path: Path) -> None:
    """End a half-written last line, so that the next one stands alone."""
    with path.open("r+b") as handle:
        handle.seek(-1, os.SEEK_END)
        if handle.read(1) != b"\n":
            handle.write(b"\n")


def _compare(there: Mapping[str, Any], here: Mapping[str, Any], folder: Path) -> None:
    differences = [
        f"{key}: {_short(there.get(key))} before, {_short(here.get(key))} now"
        for key in sorted(there.keys() | here.keys())
        if there.get(key) != here.get(key)
    ]
    if differences:
        raise ConfigError(
            f"{folder}: was started with other settings:\n  " + "\n  ".join(differences),
            f"To continue, use the same options. To start again, delete the folder:  rm -r {folder}",
        )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

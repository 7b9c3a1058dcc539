"""One rater's clicks on slices: a log that is only appended to, and the same as CSV.

The log lies beside the CSV (``clicks/anna.csv`` and ``clicks/anna.log.jsonl``), one JSON object per line::

    {"n": 1, "add": {"z": 3, "y": 412.5, "x": 77.2, "kind": "object"}, "who": "anna", "seconds": 1.9, "time": ...}
    {"n": 2, "remove": 1, "who": "anna", ...}      a click is taken away
    {"n": 3, "undo": 2, "who": "anna", ...}        a step is taken back

``kind`` is ``object`` (a centre) or ``negative`` ("there is none here"); both stand in the CSV. A
negative click trains nothing; it judges a model that finds something there.
"""

from __future__ import annotations

import csv
import io
import json
import os
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dabench.errors import ConfigError, DataError
from dabench.files.atomic import write_text
from dabench.volumes.annotating.server import StaleError

Kind = Literal["object", "negative"]
COLUMNS = ("domain", "split", "z", "y", "x", "who", "kind", "seconds")


class Click(BaseModel):
    """A place on a slice, in pixels (0 is the centre of the first), and what is there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    z: int = Field(ge=0)
    y: float = Field(ge=-0.5, allow_inf_nan=False)
    x: float = Field(ge=-0.5, allow_inf_nan=False)
    kind: Kind = "object"


class _Step(BaseModel):
    """A line of the log."""

    model_config = ConfigDict(frozen=True, extra="allow")

    n: int = Field(ge=1)
    who: str
    seconds: float = Field(0.0, ge=0, allow_inf_nan=False)
    add: Click | None = None
    remove: int | None = None
    undo: int | None = None


class Row(NamedTuple):
    """A line of the CSV: a place, and who clicked it in how many seconds."""

    click: Click
    who: str
    seconds: float


def write_clicks(path: Path, rows: Iterable[Row], about: Mapping[str, str]) -> None:
    """Write the CSV that ``--points`` reads, sorted by slice; ``about`` has its domain and split, where it is one."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    place = [about.get("domain", ""), about.get("split", "")]
    for c, who, seconds in sorted(rows, key=lambda row: row.click.z):
        writer.writerow([*place, c.z, f"{c.y:.2f}", f"{c.x:.2f}", who, c.kind, f"{seconds:.2f}"])
    write_text(path, text.getvalue())


@dataclass
class RaterClicks:
    """The clicks of one rater; threads may share them.

    Args:
        path: of the CSV.
        shape: (slices, rows, columns) of the volume.
        about: domain and split, where it is one.
    """

    path: Path
    shape: tuple[int, int, int]
    about: Mapping[str, str]

    def __post_init__(self) -> None:
        """Continue a log, or begin one. Raises DataError for a damaged log or one of other images."""
        self.who = self.path.stem
        self.log = self.path.with_name(f"{self.who}.log.jsonl")
        self._lock = threading.Lock()
        self._steps: dict[int, _Step] = {}
        self._file = self._open()
        self._save()

    def _open(self) -> IO[bytes]:
        handle = self.log.open("a+b")
        handle.seek(0)
        content = handle.read()
        whole = content[: content.rfind(b"\n") + 1]  # a crash may have cut the last line off
        os.ftruncate(handle.fileno(), len(whole))
        for number, line in enumerate(whole.splitlines(), 1):
            self._read(f"{self.log}, line {number}", line)
        return handle

    def _read(self, where: str, line: bytes) -> None:
        try:
            step = _Step.model_validate_json(line)
        except ValidationError as error:
            raise DataError(f"{where}: {error.errors()[0]['msg']}: {line[:60].decode(errors='replace')!r}") from None
        if step.add and not self._inside(step.add):
            raise DataError(
                f"{where}: {step.add} lies outside {self.shape} (slices, rows, columns). Was it made on other images?"
            )
        self._steps[step.n] = step

    def close(self) -> None:
        """Write no more."""
        self._file.close()

    # -------------------------------------------------------------------------------------------------------- reading
    def standing(self) -> dict[int, Click]:
        """The clicks that are there now, by the number of their step."""
        undone = {step.undo for step in self._steps.values()}
        steps = [step for step in self._steps.values() if step.n not in undone]
        removed = {step.remove for step in steps}
        return {step.n: step.add for step in steps if step.add and step.n not in removed}

    def counts(self) -> dict[str, int]:
        """Centres, slices that have some, and places without an object."""
        clicks = self.standing().values()
        kinds = Counter(click.kind for click in clicks)
        slices = len({click.z for click in clicks if click.kind == "object"})
        return {"objects": kinds["object"], "slices": slices, "negative": kinds["negative"]}

    def rows(self) -> list[Row]:
        """The clicks that are there now, in their order."""
        return [Row(click, self.who, self._steps[n].seconds) for n, click in sorted(self.standing().items())]

    def seconds(self) -> float:
        """That all steps took, those taken back too."""
        return sum(step.seconds for step in self._steps.values())

    # -------------------------------------------------------------------------------------------------------- writing
    def add(self, click: Click, seconds: float) -> int:
        """Add a click; its slice. Raises ConfigError for one outside of the images."""
        if not self._inside(click):
            raise ConfigError(f"z={click.z}, y={click.y:g}, x={click.x:g} lies outside {self.shape}.")
        self._append(seconds, add=click.model_dump())
        return click.z

    def remove(self, number: int, seconds: float) -> int:
        """Take a click away; its slice. Raises StaleError where it is not there any more."""
        with self._lock:
            click = self.standing().get(number)
        if click is None:
            raise StaleError("This click no longer exists.")
        self._append(seconds, remove=number)
        return click.z

    def undo(self, seconds: float) -> int:
        """Take the last step back; the slice it was on. Raises StaleError where there is none."""
        undone = {step.undo for step in self._steps.values()}
        own = [s for s in self._steps.values() if s.undo is None and s.n not in undone]
        if not own:
            raise StaleError("There is nothing to undo.")
        self._append(seconds, undo=own[-1].n)
        added = own[-1] if own[-1].add else self._steps[own[-1].remove or 0]
        assert added.add is not None
        return added.add.z

    def _append(self, seconds: float, **what: Any) -> None:
        """Write a step: when this returns, it is on disk, and the CSV says it."""
        with self._lock:
            now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            record = {"n": max(self._steps, default=0) + 1, **what, "who": self.who, "seconds": seconds, "time": now}
            step = _Step.model_validate(record)
            self._file.write(json.dumps(record).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            self._steps[step.n] = step
            self._save()

    def _save(self) -> None:
        write_clicks(self.path, self.rows(), self.about)

    def _inside(self, click: Click) -> bool:
        depth, height, width = self.shape
        return click.z < depth and click.y < height - 0.5 and click.x < width - 0.5

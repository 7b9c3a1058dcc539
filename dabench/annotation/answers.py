"""Answer files of a preference data set: one JSON object per line, one file per rater, only ever appended to.

An answer: ``{"n": 7, "question": "q00003", "shown": [2, 0, 1], "answer": "tie", "chosen": [0, 2], "seconds": 3.4,
"time": "2026-03-01T10:00:00Z", "repeat": false}``. ``shown`` is the order of the candidates on the page and ``chosen``
counts as the data set stores them. Taken back: ``{"n": 8, "undo": 7, "time": ...}``.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dabench.errors import DataError
from dabench.files.printable import printable_values

Kind = Literal["choose", "tie", "bad", "skip"]
_Index = Annotated[int, Field(ge=0, strict=True)]
_Number = Annotated[int, Field(ge=1, strict=True)]


class Answer(BaseModel):
    """What a rater said to one question.

    Attributes:
        n: running number of the line in the rater's file, from 1.
        question: id of the question.
        shown: the candidates' stored indices in the order in which they were shown.
        answer: ``choose`` one, ``tie`` of two or more equally good ones, all ``bad``, or ``skip``.
        chosen: stored indices of the best candidates; empty for ``bad`` and ``skip``.
        seconds: that the rater took.
        time: ISO 8601, UTC.
        repeat: whether the question had been answered before and was asked again, to see whether the answers agree.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    n: _Number
    question: str = Field(min_length=1)
    shown: tuple[_Index, ...] = Field(min_length=1)
    answer: Kind
    chosen: tuple[_Index, ...] = ()
    seconds: float = Field(ge=0, allow_inf_nan=False)
    time: str = ""
    repeat: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Answer:
        if sorted(self.shown) != list(range(len(self.shown))):
            raise ValueError("shown names every candidate once")
        if len(set(self.chosen)) != len(self.chosen) or not set(self.chosen) <= set(self.shown):
            raise ValueError("chosen names candidates that were shown, each once")
        fits = {"choose": len(self.chosen) == 1, "tie": len(self.chosen) > 1}.get(self.answer, not self.chosen)
        if not fits:
            raise ValueError("one is chosen, two or more tie, and none where all are bad or the question was skipped")
        return self


class _Undo(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")

    n: _Number
    undo: _Number
    time: str = ""


@dataclass(frozen=True)
class AnswerFile:
    """What a rater's file holds: the answers that stand, how many lines were read, and what was cut off at its end."""

    answers: tuple[Answer, ...]
    last: int = 0
    cut: str = ""


def read_answers(path: Path, text: str | None = None) -> AnswerFile:
    """Read a rater's file, answers that were taken back left out.

    A crash can cut the last line off; it is left out and said in ``cut``. Empty lines are skipped.

    Args:
        path: names the file in errors.
        text: its content; read from ``path`` unless given.

    Raises:
        DataError: the file cannot be read, or a line is not what it should be; names file, line and value.
    """
    if text is None:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: cannot read answers: {error}") from None
    *lines, tail = text.split("\n")
    standing: dict[int, Answer] = {}
    last = 0
    for number, line in enumerate(lines, 1):
        if line.strip():
            last = _read_line(f"{path}, line {number}", line, last, standing)
    cut = ""
    if tail.strip():
        where = f"{path}, line {len(lines) + 1}"
        if _is_json(tail):
            last = _read_line(where, tail, last, standing)
        else:
            cut = f"{where}: was cut off while it was written and is left out: {tail[:60]!r}"
    return AnswerFile(tuple(standing.values()), last, cut)


def _read_line(where: str, line: str, last: int, standing: dict[int, Answer]) -> int:
    """Take one line into ``standing``; its number."""
    record = _parse(where, line)
    if record.n <= last:
        raise DataError(f"{where}: n = {record.n}, but the line before has {last}; numbers grow.")
    if isinstance(record, Answer):
        standing[record.n] = record
    elif standing.pop(record.undo, None) is None:
        raise DataError(f"{where}: undo = {record.undo} is no answer that stands before it.")
    return record.n


def _parse(where: str, line: str) -> Answer | _Undo:
    try:
        values = printable_values(json.loads(line))
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON: {error.msg}: {line[:60]!r}") from None
    if not isinstance(values, dict):
        raise DataError(f"{where}: {line[:60]!r} is no JSON object.")
    try:
        return (_Undo if "undo" in values else Answer).model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"]) or "line"
        raise DataError(f"{where}: {key} = {problem['input']!r}: {problem['msg']}") from None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True


class AnswerLog:
    """Appends to one rater's file. Remembers what it read, so that an answer costs the same after thousands."""

    def __init__(self, path: Path) -> None:
        """Nothing is read or written yet."""
        self.path, self._size = path, 0
        self._last, self._standing = 0, dict[int, Answer]()

    def append(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Append one line and return it as it was written, on disk when this returns (fsync).

        ``n`` and ``time`` are filled in where they are missing. Safe among threads and processes. A tail that a crash
        cut off was never confirmed and is removed first.

        Raises:
            DataError: the record is not a legal answer or undo, or the file is damaged; nothing was written.
        """
        with self.path.open("a+b") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if handle.seek(0, os.SEEK_END) != self._size:
                self._read(handle)
            line = {"n": self._last + 1, **record}
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            line.setdefault("time", now.replace("+00:00", "Z"))
            text = json.dumps(line)
            self._last = _read_line(str(self.path), text, self._last, self._standing)
            handle.write(text.encode() + b"\n")
            handle.flush()
            os.fsync(handle.fileno())
            self._size = handle.tell()
        return line

    def _read(self, handle: BinaryIO) -> None:
        """Read a file of another program, and end its last line."""
        handle.seek(0)
        content = handle.read()
        found = read_answers(self.path, content.decode("utf-8"))
        self._last, self._standing = found.last, {answer.n: answer for answer in found.answers}
        if found.cut:
            os.ftruncate(handle.fileno(), content.rfind(b"\n") + 1)
        elif content and not content.endswith(b"\n"):
            handle.write(b"\n")


def decisive(answers: Sequence[Answer]) -> dict[str, Answer]:
    """The answer that counts for each question: the first that is not ``skip``; what comes later repeats it."""
    found: dict[str, Answer] = {}
    for answer in answers:
        if answer.answer != "skip":
            found.setdefault(answer.question, answer)
    return found

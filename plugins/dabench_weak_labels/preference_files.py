"""Files of preferences as they were before data sets: one JSON object per line, one line per answer. Read, not written.

``{"who": "anna", "when": "2026-03-01T10:00:00Z", "patch": [z, y, x, h, w], "candidates": [sha256, ...], "choice": 2,
"seconds": 4.1}``. ``candidates`` are SHA-256 digests of the masks that were shown (`dabench.ops.choice`), ``choice`` is
an index into them or null for "cannot say".
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dabench.plugin import DataError, PreferenceAnswer, Window

_Index = Annotated[int, Field(ge=0, strict=True)]
_Side = Annotated[int, Field(ge=1, strict=True)]
_Digest = Annotated[str, Field(pattern=re.compile(r"^[0-9a-f]{64}$"))]


class PreferenceLine(BaseModel):
    """One line; unknown keys are kept out of the answer but allowed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    who: str = Field(min_length=1)
    when: str = ""
    patch: tuple[_Index, _Index, _Index, _Side, _Side]
    candidates: tuple[_Digest, ...] = Field(min_length=1)
    choice: _Index | None
    seconds: float = Field(ge=0, allow_inf_nan=False)

    def answer(self) -> PreferenceAnswer:
        """The line as an answer."""
        z, y, x, height, width = self.patch
        window = Window(y, x, height, width)
        chosen = () if self.choice is None else (self.choice,)
        return PreferenceAnswer(z, window, chosen, self.seconds, self.who, self.when, self.candidates)


def read_preferences(path: Path) -> list[PreferenceAnswer]:
    """Read answers; empty lines are skipped.

    Raises:
        DataError: the file is missing, or a line is not what it should be; names line, key and value.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot read preferences: {error}") from None
    numbered = enumerate(text.split("\n"), 1)
    return [_read_line(f"{path}, line {number}", line) for number, line in numbered if line.strip()]


def _read_line(where: str, text: str) -> PreferenceAnswer:
    try:
        line = PreferenceLine.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"]) or "line"
        raise DataError(f"{where}: {key} = {problem['input']!r}: {problem['msg']}") from None
    if line.choice is not None and line.choice >= len(line.candidates):
        raise DataError(f"{where}: choice = {line.choice}, but only {len(line.candidates)} candidates were shown")
    return line.answer()

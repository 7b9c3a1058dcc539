"""The record of a suite as a file of a bundle: its suite, and which cell is which row. Nothing in it is believed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dabench.checking.paths import is_cell_id
from dabench.errors import DataError
from dabench.files.problems import problems
from dabench.files.workspace import Workspace
from dabench.tracking.record import HERE

_NAME = re.compile(r"[a-z0-9]+([-./+]?[a-z0-9]+)*")
#: What the name of a suite ends with where it came without an origin and another of its name was here.
_ANOTHER = "imported"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class ListedCell(_Part):
    """A cell of a suite: its row, its place on the axes, its setting; ``excluded`` says why it does not run."""

    row: str
    cell_id: str
    place: dict[str, Any]
    setting: list[str] = []
    excluded: str = ""


class SuiteRecord(_Part):
    """``suites/<name>/manifest.json``."""

    name: str = Field(max_length=200)
    threads: int = 1
    title: str = ""
    suite: dict[str, Any]
    cells: list[ListedCell] = Field(min_length=1)


@dataclass(frozen=True)
class TakenSuite:
    """A suite of a bundle: its name, the name that it has here, and whether its record is new here."""

    name: str
    kept_as: str
    is_new: bool


def is_suite_name(text: str) -> bool:
    """Whether a suite may be called so; no name leads out of the folder of suites."""
    return len(text) <= 200 and bool(_NAME.fullmatch(text))


def suite_file(name: str) -> str:
    """Where the record of a suite lies in a bundle."""
    return f"suites/{name.replace('/', '__')}/manifest.json"


def read_suite_file(path: Path) -> tuple[str, bytes]:
    """The suite's name in a record, and the record's bytes. Raises DataError for what is no record of a suite."""
    try:
        data = path.read_bytes()
        found = SuiteRecord.model_validate_json(data)
    except FileNotFoundError:
        raise DataError(f"there is no record of a suite in {path.parent.name}.", "Run the suite first.") from None
    except ValidationError as error:
        raise DataError(f"not a record of a suite: {problems(error, SuiteRecord, key='key')[0][:300]}") from None
    if not is_suite_name(found.name):
        raise DataError(f"{found.name[:80]!r} is not a valid suite name.")
    if strange := [cell.cell_id for cell in found.cells if not is_cell_id(cell.cell_id)]:
        raise DataError(f"{strange[0][:80]!r} is not a valid cell name.")
    return found.name, data


def taken_suite(workspace: Workspace, name: str, record: dict[str, Any], origin: str) -> TakenSuite:
    """Under which name a workspace keeps a record: its own, or one beside where that is taken by another content."""
    beside = f"{name}@{_ANOTHER if origin == HERE else origin}"
    for kept_as in (name, beside, *(f"{beside}-{number}" for number in range(2, 1000))):
        here = workspace.suite(kept_as) / "manifest.json"
        if not here.is_file():
            return TakenSuite(name, kept_as, True)
        if _same(here, record):
            return TakenSuite(name, kept_as, False)
    raise DataError(f"suite {name}: the workspace already has 1000 others of that name.")


def _same(here: Path, record: dict[str, Any]) -> bool:
    """Whether a record here says the same, however many threads its jobs had; a damaged one says nothing."""
    try:
        found = json.loads(here.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and {**found, "threads": 1} == {**record, "threads": 1}

"""A run directory as it lies there, read file by file: nothing in it is believed, and a damaged file hides no other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dabench.checking.paths import is_origin
from dabench.errors import DabenchError, DataError
from dabench.files.digests import digest_of
from dabench.files.problems import problems
from dabench.runs.config import FORMER, RunConfig, validate_config
from dabench.tracking.events import Event, InputData
from dabench.tracking.journal import JOURNAL, read_journal
from dabench.tracking.record import HERE, ORIGIN, RunRecord
from dabench.tracking.run_reader import read_run

_SHA = r"^[0-9a-f]{64}$"


class UnreadableError(DataError):
    """A file of a run is not there or not what it should be. ``file`` is its name."""

    def __init__(self, file: str, message: str) -> None:
        """Say which file it is, and why."""
        super().__init__(message)
        self.file = file


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class InputEntry(_Part):
    """A split that the run read."""

    name: str
    digest: str
    context: str = ""
    source: str = ""


class StageEntry(_Part):
    """A stage's key, the digest of its final weights, and that of the code that trains it ("" in older receipts)."""

    key: str = Field(pattern=r"^[0-9a-f]{8,64}$")
    weights: str = Field(pattern=_SHA)
    source: str = Field("", pattern=r"^([0-9a-f]{64})?$")


class JournalEntry(_Part):
    """The journal as it was when the receipt was written."""

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=_SHA)


class Receipt(_Part):
    """``receipt.json``; version 1 knows nothing of the journal."""

    version: int = 1
    cell_id: str
    dabench_version: str = "0.1.0"
    inputs: list[InputEntry]
    pretrained: dict[str, str] = {}
    stages: dict[str, StageEntry]
    outputs: dict[str, str]
    journal: JournalEntry | None = None


class RunFiles:
    """The files of one run directory. Every property raises UnreadableError, naming its file."""

    def __init__(self, path: Path) -> None:
        """Nothing is read yet."""
        self.path = path.resolve()

    @cached_property
    def settings(self) -> dict[str, Any]:
        """``config.json`` as it stands."""
        return self.json("config.json")

    @cached_property
    def config(self) -> RunConfig:
        """``config.json``, validated."""
        try:
            return validate_config(self.settings)
        except DabenchError as error:
            raise UnreadableError("config.json", f"config.json: {error}") from None

    @property
    def cell_id(self) -> str:
        """The cell that the settings in ``config.json`` name.

        The digest is taken over the values as they stand: a setting that was added to dabench later does not rename
        an older run.
        """
        given = dict(self.settings)
        if "settings" in given:  # written since settings of methods stand apart
            given |= {**dict.fromkeys(FORMER), **given["settings"]}
        known = {key: given[key] for key in self.config.identity() if key in given}
        return f"{self.config.cell_id.rpartition('-')[0]}-{digest_of(known)[:8]}"

    @cached_property
    def origin(self) -> str:
        """Whose run it is: `HERE`, or what an import wrote."""
        if not (self.path / ORIGIN).exists():
            return HERE
        origin = self.json(ORIGIN).get("origin")
        if not isinstance(origin, str) or not is_origin(origin):
            raise UnreadableError(ORIGIN, f"{ORIGIN}: {str(origin)[:60]!r} is not a valid origin.")
        return origin

    @cached_property
    def journal(self) -> bytes:
        """The bytes of the journal."""
        return self.bytes(JOURNAL)

    @cached_property
    def events(self) -> list[Event]:
        """All events of the journal, of every attempt."""
        self.bytes(JOURNAL)
        try:
            return read_journal(self.path / JOURNAL)
        except Exception as error:  # a stranger's line may be anything
            raise UnreadableError(JOURNAL, str(error)) from None

    @cached_property
    def record(self) -> RunRecord:
        """What the journal says of the last attempt."""
        self.bytes(JOURNAL)
        try:
            return read_run(self.path)
        except Exception as error:  # as above
            raise UnreadableError(JOURNAL, str(error)) from None

    @cached_property
    def receipt(self) -> Receipt:
        """``receipt.json``, validated."""
        try:
            return Receipt.model_validate(self.json("receipt.json"))
        except ValidationError as error:
            first = problems(error, Receipt, key="key")[0]
            raise UnreadableError("receipt.json", f"receipt.json: {first[:300]}") from None

    @cached_property
    def environment(self) -> dict[str, Any]:
        """``environment.json``."""
        return self.json("environment.json")

    @property
    def has_receipt(self) -> bool:
        """Whether there is a receipt, readable or not."""
        return (self.path / "receipt.json").is_file()

    def json(self, name: str) -> dict[str, Any]:
        """A file that holds one JSON object."""
        try:
            values = json.loads(self.bytes(name))
        except (ValueError, RecursionError) as error:
            raise UnreadableError(name, f"{name} is not valid JSON: {str(error)[:120]}") from None
        if not isinstance(values, dict):
            raise UnreadableError(name, f"{name} holds a {type(values).__name__}, not an object.")
        return values

    def bytes(self, name: str) -> bytes:
        """A file's content; a link is not followed."""
        path = self.path / name
        if path.is_symlink() or not path.is_file():
            raise UnreadableError(name, f"{name} is missing." if not path.is_symlink() else f"{name} is a link.")
        return path.read_bytes()


def same_input(entry: InputEntry, data: InputData) -> bool:
    """Whether receipt and journal name the same split with the same content."""
    return (entry.name, entry.digest, entry.context) == (data.name, data.digest, data.context)


def differences(first: Mapping[str, Any], second: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any, Any]]:
    """Dotted names of settings that differ, with both values; one that is not there is None."""
    found: list[tuple[str, Any, Any]] = []
    for key in sorted({*first, *second}):
        one, two = first.get(key), second.get(key)
        if isinstance(one, Mapping) and isinstance(two, Mapping):
            found += differences(one, two, f"{prefix}{key}.")
        elif one != two or type(one) is not type(two):
            found.append((f"{prefix}{key}", one, two))
    return found

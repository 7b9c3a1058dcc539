"""Weights that the user added: safetensors files with a recorded digest. Nothing here ever unpickles code."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from safetensors.torch import save_file

from dabench.errors import ConfigError, WeightsError
from dabench.files.atomic import write_json, write_with
from dabench.files.digests import digest_file
from dabench.training.checkpoint import read_weights


@dataclass(frozen=True)
class WeightsRecord:
    """One entry: its name, digest of the stored file, number of parameters and the file it came from."""

    name: str
    sha256: str
    parameters: int
    tensors: int
    origin: str
    origin_sha256: str
    added: str


class WeightsStore:
    """``<workspace>/weights``: one ``NAME.safetensors`` and ``NAME.json`` an entry."""

    def __init__(self, root: Path) -> None:
        """The folder is made by the first `add`."""
        self.root = root

    def add(self, name: str, file: Path) -> WeightsRecord:
        """Copy weights into the store under a name.

        Key prefixes left by data-parallel wrappers (``module.``) are stripped. Raises WeightsError for a damaged file
        or a pickle that would run code, ConfigError for a bad or taken name.
        """
        if not re.fullmatch(r"[a-z0-9][a-z0-9._+-]*", name):
            raise ConfigError(f"weights name {name!r}: use lower-case letters, digits and . _ + -")
        tensors = {key.removeprefix("module."): value.contiguous().clone() for key, value in read_weights(file).items()}
        if not tensors:
            raise WeightsError(f"{file}: holds no tensors.")
        origin = digest_file(file)
        earlier = self._record(name)
        if earlier is not None and earlier.origin_sha256 != origin:
            raise ConfigError(
                f"weights {name!r} exist already with other content ({earlier.origin}).", "Choose another name."
            )
        write_with(self.path_of(name), lambda part: save_file(tensors, part))
        record = WeightsRecord(
            name,
            digest_file(self.path_of(name)),
            sum(t.numel() for t in tensors.values()),
            len(tensors),
            file.name,
            origin,
            datetime.now(UTC).isoformat(timespec="seconds"),
        )
        write_json(self.root / f"{name}.json", asdict(record))
        return record

    def path_of(self, name: str) -> Path:
        """Where the weights of a name lie or would lie."""
        return self.root / f"{name}.safetensors"

    def find(self, name: str) -> Path | None:
        """The file of a name with its digest checked, or None. Raises WeightsError when it was changed."""
        record = self._record(name)
        if record is None or not self.path_of(name).is_file():
            return None
        if digest_file(self.path_of(name)) != record.sha256:
            raise WeightsError(
                f"{self.path_of(name)}: its digest is not the recorded {record.sha256[:12]}…; the file was changed.",
                f"Delete it and add it again: dabench weights add {name} FILE",
            )
        return self.path_of(name)

    def digest(self, name: str) -> str:
        """SHA-256 of the file of a name; "" when it was not added."""
        record = self._record(name)
        return record.sha256 if record is not None and self.find(name) is not None else ""

    def records(self) -> list[WeightsRecord]:
        """All entries by name."""
        names = sorted(p.stem for p in self.root.glob("[!.]*.json")) if self.root.is_dir() else []
        return [record for name in names if (record := self._record(name)) is not None]

    def _record(self, name: str) -> WeightsRecord | None:
        path = self.root / f"{name}.json"
        return WeightsRecord(**json.loads(path.read_text())) if path.is_file() else None

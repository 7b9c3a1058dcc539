"""Weights that the user added: safetensors files with a recorded digest. Nothing here ever unpickles code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from dabench.components.assembly import Assembly
from dabench.components.packages import told
from dabench.components.registry import Registry
from dabench.errors import ConfigError, WeightsError
from dabench.files.atomic import write_json, write_with
from dabench.files.digests import digest_file
from dabench.interfaces import PublishedWeights
from dabench.training.checkpoint import read_weights


@dataclass(frozen=True)
class WeightsRecord:
    """One entry: its name, digest of the stored file, number of parameters and the file it came from.

    ``trained_on`` and ``licences`` (of code, weights and data) are what is known of it; ``saw`` are domains that it was
    trained on, None if unknown. ``checked``: its keys and shapes are those of the published weights of its name.
    """

    name: str
    sha256: str
    parameters: int
    tensors: int
    origin: str
    origin_sha256: str
    added: str
    trained_on: str = ""
    licences: Mapping[str, str] = field(default_factory=dict)
    saw: tuple[str, ...] | None = None
    checked: bool = False


class WeightsStore:
    """``<workspace>/weights``: one ``NAME.safetensors`` and ``NAME.json`` an entry."""

    def __init__(self, root: Path) -> None:
        """The folder is made by the first `add`."""
        self.root = root

    def add(self, name: str, file: Path, known: PublishedWeights | None = None) -> WeightsRecord:
        """Copy weights into the store under a name.

        Key prefixes left by data-parallel wrappers (``module.``) are stripped. Where it is ``known`` what was published
        under the name, the file is held against that. Raises WeightsError for a damaged file, a pickle that would run
        code or weights of another model, ConfigError for a bad or taken name.
        """
        if not re.fullmatch(r"[a-z0-9][a-z0-9._+-]*", name):
            raise ConfigError(f"weights name {name!r}: use lower-case letters, digits and . _ + -")
        found = {key.removeprefix("module."): value for key, value in read_weights(file).items()}
        if not found:
            raise WeightsError(f"{file}: contains no tensors.")
        if known is not None and known.check is not None:
            found = dict(_held_against(known, found, file))
        tensors = {key: value.contiguous().clone() for key, value in found.items()}
        origin = digest_file(file)
        earlier = self.record(name)
        if earlier is not None and earlier.origin_sha256 != origin:
            raise ConfigError(
                f"weights {name!r} already exist with other content ({earlier.origin}).", "Choose another name."
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
            **({} if known is None else _said(known)),
        )
        write_json(self.root / f"{name}.json", asdict(record))
        return record

    def path_of(self, name: str) -> Path:
        """Where the weights of a name lie or would lie."""
        return self.root / f"{name}.safetensors"

    def find(self, name: str) -> Path | None:
        """The file of a name with its digest checked, or None. Raises WeightsError when it was changed."""
        record = self.record(name)
        if record is None or not self.path_of(name).is_file():
            return None
        if digest_file(self.path_of(name)) != record.sha256:
            raise WeightsError(
                f"{self.path_of(name)}: its digest is not {record.sha256[:12]}… as recorded: the file was changed.",
                f"Delete it and add it again: dabench weights add {name} FILE",
            )
        return self.path_of(name)

    def digest(self, name: str) -> str:
        """SHA-256 of the file of a name; "" when it was not added."""
        record = self.record(name)
        return record.sha256 if record is not None and self.find(name) is not None else ""

    def records(self) -> list[WeightsRecord]:
        """All entries by name."""
        names = sorted(p.stem for p in self.root.glob("[!.]*.json")) if self.root.is_dir() else []
        return [record for name in names if (record := self.record(name)) is not None]

    def record(self, name: str) -> WeightsRecord | None:
        """The entry of a name, or None."""
        path = self.root / f"{name}.json"
        return _record(json.loads(path.read_text())) if path.is_file() else None


def _record(values: dict[str, Any]) -> WeightsRecord:
    saw = values.get("saw")
    return WeightsRecord(**{**values, "saw": None if saw is None else tuple(saw)})


def _said(known: PublishedWeights) -> dict[str, Any]:
    """What a record takes over from the published weights of its name."""
    return {
        "trained_on": known.trained_on,
        "licences": dict(known.licences),
        "saw": known.saw,
        "checked": known.check is not None,
    }


def _held_against(known: PublishedWeights, tensors: Mapping[str, Tensor], file: Path) -> Mapping[str, Tensor]:
    assert known.check is not None
    try:
        return known.check(tensors)
    except WeightsError as error:
        raise WeightsError(
            f"{file}: {error.message}", error.mend or f"It must be {known.file}: {known.where}"
        ) from None


def published(registry: Registry) -> dict[str, PublishedWeights]:
    """All published weights that components name, by name."""
    return {one.name: one for item in registry for one in item.component.weights}


def wanted(registry: Registry) -> dict[str, tuple[str, str]]:
    """Weights that components ask for, by name: which component, and how they are added."""
    found: dict[str, tuple[str, str]] = {}
    for item in (i for kind in ("backbone", "network", "method") for i in registry.of_kind(kind)):
        who = f"{item.kind} {item.name}"
        name = getattr(registry.settings(item.kind, item.name, "paper", {}), "pretrained", "none")
        if name != "none":
            found.setdefault(name, (who, f"dabench weights add {name} FILE"))
        found |= {one.name: (who, f"{one.command} ({one.where})") for one in item.component.weights}
    return found


def seen_of(assembly: Assembly, uses: Iterable[tuple[str, str]], target: str) -> str:
    """What the weights of a run know of its target: ``NAME: TARGET``, ``NAME: unknown``; "" where that is nothing.

    Asked of components that publish weights. The record of added ones says it, else what was published of the name.
    """
    found = []
    for kind, name in sorted(set(uses)):
        known = {one.name: one for one in assembly.registry.get(kind, name).component.weights}
        wanted = getattr(assembly.config(kind, name), "pretrained", "none")
        if not known or wanted == "none":
            continue
        record = assembly.weights.record(wanted)
        said = record.saw if record is not None else known[wanted].saw if wanted in known else None
        if said is None or target in said:
            found.append(f"{wanted}: {'unknown' if said is None else target}")
    return ", ".join(dict.fromkeys(found))


def lacking(assembly: Assembly, uses: Iterable[tuple[str, str]]) -> list[str]:
    """What has to be installed or added before components can be made, in words; [] when all is there.

    Args:
        assembly: of the run.
        uses: (kind, name) of every component.
    """
    packages: dict[str, str] = {}
    found = []
    for kind, name in sorted(set(uses)):
        component = assembly.registry.get(kind, name).component
        if lacks := told(component.needs):
            packages.setdefault(lacks, f"{kind.replace('_', ' ')} {name!r} {lacks}")
        wanted = getattr(assembly.config(kind, name), "pretrained", "none")
        missing = [one for one in component.weights if one.name == wanted and not one.hub]
        found += [one.told for one in missing if not assembly.weights.digest(wanted)]
    return [*packages.values(), *dict.fromkeys(found)]

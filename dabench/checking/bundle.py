"""Bundles: one zip with the results of runs, without weights. Written so that equal runs give equal bytes.

``manifest.json`` comes first and names every other file with its digest and size; the files of a run lie in
``runs/<cell_id>/`` and the record of a suite in ``suites/`` as they do in a workspace, wheels of plugins in
``wheels/``. Nothing is signed: users who must be sure of the sender compare the digest of the bundle by another way.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dabench import __version__
from dabench.checking.paths import belongs, is_cell_id, is_origin, kept_files
from dabench.checking.plugins import has_other_code, plugins_of
from dabench.checking.run_files import RunFiles
from dabench.checking.suite_files import read_suite_file, suite_file
from dabench.checking.verify import Verifier
from dabench.checking.wheels import is_wheel_of, make_wheels
from dabench.errors import ConfigError, DataError
from dabench.files.atomic import atomic
from dabench.files.digests import digest_file
from dabench.interfaces.counting import counted_by
from dabench.interfaces.observer import Observer
from dabench.tracking.events import UNFINISHED
from dabench.tracking.record import HERE

MANIFEST, WHEELS = "manifest.json", "wheels"
FORMAT = "dabench results"
#: Versions that are read and written: 1 has no suites, and 3 alone has wheels.
VERSIONS = (1, 2, 3)
#: ZIP's earliest time: a file's own would make equal runs differ.
_TIME = (1980, 1, 1, 0, 0, 0)
_REGULAR = 0o100644


class BundleError(DataError):
    """A bundle is damaged, malformed or tampered with. Nothing of it was taken over."""


class FileEntry(BaseModel):
    """One file: what it must be."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)


class PluginEntry(BaseModel):
    """A plugin that a run was made with, as its journal says."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    name: str = Field(max_length=120)
    distribution: str = Field(max_length=120)
    version: str = Field("", max_length=60)
    source: str = Field("", pattern=r"^([0-9a-f]{64})?$")
    components: list[str] = []


class RunEntry(BaseModel):
    """One run: its cell, its files relative to its folder, and the plugins needed to make it again."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    cell_id: str
    files: dict[str, FileEntry]
    plugins: list[PluginEntry] = []


class Manifest(BaseModel):
    """``manifest.json``; ``origin`` is who made the runs, "" for results that move between machines of one user."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    format: Literal["dabench results"]
    version: Literal[1, 2, 3]
    dabench_version: str = Field(max_length=60)
    origin: str = ""
    runs: list[RunEntry] = Field(min_length=1)
    #: Records of suites by the suite's name: which cell is which row.
    suites: dict[str, FileEntry] = Field(default_factory=dict)
    #: Wheels of the plugins that its runs were made with, by file name. They are never installed by dabench.
    wheels: dict[str, FileEntry] = Field(default_factory=dict)


@dataclass(frozen=True)
class Exported:
    """A written bundle: its digest and size, the cells in it, and the wheels of plugins with their digests."""

    path: Path
    sha256: str
    size: int
    cells: tuple[str, ...]
    wheels: tuple[tuple[str, str], ...] = ()
    #: Cells that were made with other code of a plugin, or of what it imports of dabench, than is installed here.
    other_code: tuple[str, ...] = ()


def check_origin(origin: str) -> str:
    """The name of an origin, or a ConfigError that says what one looks like."""
    if not is_origin(origin):
        raise ConfigError(
            f"origin {origin[:60]!r}: use 1 to 40 letters, digits and . _ - between them, and not {HERE!r}.",
            "Example: --origin em-lab-leipzig",
        )
    return origin


def export_runs(
    runs: Sequence[Path],
    target: Path,
    verifier: Verifier,
    origin: str = "",
    suites: Sequence[str] = (),
    *,
    with_plugins: bool = False,
    observer: Observer | None = None,
) -> Exported:
    """Write the results of runs into one file.

    Args:
        runs: run directories of this workspace's own runs, each verified here without computing scores again.
        target: the zip; an existing one is replaced.
        verifier: verifies the runs.
        origin: who made them; "" for your own.
        suites: suites of the workspace whose records go with them.
        with_plugins: whether wheels of the plugins that they were made with go with them, as installed here.
        observer: told of runs as they are verified and written.

    Raises:
        ConfigError: there is no run, an origin that is none, a run that came from elsewhere, or a plugin that is not
            installed.
        DataError: the record of a suite is missing or damaged, or no wheel of a plugin can be made.
        BundleError: a run is unfinished, or its files do not agree with its receipt.
    """
    if not runs:
        raise ConfigError("there is no run to export.", "dabench results ls lists the runs of the workspace.")
    if origin:
        check_origin(origin)
    folders = sorted({path.resolve() for path in runs}, key=lambda p: p.name)
    entries = {path: _entry(path, verifier) for path in counted_by(observer, folders, "verifying runs")}
    records = dict(read_suite_file(verifier.workspace.suite(name) / MANIFEST) for name in suites)
    listed = [entry.model_dump() for entry in entries.values()]
    plugins = [plugin for entry in entries.values() for plugin in entry.plugins]
    wheels = make_wheels(plugin.distribution for plugin in plugins) if with_plugins else {}
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "version": 3 if wheels else 2,
        "dabench_version": __version__,
        "origin": origin,
        "runs": listed,
        "suites": {name: _bytes_entry(data) for name, data in records.items()},
    }
    if wheels:  # an older dabench reads what has none
        manifest["wheels"] = {name: _bytes_entry(data) for name, data in wheels.items()}
    with atomic(target) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as bundle:
        _put(bundle, MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n")
        for path, entry in counted_by(observer, list(entries.items()), "writing runs"):
            for name in sorted(entry.files):
                _put(bundle, f"runs/{entry.cell_id}/{name}", (path / name).read_bytes())
        for name, data in sorted(records.items()):
            _put(bundle, suite_file(name), data)
        for name, data in sorted(wheels.items()):
            _put(bundle, wheel_file(name), data)
    cells = tuple(entry.cell_id for entry in entries.values())
    carried = tuple((name, entry["sha256"]) for name, entry in sorted(manifest.get("wheels", {}).items()))
    others = tuple(entry.cell_id for entry in entries.values() if _other_code(entry, wheels, verifier))
    return Exported(target, digest_file(target), target.stat().st_size, cells, carried, others)


def wheel_file(name: str) -> str:
    """Where a wheel lies in a bundle."""
    return f"{WHEELS}/{name}"


def _other_code(entry: RunEntry, wheels: Iterable[str], verifier: Verifier) -> bool:
    carried = [p for p in entry.plugins if any(is_wheel_of(name, p.distribution) for name in wheels)]
    return any(has_other_code(plugin.source, plugin.components, verifier.registry) for plugin in carried)


def _entry(path: Path, verifier: Verifier) -> RunEntry:
    """A run's files with their digests, after it was verified."""
    report = verifier.verify(path, quick=True)
    if not report.ok:
        raise BundleError(
            f"{path.name} does not verify:\n  " + "\n  ".join(report.problems()[:6]), f"dabench verify {path.name}"
        )
    if report.origin != HERE:
        raise ConfigError(f"{path.name} came from {report.origin}.", "Share the bundle that it came in.")
    if report.status == UNFINISHED:
        raise BundleError(f"{path.name} is unfinished.", "Run the cell again until it finishes, then export it.")
    run = RunFiles(path)
    cell_id = run.cell_id
    if not is_cell_id(cell_id):
        raise ConfigError(f"{cell_id[:80]!r} cannot be the name of a folder on another machine.")
    files = {inside.as_posix(): path / inside for inside in kept_files(path)}
    if strange := [name for name in files if not belongs(name)]:
        raise BundleError(f"{path.name}: {strange[0]} does not belong in a run directory.", "Move it away.")
    return RunEntry(cell_id=cell_id, files={n: _file_entry(p) for n, p in files.items()}, plugins=listed_plugins(run))


def listed_plugins(run: RunFiles) -> list[PluginEntry]:
    """The plugins of a run as a manifest lists them."""
    return [PluginEntry(**{**vars(used), "components": list(used.components)}) for used in plugins_of(run.record)]


def _file_entry(path: Path) -> FileEntry:
    return FileEntry(sha256=digest_file(path), size=path.stat().st_size)


def _bytes_entry(data: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


def _put(bundle: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, _TIME)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system, info.external_attr = 3, _REGULAR << 16
    bundle.writestr(info, data)

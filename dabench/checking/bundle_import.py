"""Takes bundles over: verified whole beside the workspace's runs, then moved in run by run, each in one step."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZipFile

from dabench.checking.bundle import (
    MANIFEST,
    WHEELS,
    BundleError,
    FileEntry,
    Manifest,
    RunEntry,
    check_origin,
    listed_plugins,
)
from dabench.checking.bundle_files import opened, unpack
from dabench.checking.paths import folder_of, kept_files
from dabench.checking.plugins import missing_plugins
from dabench.checking.report import RunReport
from dabench.checking.run_files import RunFiles
from dabench.checking.suite_files import TakenSuite, read_suite_file, suite_file, taken_suite
from dabench.checking.verdicts import keep_verdict
from dabench.checking.verify import Verifier, run_dirs
from dabench.errors import ConfigError, DataError
from dabench.files.atomic import atomic, write_json
from dabench.files.digests import digest_file
from dabench.files.workspace import Workspace
from dabench.interfaces.counting import counted_by
from dabench.interfaces.observer import Observer
from dabench.tracking.events import UNFINISHED, PluginUsed
from dabench.tracking.lock import exclusive
from dabench.tracking.record import HERE, ORIGIN

#: Bytes that a bundle may have unpacked, unless asked otherwise.
LIMIT = 8 << 30
_TEMPORARY = ".import-"
#: Folder of wheels beside the unpacked runs: no cell begins with a dot.
_OUT_OF_THE_WAY = ".wheels"


@dataclass(frozen=True)
class Taken:
    """One run of a bundle: the folder that it has here, whether it is new there, and how it verified."""

    folder: str
    is_new: bool
    report: RunReport


@dataclass(frozen=True)
class Imported:
    """What an import did, or with ``dry_run`` would do. ``origin`` is `HERE` for your own results."""

    origin: str
    runs: tuple[Taken, ...]
    suites: tuple[TakenSuite, ...] = ()
    #: Plugins that runs of it were made with and that are not installed here.
    missing: tuple[PluginUsed, ...] = ()
    #: SHA-256 of the wheels of plugins in the bundle, by file name.
    wheels: Mapping[str, str] = field(default_factory=dict)


def import_bundle(
    path: Path,
    workspace: Workspace,
    verifier: Verifier,
    *,
    origin: str = "",
    mine: bool = False,
    limit: int = LIMIT,
    quick: bool = False,
    dry_run: bool = False,
    wheels: Path | None = None,
    observer: Observer | None = None,
) -> Imported:
    """Take the runs of a bundle over.

    They lie beside where the cell would have run here, as ``<cell_id>@<origin>``, and never replace it; your own
    (``mine``) lie right there. A bundle that names no origin gets ``bundle-`` and the beginning of its digest. A run
    that is here already, byte for byte, is left alone, wherever it lies. So are suites: where one of that name has
    another content here, the bundle's is kept beside as ``<name>@<origin>``.

    Args:
        path: the bundle.
        workspace: where its runs go.
        verifier: verifies them, as `dabench verify` does.
        origin: who made them, whatever the bundle says.
        mine: they are your own, whatever the bundle says.
        limit: bytes that the bundle may have unpacked.
        quick: compute no scores again.
        dry_run: check everything and change nothing.
        wheels: a folder to which the wheels of plugins in the bundle are copied. None is opened or installed.
        observer: told of runs as they are unpacked and verified.

    Raises:
        BundleError: anything is wrong with any run; then none is taken over.
        ConfigError: an invalid origin, or one for runs that are your own; ``wheels`` of a bundle that has none, or
            a folder with another file of that name.
    """
    if origin and mine:
        raise ConfigError("--mine and --origin exclude each other.", "Your own runs have no origin.")
    if origin:
        check_origin(origin)
    with _folder_beside(workspace) as folder, opened(path, limit) as (zipped, found):
        whose = HERE if mine else origin or found.origin or f"bundle-{digest_file(path)[:8]}"
        for entry in counted_by(observer, found.runs, "unpacking runs"):
            run = folder / folder_of(entry.cell_id, whose)
            unpack(path, zipped, f"runs/{entry.cell_id}", entry.files, run)
        unpack(path, zipped, WHEELS, found.wheels, folder / _OUT_OF_THE_WAY)
        records = {name: _record(path, zipped, name, entry, folder) for name, entry in found.suites.items()}
        runs = _plan(path, found, whose, folder, workspace, verifier, quick, observer)
        suites = tuple(taken_suite(workspace, name, record, whose) for name, record in sorted(records.items()))
        if wheels is not None:
            _hand_out(path, folder / _OUT_OF_THE_WAY, wheels, found.wheels, dry_run)
        if not dry_run:
            _move(runs, folder, workspace)
            for suite in suites:
                if suite.is_new:
                    write_json(workspace.suite(suite.kept_as) / MANIFEST, records[suite.name])
    used = [PluginUsed(**{**vars(p), "components": tuple(p.components)}) for r in found.runs for p in r.plugins]
    carried = {name: entry.sha256 for name, entry in sorted(found.wheels.items())}
    return Imported(whose, runs, suites, tuple(missing_plugins(used, verifier.registry)), carried)


@contextmanager
def _folder_beside(workspace: Workspace) -> Iterator[Path]:
    """A temporary folder beside the runs, of one import at a time."""
    workspace.root.mkdir(parents=True, exist_ok=True)
    with exclusive(workspace.root / ".import.lock"):
        for left in workspace.root.glob(f"{_TEMPORARY}*"):  # of an import that was killed
            shutil.rmtree(left, ignore_errors=True)
        with TemporaryDirectory(prefix=_TEMPORARY, dir=workspace.root) as folder:
            yield Path(folder)


def _hand_out(bundle: Path, source: Path, target: Path, wheels: Mapping[str, FileEntry], dry_run: bool) -> None:
    """Copy wheels into a folder of the user's, over no other file. Raises ConfigError."""
    if not wheels:
        raise ConfigError(f"{bundle.name} contains no wheels of plugins.", "Leave out --wheels.")
    for name, entry in wheels.items():
        if (target / name).exists() and digest_file(target / name) != entry.sha256:
            raise ConfigError(f"{target / name}: a different file of that name exists.", "Choose another folder.")
    for name in () if dry_run else wheels:
        with atomic(target / name) as part:
            shutil.copyfile(source / name, part)


def _record(path: Path, zipped: ZipFile, name: str, entry: FileEntry, folder: Path) -> dict[str, Any]:
    """The record of a suite out of a bundle. Raises BundleError for one that is none, or another suite's."""
    inside = suite_file(name)
    unpack(path, zipped, inside.rpartition("/")[0], {MANIFEST: entry}, folder / inside.rpartition("/")[0])
    try:
        found, data = read_suite_file(folder / inside)
    except DataError as error:
        raise BundleError(f"{path.name} is refused:\n  {inside}: {error.message}") from None
    if found != name:
        raise BundleError(f"{path.name} is refused:\n  {inside} is the record of {found[:80]!r}")
    return dict(json.loads(data))


def _plan(
    path: Path,
    found: Manifest,
    origin: str,
    folder: Path,
    workspace: Workspace,
    verifier: Verifier,
    quick: bool,
    observer: Observer | None,
) -> tuple[Taken, ...]:
    """Verify every run and see what is here; raises BundleError with all that is wrong."""
    taken, problems, here = [], [], _folders(workspace)
    for entry in counted_by(observer, found.runs, "verifying runs"):
        name = folder_of(entry.cell_id, origin)
        if origin != HERE:
            write_json(folder / name / ORIGIN, {"origin": origin})
        report = verifier.verify(folder / name, quick=quick)
        problems += [f"{entry.cell_id}: {problem}" for problem in report.problems()]
        if report.status == UNFINISHED:
            problems.append(f"{entry.cell_id}: the run is unfinished")
        elif report.ok and found.version > 1 and entry.plugins != listed_plugins(RunFiles(folder / name)):
            problems.append(f"{entry.cell_id}: {MANIFEST} lists other plugins than the journal")
        known = next((p.name for p in here.get(entry.cell_id, ()) if _same(entry, p)), "")
        if not known and (workspace.runs / name).exists():
            problems.append(f"{name}: the workspace has another run of this cell; --origin NAME keeps both")
        taken.append(Taken(known or name, not known, report))
    if problems:
        more = f"\n  ... and {len(problems) - 8} more" if len(problems) > 8 else ""
        raise BundleError(f"{path.name} is refused:\n  " + "\n  ".join(problems[:8]) + more)
    return tuple(taken)


def _folders(workspace: Workspace) -> dict[str, list[Path]]:
    """Run directories by cell: the own one and those of every origin."""
    found: dict[str, list[Path]] = {}
    for path in run_dirs(workspace):
        found.setdefault(path.name.partition("@")[0], []).append(path)
    return found


def _same(entry: RunEntry, run_dir: Path) -> bool:
    names = {inside.as_posix() for inside in kept_files(run_dir)}
    return names == entry.files.keys() and all(
        (run_dir / name).is_file() and digest_file(run_dir / name) == file.sha256 for name, file in entry.files.items()
    )


def _move(runs: tuple[Taken, ...], folder: Path, workspace: Workspace) -> None:
    """Each run appears whole or not at all; killed in between, the next import finds the first ones here."""
    workspace.runs.mkdir(parents=True, exist_ok=True)
    for run in runs:
        if run.is_new:
            (folder / run.folder).rename(workspace.runs / run.folder)
            keep_verdict(workspace, workspace.runs / run.folder, run.report)

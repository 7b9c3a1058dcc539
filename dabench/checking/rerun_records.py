"""What reruns came to, kept in the workspace, so that a board can mark the rows that were run again here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from dabench import __version__
from dabench.checking.bundle_import import import_bundle
from dabench.checking.comparison import Outcome
from dabench.checking.paths import folder_of
from dabench.checking.run_files import RunFiles
from dabench.checking.verify import Verifier, find_run, run_dirs
from dabench.components.registry import Registry
from dabench.errors import ConfigError, DabenchError
from dabench.files.atomic import write_json
from dabench.files.workspace import Workspace
from dabench.tracking.events import now
from dabench.tracking.run_reader import read_run

_FOLDER = "reruns"


def keep_rerun(home: Workspace, run: RunFiles, outcome: Outcome) -> Path:
    """Write ``reruns/<run>.json``: verdict, scores, differences, and the digest of the journal that it is about."""
    record = run.record
    about = {"cell_id": record.cell_id, "origin": record.origin, "journal": record.digest}
    when = {"time": now(), "dabench_version": __version__}
    path = home.root / _FOLDER / f"{folder_of(record.cell_id, record.origin)}.json"
    write_json(path, {**about, **when, **outcome.as_json()})
    return path


def read_reruns(home: Workspace) -> dict[str, str]:
    """Verdicts by run directory, of runs that are as they were then; what cannot be read says nothing."""
    found = {}
    for path in sorted((home.root / _FOLDER).glob("*.json")):
        with suppress(OSError, ValueError, KeyError, TypeError, DabenchError):
            values = json.loads(path.read_text(encoding="utf-8"))
            if read_run(home.runs / path.stem).digest == values["journal"]:
                found[path.stem] = str(values["verdict"])
    return found


@contextmanager
def located(name: str, cell: str, home: Workspace, registry: Registry) -> Iterator[tuple[Path, Workspace]]:
    """The run directory that a cell, a folder or a bundle means, and the workspace with its other seeds.

    Args:
        name: a cell of the workspace, the beginning of one, a run directory, or a bundle, which is checked as by an
            import and unpacked for as long as the context lasts.
        cell: which run of a bundle: its cell or the beginning of one; "" where there is one.
        home: the workspace.
        registry: what is installed.

    Raises:
        ConfigError: there is no such run, or several.
        BundleError: the bundle is damaged.
    """
    if not Path(name).is_file():
        yield find_run(home, name), home
        return
    with TemporaryDirectory(prefix="dabench-bundle-") as folder:
        there = Workspace(Path(folder))
        import_bundle(Path(name), there, Verifier(registry, home), quick=True)
        yield _one_of(name, cell, there), there


def _one_of(bundle: str, cell: str, there: Workspace) -> Path:
    runs = list(run_dirs(there))
    found = [path for path in runs if path.name.startswith(cell)]
    if len(found) != 1:
        listed = "\n  ".join(path.name for path in found or runs)
        told = f"{len(found)} runs" if found else f"no run that begins with {cell!r}, but"
        raise ConfigError(f"{bundle} holds {told}:\n  {listed}", "Choose one: --cell NAME")
    return found[0]

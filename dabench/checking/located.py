"""Where a run lies that is to be run again: in the workspace, in a folder, or in a bundle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from dabench.checking.bundle_import import import_bundle
from dabench.checking.plugins import missing_plugins, not_installed, plugins_of
from dabench.checking.verify import Verifier, find_run, run_dirs
from dabench.components.registry import Registry
from dabench.errors import ConfigError
from dabench.files.workspace import Workspace
from dabench.tracking.run_reader import read_run


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
        ConfigError: there is no such run, or several, or it needs a plugin that is not here and comes with the bundle.
        BundleError: the bundle is damaged.
    """
    if not Path(name).is_file():
        yield find_run(home, name), home
        return
    with TemporaryDirectory(prefix="dabench-bundle-") as folder:
        there = Workspace(Path(folder))
        done = import_bundle(Path(name), there, Verifier(registry, home), quick=True)
        found = _one_of(name, cell, there)
        missing = missing_plugins(plugins_of(read_run(found)), registry)
        if missing and done.wheels:
            raise not_installed(found.name, missing, name, done.wheels)
        yield found, there


def _one_of(bundle: str, cell: str, there: Workspace) -> Path:
    runs = list(run_dirs(there))
    found = [path for path in runs if path.name.startswith(cell)]
    if len(found) != 1:
        listed = "\n  ".join(path.name for path in found or runs)
        told = f"{len(found)} runs" if found else f"no run whose name starts with {cell!r}, but"
        raise ConfigError(f"{bundle} holds {told}:\n  {listed}", "Choose one: --cell NAME")
    return found[0]

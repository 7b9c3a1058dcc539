"""Checks of this machine: what works, what does not, and what mends it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dabench.components.registry import Registry
from dabench.files.workspace import Workspace, sqlite_path

_GIB = 1024**3


@dataclass(frozen=True)
class Finding:
    """One finding. ``state`` is ``ok``, ``note`` (something is missing or slow, the rest works) or ``fail``."""

    name: str
    state: str
    detail: str
    mend: str = ""


def examine(place: Workspace) -> Iterator[Finding]:
    """All checks of a machine in order: Python, torch, devices, workspace, plugins, data, weights and the MLflow store.

    Changes nothing. A check that raises is itself a finding.
    """
    yield _python()
    yield from _tried("torch", lambda: _torch(place))
    yield from _tried("workspace", lambda: _workspace(place))
    yield from _tried("plugins", lambda: _components(place))
    yield from _tried("weights", lambda: _weights(place))
    yield from _tried("MLflow store", lambda: _store(place))


def _tried(name: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from look()
    except Exception as error:
        yield Finding(name, "fail", f"{type(error).__name__}: {error}")


def _python() -> Finding:
    good = sys.version_info >= (3, 11)
    detail = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Finding("python", "ok" if good else "fail", detail, "" if good else "dabench needs Python 3.11 or newer.")


def _torch(place: Workspace) -> Iterator[Finding]:
    import torch

    from dabench.runs.threads import threads_of

    yield Finding("torch", "ok", torch.__version__)
    yield Finding("threads", "ok", f"{threads_of(place)}")
    if not torch.cuda.is_available():
        yield Finding("devices", "ok", "cpu (no usable GPU: presets tiny and small are made for this)")
        return
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        yield Finding("devices", "ok", f"cuda:{index} {properties.name}, {properties.total_memory / _GIB:.0f} GiB")


def _workspace(place: Workspace) -> Iterator[Finding]:
    there = next(p for p in (place.root, *place.root.parents) if p.exists())
    writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    new = "" if there == place.root else " (created by the first run)"
    mend = "" if writable else "Choose another folder: --workspace FOLDER or DABENCH_WORKSPACE"
    yield Finding(
        "workspace", "ok" if writable else "fail", f"{place.root}{new}{'' if writable else ': not writable'}", mend
    )
    free = shutil.disk_usage(there).free / _GIB
    state = "fail" if free < 0.2 else "note" if free < 5 else "ok"
    yield Finding(
        "disk", state, f"{free:.1f} GiB free", "" if state == "ok" else "Free some space, or move the workspace."
    )


def _components(place: Workspace) -> Iterator[Finding]:
    registry = Registry.load()
    yield from _plugins(registry)
    yield _data_root(place.data)
    yield from (_domain(registry, item.name, place.data) for item in registry.of_kind("domain"))


def _data_root(root: Path) -> Finding:
    if root.is_dir():
        return Finding("data root", "ok", str(root))
    mend = "Set DABENCH_DATA to the folder of your data. Phantom domains need none."
    return Finding("data root", "note", f"{root}: does not exist", mend)


def _plugins(registry: Registry) -> Iterator[Finding]:
    """Loaded plugins in one line, each failed one in its own; only one of dabench's own is essential."""
    loaded = [status for status in registry.plugins.values() if not status.error]
    state = "ok" if loaded else "fail"
    names = ", ".join(f"{s.name} ({s.distribution})" if s.distribution != "dabench" else s.name for s in loaded)
    yield Finding(
        "plugins", state, f"{len(loaded)} loaded: {names}", "" if loaded else "Install dabench: pip install -e ."
    )
    for status in registry.failures():
        own = status.distribution == "dabench"
        yield Finding(
            f"plugin {status.name}",
            "fail" if own else "note",
            f"not loaded, from {status.distribution}: {status.error}",
            "Install dabench again." if own else f"Fix it, or remove it: pip uninstall {status.distribution}",
        )


def _domain(registry: Registry, name: str, root: Path) -> Finding:
    try:
        component = registry.get("domain", name).component
        missing = list(component.factory(component.config()).missing())
    except Exception as error:
        return Finding(f"domain {name}", "note", f"{type(error).__name__}: {error}")
    if not missing:
        return Finding(f"domain {name}", "ok", "ready")
    first = missing[0].removeprefix(f"{root}/")
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return Finding(f"domain {name}", "note", f"missing {first}{more} (where to get it: dabench info {name})")


def _weights(place: Workspace) -> Iterator[Finding]:
    from dabench.runs.weights import WeightsStore

    names = [record.name for record in WeightsStore(place.weights).records()]
    yield Finding("weights", "ok", ", ".join(names) or "none added (only the preset paper needs any)")


def _store(place: Workspace) -> Iterator[Finding]:
    from dabench.tracking.mlflow_writer import MlflowWriter

    path = sqlite_path(place.tracking_uri)
    if path is not None and not path.exists():
        yield Finding("MLflow store", "ok", "created by the first run")
        return
    try:
        MlflowWriter(place.tracking_uri)
    except Exception as error:
        mend = "Your results are safe in the run directories. Move the store away, then run: dabench results sync"
        yield Finding("MLflow store", "note", f"{error}", mend)
        return
    yield Finding("MLflow store", "ok", place.tracking_uri)

"""Errors of a run, told by their cause: memory, or the plugin that raised."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from dabench.components.kept_in import no_exit
from dabench.components.registry import Registered, Registry
from dabench.errors import DabenchError, OutOfMemoryError, PluginError


@contextmanager
def told_by_cause(registry: Registry, method: str) -> Iterator[None]:
    """Inside, whatever is raised comes out as an error that says what to do.

    Args:
        registry: knows whose code it was.
        method: blamed where no plugin's file is in the traceback.

    Raises:
        OutOfMemoryError: memory ran out, on the device or on the machine.
        PluginError: a plugin raised; names it and its distribution.
    """
    try:
        with no_exit():
            yield
    except (DabenchError, OSError):
        raise
    except (Exception, SystemExit) as error:
        if _is_memory(error):
            hint = "A smaller crop or batch (--set METHOD.batch=...) needs less."
            raise OutOfMemoryError(f"out of memory: {error}", hint) from error
        where = _plugin_in(registry, error) or registry.get("method", method)
        raise PluginError(
            f"plugin {where.plugin!r} of {where.distribution} raised {type(error).__name__}: {error}",
            "dabench --debug run ... shows the traceback.",
        ) from error


def _is_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    words = ("not enough memory", "can't allocate memory")
    return isinstance(error, RuntimeError) and any(w in str(error) for w in words)


def _plugin_in(registry: Registry, error: BaseException) -> Registered | None:
    """The component whose plugin's file is deepest in the traceback, or None."""
    trace, found = error.__traceback__, None
    homes = {home_of(Path(p.location)): p.name for p in registry.plugins.values() if p.location}
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        name = next((n for home, n in homes.items() if file == home or home in file.parents), None)
        found = next((item for item in registry if item.plugin == name), found) if name else found
        trace = trace.tb_next
    return found


def home_of(location: Path) -> Path:
    """A plugin's folder, or a single file itself."""
    return location.parent if location.name == "__init__.py" else location

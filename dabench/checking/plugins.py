"""The plugins that a run was made with, and what of them is not installed here."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dabench.components.registry import Registry
from dabench.tracking.events import CellStarted, PluginUsed
from dabench.tracking.record import RunRecord

#: What may stand in a command line that somebody copies.
_NAME, _VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*"), re.compile(r"[A-Za-z0-9.!+_-]+")


def plugins_of(run: RunRecord) -> tuple[PluginUsed, ...]:
    """What the last attempt was made with; () for runs of before there was a list."""
    return next((event.plugins for event in run.events if isinstance(event, CellStarted)), ())


def missing_plugins(plugins: Iterable[PluginUsed], registry: Registry) -> list[PluginUsed]:
    """Those that brought a component which nothing registers here, each once."""
    here = {f"{item.kind}:{item.name}" for item in registry}
    return list(dict.fromkeys(used for used in plugins if set(used.components) - here))


def how_to_install(used: PluginUsed) -> str:
    """The command that installs a plugin, or whom to ask for what no index has."""
    if not _NAME.fullmatch(used.distribution):
        return f"ask who made the run for the {used.distribution}, then: dabench --plugin FILE ..."
    version = f"=={used.version}" if _VERSION.fullmatch(used.version) else ""
    return f"pip install {used.distribution}{version}"

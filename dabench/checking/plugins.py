"""The plugins that a run was made with, and what of them is not installed here."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable

from dabench.checking.wheels import is_wheel_of
from dabench.components.registry import Registry
from dabench.errors import ConfigError
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


def has_other_code(source: str, components: Collection[str], registry: Registry) -> bool:
    """Whether a plugin's recorded code, with what it imports of dabench, is another than that installed here."""
    kind, _, name = next(iter(components), "").partition(":")
    return bool(source) and name in registry.names(kind) and registry.source_digest(kind, name) != source


def how_to_install(used: PluginUsed, bundle: str = "", wheels: Iterable[str] = ()) -> str:
    """The command that installs a plugin, or whom to ask for what no index has.

    Where the bundle that the run came in has a wheel of it: the commands that write it and install it.
    """
    for name in wheels:
        if is_wheel_of(name, used.distribution):
            return f"dabench results import {shlex.quote(bundle)} --wheels plugins; pip install plugins/{name}"
    if not _NAME.fullmatch(used.distribution):
        return f"ask the author of the run for the {used.distribution}, then: dabench --plugin FILE ..."
    version = f"=={used.version}" if _VERSION.fullmatch(used.version) else ""
    return f"pip install {used.distribution}{version}"


def not_installed(run: str, missing: Iterable[PluginUsed], bundle: str = "", wheels: Iterable[str] = ()) -> ConfigError:
    """The error of a run that cannot be made again here, with what installs its plugins."""
    lacking, carried = list(missing), list(wheels)
    parts = ", ".join(part for used in lacking for part in used.components)
    commands = "\n  ".join(dict.fromkeys(how_to_install(used, bundle, carried) for used in lacking))
    return ConfigError(f"{run} was made with {parts}, which are not installed here.", commands)

"""Finds plugins, loads them one by one, and keeps their components by kind and name.

A plugin that fails (import, API version, misspelt hook, duplicate name, an exception in a hook) is recorded with
its distribution and cause, and everything else keeps working. ``DABENCH_STRICT_PLUGINS=1`` re-raises instead.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy
from pydantic import ValidationError

from dabench.components import hookspecs
from dabench.components.hookspecs import GROUP, KINDS, Component
from dabench.components.kept_in import kept_in
from dabench.errors import ConfigError, PluginError, UnknownNameError
from dabench.files.printable import printable
from dabench.files.problems import problems
from dabench.files.source import source_digest
from dabench.types import API_VERSION


@dataclass(frozen=True)
class Registered:
    """A component with its origin: kind, the plugin's name and the distribution that brought it."""

    kind: str
    component: Component
    plugin: str
    distribution: str

    @property
    def name(self) -> str:
        """The component's name."""
        return self.component.name


@dataclass
class PluginStatus:
    """One plugin as `dabench plugins` shows it; ``error`` is empty when it works."""

    name: str
    distribution: str
    version: str = ""
    location: str = ""
    error: str = ""
    components: list[str] = field(default_factory=list)


class Registry:
    """All components that the installed plugins register."""

    def __init__(self) -> None:
        """Start empty; `load` fills it."""
        self.plugins: dict[str, PluginStatus] = {}
        self._items: dict[tuple[str, str], Registered] = {}
        self._modules: dict[str, Any] = {}

    # ------------------------------------------------------------------------------------------------------ loading
    @classmethod
    def load(cls, files: Iterable[Path] = ()) -> Registry:
        """Load every entry point of the group ``dabench``, then single files (``--plugin``)."""
        registry = cls()
        for entry in _ordered(entry_points(group=GROUP)):
            registry._load_entry(entry)
        named = [Path(p) for p in os.environ.get("DABENCH_PLUGIN_FILES", "").split(os.pathsep) if p]
        for path in dict.fromkeys([*named, *files]):
            registry._load_file(Path(path))
        return registry

    def _load_entry(self, entry: EntryPoint) -> None:
        dist = entry.dist.name if entry.dist else "unknown distribution"
        status = PluginStatus(entry.name, dist, version=entry.dist.version if entry.dist else "")
        try:
            with kept_in(f"plugin {status.name!r} of {status.distribution}"):
                module = entry.load()
        except (Exception, SystemExit, GeneratorExit) as error:
            self._fail(status, f"import failed: {type(error).__name__}: {error}", error)
            return
        self.add(module, status)

    def _load_file(self, path: Path) -> None:
        if not path.is_file():
            raise ConfigError(f"--plugin {path}: no such file.")
        status = PluginStatus(path.stem, f"file {path.name}", location=str(path))
        name = f"dabench_file_plugin_{path.stem}"
        try:
            spec = importlib.util.spec_from_file_location(name, path)
            if spec is None or spec.loader is None:
                raise ImportError(f"{path} is not a Python file")
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            with kept_in(f"plugin {status.name!r} of {status.distribution}"):
                spec.loader.exec_module(module)
        except (Exception, SystemExit, GeneratorExit) as error:
            self._fail(status, f"import failed: {type(error).__name__}: {error}", error)
            return
        self.add(module, status)

    def add(self, plugin: Any, status: PluginStatus) -> None:
        """Register one loaded plugin: all of its components or, when anything is wrong, none."""
        if status.name in self.plugins:
            other = self.plugins[status.name].distribution
            self._fail(status, f"a plugin named {status.name!r} is already loaded from {other}")
            return
        status.location = status.location or str(getattr(plugin, "__file__", "") or "")
        try:
            with kept_in(f"plugin {status.name!r} of {status.distribution}"):
                found = self._collect(plugin, status)
        except (Exception, SystemExit, GeneratorExit) as error:
            self._fail(status, str(error) or type(error).__name__, error)
            return
        for item in found:
            self._items[item.kind, item.name] = item
            status.components.append(f"{item.kind}:{item.name}")
        self.plugins[status.name] = status
        self._modules[status.name] = plugin

    def _collect(self, plugin: Any, status: PluginStatus) -> list[Registered]:
        """Call the plugin's hooks on a manager of its own, so that nothing it does can reach another plugin."""
        manager = pluggy.PluginManager(GROUP)
        manager.add_hookspecs(hookspecs)
        manager.register(plugin, name=status.name)
        manager.check_pending()
        found: list[Registered] = []
        for kind, hook in KINDS.items():

            def register(component: Component, kind: str = kind) -> None:
                self._check(kind, component, status, found)
                found.append(Registered(kind, component, status.name, status.distribution))

            getattr(manager.hook, hook)(register=register)
        if not found:
            known = ", ".join(KINDS.values())
            raise PluginError(f"it registers nothing: no @hookimpl function is named after a hook ({known})")
        return found

    def _check(self, kind: str, component: Component, status: PluginStatus, found: list[Registered]) -> None:
        if not isinstance(component, Component):
            raise PluginError(f"register() takes a dabench.Component, got {type(component).__name__}")
        if component.api_version != API_VERSION:
            raise PluginError(
                f"{kind} {component.name!r} was written for API version {component.api_version}, "
                f"but this dabench has {API_VERSION}"
            )
        earlier = self._items.get((kind, component.name))
        if earlier is None:
            earlier = next((f for f in found if (f.kind, f.name) == (kind, component.name)), None)
        if earlier is not None:
            raise PluginError(
                f"{kind} {component.name!r} is already registered by {earlier.distribution} (plugin {earlier.plugin}); "
                f"{status.distribution} uses the same name"
            )

    def _fail(self, status: PluginStatus, cause: str, error: BaseException | None = None) -> None:
        if os.environ.get("DABENCH_STRICT_PLUGINS") == "1":
            raise PluginError(f"plugin {status.name!r} of {status.distribution}: {cause}") from error
        status.error = printable(cause)
        key = status.name if status.name not in self.plugins else f"{status.name} ({status.distribution})"
        self.plugins[key] = status

    # ------------------------------------------------------------------------------------------------------ look-ups
    def get(self, kind: str, name: str) -> Registered:
        """The component of this kind and name. Raises UnknownNameError with the nearest names and all there are."""
        item = self._items.get((kind, name))
        if item is None:
            raise UnknownNameError(kind.replace("_", " "), name, self.names(kind))
        return item

    def names(self, kind: str) -> list[str]:
        """Sorted names of one kind."""
        return sorted(n for k, n in self._items if k == kind)

    def of_kind(self, kind: str) -> list[Registered]:
        """All components of one kind, by name."""
        return [self._items[kind, name] for name in self.names(kind)]

    def made(self, kind: str) -> list[Any]:
        """Every component of a kind, with its default settings."""
        return [item.component.factory(item.component.config()) for item in self.of_kind(kind)]

    def __iter__(self) -> Iterator[Registered]:
        """All components, by kind and name."""
        return iter(item for _, item in sorted(self._items.items()))

    def kinds_of(self, name: str) -> list[str]:
        """The kinds in which this name is registered."""
        return sorted(k for k, n in self._items if n == name)

    def failures(self) -> list[PluginStatus]:
        """Plugins that did not load."""
        return [p for p in self.plugins.values() if p.error]

    def module(self, kind: str, name: str) -> str:
        """Name of the module that brings a component; of an object that is a plugin, its class's."""
        plugin = self._modules[self.get(kind, name).plugin]
        return plugin.__name__ if isinstance(plugin, ModuleType) else type(plugin).__module__

    def source_digest(self, kind: str, name: str) -> str:
        """SHA-256 over the code of the plugin that brings a component, and over all that it imports of dabench."""
        return source_digest(self.module(kind, name))

    def settings(self, kind: str, name: str, preset: str, overrides: dict[str, Any]) -> Any:
        """A component's validated settings: defaults, then the preset's values, then the user's."""
        component = self.get(kind, name).component
        values = {**component.presets.get(preset, {}), **overrides}
        try:
            return component.config.model_validate(values)
        except ValidationError as error:
            raise ConfigError("\n".join(problems(error, component.config, f"{name}."))) from None


def _ordered(entries: Iterable[EntryPoint]) -> list[EntryPoint]:
    """Dabench's own plugins first, so that a stranger who takes one of their names is the one refused."""
    return sorted(
        entries, key=lambda e: (e.dist is None or e.dist.name != "dabench", e.dist.name if e.dist else "", e.name)
    )

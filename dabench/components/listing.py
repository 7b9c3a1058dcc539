"""What is registered, without loading it: a cache of the registry's listing, keyed by the plugins' files.

Loading the plugins imports PyTorch. A listing needs a line for each component and its settings, which change only when
a plugin is installed, removed or edited: the key holds the versions of the distributions and the size and time of
every file of the plugins and of dabench. A cache that is stale, damaged or cannot be written costs time, never a wrong
line.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dabench.components.hookspecs import GROUP, KINDS
from dabench.components.registry import PluginStatus, Registered, Registry
from dabench.errors import ConfigError, UnknownNameError
from dabench.files.atomic import write_text
from dabench.files.digests import digest_of

#: What decides a listing beside files and versions.
_ENVIRONMENT = ("DABENCH_PLUGIN_FILES", "DABENCH_STRICT_PLUGINS")


@dataclass(frozen=True)
class Listed:
    """One registered component, as listings show it."""

    kind: str
    name: str
    summary: str
    paper: str
    licence: str
    plugin: str
    distribution: str
    presets: tuple[str, ...]
    needs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ListedSettings:
    """A component's settings: what each means, and JSON values by preset ("" is none; None where they are invalid)."""

    meanings: Mapping[str, str]
    values: Mapping[str, Mapping[str, Any] | None]


@dataclass(frozen=True)
class Listing:
    """All registered components, by kind and name, their settings in that order, and the plugins that bring them."""

    components: tuple[Listed, ...]
    settings: tuple[ListedSettings, ...]
    plugins: tuple[PluginStatus, ...]

    def of_kind(self, kind: str) -> list[Listed]:
        """The components of one kind, by name."""
        return [item for item in self.components if item.kind == kind]

    def find(self, name: str) -> list[Listed]:
        """The components of a name, or the one of ``KIND:NAME``. Raises UnknownNameError."""
        kind, colon, rest = name.rpartition(":")
        among = self.of_kind(kind) if colon else list(self.components)
        found = [item for item in among if item.name == rest]
        if not found:
            raise UnknownNameError(kind.replace("_", " ") or "component", rest, {item.name for item in among})
        return found

    def settings_of(self, item: Listed, preset: str) -> Mapping[str, Any]:
        """A component's settings under a preset, as JSON values. Raises ConfigError where the preset's are invalid."""
        values = self.settings[self.components.index(item)].values
        known = values[preset if preset in values else ""]
        if known is None:  # loading says why
            Registry.load().settings(item.kind, item.name, preset, {})
        return known or {}

    def meanings(self, item: Listed) -> Mapping[str, str]:
        """What each setting of a component means."""
        return self.settings[self.components.index(item)].meanings

    def failures(self) -> list[PluginStatus]:
        """Plugins that did not load."""
        return [plugin for plugin in self.plugins if plugin.error]


def read_listing() -> Listing:
    """What is registered: from the cache where it holds for the plugins as they are, else by loading them.

    Raises:
        ConfigError: a file of ``--plugin`` is not there.
        PluginError: a plugin does not load, under ``DABENCH_STRICT_PLUGINS=1``.
    """
    path, key = cache_file(), listing_key()
    found = _cached(path, key) if path else None
    if found is not None:
        return found
    listing = listing_of(Registry.load())
    # What a broken plugin lacks may be mended outside of its files: it is looked at again the next time.
    if path and not listing.failures():
        with suppress(OSError):
            write_text(path, json.dumps({"key": key, **asdict(listing)}))  # settings stay in their order
    return listing


def listing_of(registry: Registry) -> Listing:
    """The listing of plugins that are loaded."""
    items = [item for kind in KINDS for item in registry.of_kind(kind)]
    settings = (_settings(item, registry) for item in items)
    return Listing(tuple(listed(item) for item in items), tuple(settings), tuple(registry.plugins.values()))


def cache_file() -> Path | None:
    """Where the listing of this Python installation is kept; None without a home.

    The folder is ``DABENCH_CACHE``, else ``dabench`` in the user's cache folder.
    """
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        base = ""
    folder = os.environ.get("DABENCH_CACHE") or (Path(base) / "dabench" if base else "")
    return Path(folder) / f"listing-{digest_of([sys.prefix, _environment()])[:12]}.json" if folder else None


def listing_key() -> str:
    """Digest of what decides a listing: versions, environment, and the files of dabench and of the plugins."""
    entries = list(entry_points(group=GROUP))
    named = [e for e in _environment()[0].split(os.pathsep) if e]
    places = [Path(__file__).parents[1], *_places(entries), *map(Path, named)]
    return digest_of(
        [
            sys.version,
            sorted((e.name, e.value, *((e.dist.name, e.dist.version) if e.dist else ("", ""))) for e in entries),
            _environment(),
            [_state(Path(p)) for p in sys.path if Path(p).name in ("site-packages", "dist-packages")],
            [state for place in dict.fromkeys(places) for state in _files(place)],
        ]
    )


def _environment() -> list[str]:
    return [os.environ.get(name, "") for name in _ENVIRONMENT]


def _places(entries: Iterable[EntryPoint]) -> Iterator[Path]:
    """Packages and modules of the plugins, found without importing them."""
    for package in sorted({entry.module.partition(".")[0] for entry in entries}):
        with suppress(ImportError, ValueError):
            yield from _folders(find_spec(package))


def _folders(spec: ModuleSpec | None) -> Iterator[Path]:
    if spec is not None and spec.submodule_search_locations is not None:
        yield from map(Path, spec.submodule_search_locations)
    elif spec is not None and spec.origin:
        yield Path(spec.origin)


def _files(place: Path) -> Iterator[tuple[str, int, int]]:
    """Every file of a package, or the one file, with what it looks like now."""
    if not place.is_dir():
        yield _state(place)
    for folder, inner, names in os.walk(place):
        inner[:] = sorted(name for name in inner if name != "__pycache__")
        yield from (_state(Path(folder, name)) for name in sorted(names))


def _state(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except OSError:
        return str(path), 0, 0
    return str(path), found.st_mtime_ns, found.st_size


def listed(item: Registered) -> Listed:
    """A loaded component as listings show it."""
    c, presets = item.component, tuple(sorted(item.component.presets))
    return Listed(
        item.kind, item.name, c.summary, c.paper, c.licence, item.plugin, item.distribution, presets, dict(c.needs)
    )


def _settings(item: Registered, registry: Registry) -> ListedSettings:
    fields = item.component.config.model_fields
    values = {preset: _values(item, registry, preset) for preset in ("", *sorted(item.component.presets))}
    return ListedSettings({name: field.description or "" for name, field in fields.items()}, values)


def _values(item: Registered, registry: Registry, preset: str) -> dict[str, Any] | None:
    try:
        dumped: dict[str, Any] = registry.settings(item.kind, item.name, preset, {}).model_dump(mode="json")
    except ConfigError:
        return None
    return dumped


def _cached(path: Path, key: str) -> Listing | None:
    """The listing in a file, if it is whole and of this key."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["key"] != key:
            return None
        components = tuple(Listed(**_tuples(one)) for one in values["components"])
        settings = tuple(ListedSettings(**one) for one in values["settings"])
        return Listing(components, settings, tuple(PluginStatus(**one) for one in values["plugins"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return values | {"presets": tuple(values["presets"])}

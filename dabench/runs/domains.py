"""The domains that a task or a command may name: registered ones, and the user's own cards."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from dabench.components.assembly import Assembly
from dabench.components.registry import Registry
from dabench.data.user_cards import UnreadableDomain, user_domains
from dabench.data.volumes import open_volume
from dabench.errors import ConfigError, UnknownNameError
from dabench.files.workspace import Workspace
from dabench.interfaces import Domain, Volume


def all_domains(assembly: Assembly, workspace: Workspace) -> dict[str, Callable[[], Domain]]:
    """How to make each registered domain and each of the user's own, by name."""
    registered = {name: partial(assembly.domain, name) for name in assembly.registry.names("domain")}
    own = {name: partial(_usable, domain) for name, domain in _own(assembly.registry, workspace).items()}
    return {**registered, **own}


def known_domains(registry: Registry, workspace: Workspace) -> dict[str, Domain]:
    """Each domain with its default settings, by name."""
    registered = dict(zip(registry.names("domain"), registry.made("domain"), strict=True))
    return {**registered, **_own(registry, workspace)}


def _own(registry: Registry, workspace: Workspace) -> dict[str, Domain]:
    """The user's own domains; one with the name of a registered domain cannot be used, nor can that."""
    found = user_domains(workspace)
    for name in set(found) & set(registry.names("domain")):
        text = f"your card {name!r} has the same name as a plugin's domain."
        found[name] = UnreadableDomain(ConfigError(text, "Rename the card."))
    return found


def known_domain(registry: Registry, workspace: Workspace, name: str) -> Domain:
    """One of them. Raises UnknownNameError with the nearest names, ConfigError for a card that cannot be used."""
    known = known_domains(registry, workspace)
    if name not in known:
        raise UnknownNameError("domain", name, known)
    return _usable(known[name])


def check_free(registry: Registry, name: str) -> None:
    """Raises ConfigError for a name that a plugin's domain has."""
    if name in registry.names("domain"):
        plugin = registry.get("domain", name).plugin
        raise ConfigError(f"domain {name!r} is already registered by plugin {plugin}.", "Choose another name.")


def opener(registry: Registry) -> Callable[[Path], Volume]:
    """What opens any file or folder with the registered readers (`dabench.data.volumes.open_volume`)."""
    readers = registry.made("reader")
    return lambda path: open_volume(path, readers)


def _usable(domain: Domain) -> Domain:
    return domain.refuse() if isinstance(domain, UnreadableDomain) else domain

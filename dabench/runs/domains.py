"""The domains that a task or a command may name: registered ones, and the user's own cards."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from dabench.components.assembly import Assembly
from dabench.components.registry import Registry
from dabench.data.card_domain import user_domains
from dabench.data.volumes import open_volume
from dabench.errors import ConfigError, UnknownNameError
from dabench.files.workspace import Workspace
from dabench.interfaces import Domain, Volume


def all_domains(assembly: Assembly, workspace: Workspace) -> dict[str, Callable[[], Domain]]:
    """How to make each registered domain and each of the user's own, by name.

    Raises:
        ConfigError: a card of the user's has the name of a registered domain.
    """
    found: dict[str, Callable[[], Domain]] = {
        name: partial(assembly.domain, name) for name in assembly.registry.names("domain")
    }
    for name, domain in user_domains(workspace):
        if name in found:
            raise ConfigError(
                f"your card {name!r} has the name of a domain that a plugin registers.", "Rename the card."
            )
        found[name] = partial(_same, domain)
    return found


def known_domains(registry: Registry, workspace: Workspace) -> dict[str, Domain]:
    """Each domain with its default settings, by name. Raises ConfigError for a card that cannot be read."""
    return {**dict(user_domains(workspace)), **registry.made("domain")}


def known_domain(registry: Registry, workspace: Workspace, name: str) -> Domain:
    """One of them. Raises UnknownNameError with the nearest names."""
    known = known_domains(registry, workspace)
    if name not in known:
        raise UnknownNameError("domain", name, known)
    return known[name]


def check_free(registry: Registry, name: str) -> None:
    """Raises ConfigError for a name that a plugin's domain has."""
    if name in registry.names("domain"):
        plugin = registry.get("domain", name).plugin
        raise ConfigError(f"domain {name!r} is already registered by plugin {plugin}.", "Choose another name.")


def opener(registry: Registry) -> Callable[[Path], Volume]:
    """What opens any file or folder with the registered readers (`dabench.data.volumes.open_volume`)."""
    readers = list(registry.made("reader").values())
    return lambda path: open_volume(path, readers)


def _same(domain: Domain) -> Domain:
    return domain

"""The domains that a task may name: registered ones, and the user's own cards."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from dabench.components.assembly import Assembly
from dabench.data.card_domain import user_domains
from dabench.errors import ConfigError
from dabench.files.workspace import Workspace
from dabench.interfaces import Domain


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


def _same(domain: Domain) -> Domain:
    return domain

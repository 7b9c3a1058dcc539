"""A registry with one component that somebody made badly, and what the conformance suite says of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from dabench.components.hookspecs import KINDS
from dabench.components.registry import PluginStatus, Registry
from dabench.plugin import Component, hookimpl
from dabench.testing import check_components


def problems(kind: str, factory: Any, name: str = "broken", **record: Any) -> dict[str, str]:
    """Check names and messages of what is wrong with one component."""
    component = Component(name, factory, **{"summary": "broken", "licence": "MIT", **record})
    registry = Registry.load()

    @hookimpl
    def hook(register):
        register(component)

    registry.add(SimpleNamespace(**{KINDS[kind]: hook}), PluginStatus("broken-plugin", "broken-dist"))
    assert not registry.plugins["broken-plugin"].error
    return {o.check: o.problem for o in check_components(registry, [registry.get(kind, name)]) if o.problem}

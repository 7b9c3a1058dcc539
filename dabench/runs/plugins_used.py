"""Which plugins a run was made with: what to install to make it again elsewhere."""

from __future__ import annotations

from dabench.components.registry import Registry
from dabench.runs.keys import parts_of
from dabench.runs.plan import Plan
from dabench.tracking.events import PluginUsed


def plugins_used(plan: Plan, registry: Registry) -> tuple[PluginUsed, ...]:
    """The plugins that brought a plan's components, by name."""
    parts = [("method", plan.config.method), ("protocol", plan.config.protocol), ("selector", plan.choice.name)]
    parts += [("domain", name) for name in plan.task.domains]
    parts += [part for stage in plan.stages for part in parts_of(stage.spec)]
    found: dict[str, set[tuple[str, str]]] = {}
    for kind, name in parts:
        if name in registry.names(kind):  # one's own domains are cards
            found.setdefault(registry.get(kind, name).plugin, set()).add((kind, name))
    return tuple(_used(registry, plugin, sorted(found[plugin])) for plugin in sorted(found))


def _used(registry: Registry, plugin: str, parts: list[tuple[str, str]]) -> PluginUsed:
    status, names = registry.plugins[plugin], tuple(f"{kind}:{name}" for kind, name in parts)
    return PluginUsed(plugin, status.distribution, status.version, registry.source_digest(*parts[0]), names)

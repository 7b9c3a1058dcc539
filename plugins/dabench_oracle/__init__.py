"""Oracle: the source-only recipe trained on the *target's* dense training labels; every table's upper bracket.

It is the one method that reads target labels without the annotation desk. It is never ranked.
"""

from __future__ import annotations

from dataclasses import replace

from dabench.plugin import Budget, Component, Components, Method, Register, Settings, StageSpec, TaskInfo, hookimpl


class OracleSettings(Settings):
    """The oracle has no settings of its own: it takes those of ``source-only``, so that the brackets compare."""


class Oracle(Method):
    """The stages of ``source-only``, fed with the labelled target."""

    def __init__(self, settings: OracleSettings, components: Components) -> None:
        """Keep the way to the other method."""
        del settings
        self.components = components

    def stages(self, task: TaskInfo, budget: Budget) -> list[StageSpec]:
        specs = self.components.method("source-only").stages(task, budget)
        return [replace(spec, crops=replace(spec.crops, labelled="target"), title="oracle") for spec in specs]


@hookimpl
def register_methods(register: Register) -> None:
    """Register ``oracle``."""
    register(
        Component(
            name="oracle",
            bracket="upper",
            factory=Oracle,
            config=OracleSettings,
            summary="Train on the target's dense labels (upper bracket of every table; never ranked).",
            paper="Prefer-DAS (2026), Table I, Oracle",
            licence="Apache-2.0, own implementation",
        )
    )

"""Oracle: the source-only recipe trained on the *target's* dense training labels; every table's upper bracket.

It is the one method that reads target labels without the annotation desk. It is never ranked. With ``start=source`` it
goes on from the source model, as domain adaptation does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from dabench.plugin import (
    Budget,
    Component,
    Components,
    Method,
    Register,
    Settings,
    Stage,
    StageSpec,
    TaskInfo,
    hookimpl,
)


class OracleSettings(Settings):
    """Where it starts; all else are the settings of ``source-only``, so that the brackets compare."""

    start: Literal["scratch", "source"] = Field(
        "scratch",
        description="Train on the target from scratch, or continue from the source model (paper: not stated).",
    )


class Oracle(Method):
    """The stages of ``source-only``, fed with the labelled target."""

    def __init__(self, settings: OracleSettings, components: Components) -> None:
        """Keep the way to the other method."""
        self.settings, self.components = settings, components

    def stages(self, task: TaskInfo, budget: Budget) -> list[StageSpec]:
        source = self.components.method("source-only").stages(task, budget)
        target = [replace(spec, crops=replace(spec.crops, labelled="target"), title="oracle") for spec in source]
        if self.settings.start == "scratch":
            return target
        return [*source, _continued(target[-1], self.settings)]


def _continued(spec: StageSpec, settings: OracleSettings) -> StageSpec:
    """The same training, which starts with the weights of its parent."""

    def build(parent: Stage | None) -> Stage:
        assert parent is not None
        stage = spec.build(None)
        stage.network().load_state_dict(parent.network().state_dict())
        return stage

    parts = (*spec.components, ("method", spec.method))
    return replace(spec, name="oracle", method="oracle", config=settings, components=parts, build=build)


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

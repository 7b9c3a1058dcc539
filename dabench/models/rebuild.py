"""A trained stage built again from names and settings: without opening data, asking raters or downloading."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from dabench.components.assembly import Assembly
from dabench.components.registry import Registry
from dabench.errors import DabenchError, PluginError, UnknownNameError
from dabench.interfaces import Budget, Stage, StageSpec, TaskInfo
from dabench.models.card import PartCard
from dabench.runs.config import RunConfig
from dabench.runs.weights import WeightsStore
from dabench.training.train_stage import build_stage

#: Components whose pretrained weights are overwritten by the trained ones.
_PRETRAINED = ("backbone", "network", "method")


class BareAssembly(Assembly):
    """Components as a run had them, but with new weights where the run began with pretrained ones."""

    def __init__(self, registry: Registry, config: RunConfig) -> None:
        """Options of components that are not installed are left out: what the model needs is checked by name."""
        known = {key: values for key, values in config.options.items() if _is_known(registry, key)}
        super().__init__(registry, config.model_copy(update={"options": known}), WeightsStore(Path()))

    def config(self, kind: str, name: str) -> Any:
        """As the run had them, ``pretrained`` apart."""
        settings = super().config(kind, name)
        if kind in _PRETRAINED and getattr(settings, "pretrained", "none") != "none":
            return settings.model_copy(update={"pretrained": "none"})
        return settings


def _is_known(registry: Registry, key: str) -> bool:
    kind, colon, name = key.rpartition(":")
    return kind in registry.kinds_of(name) if colon else bool(registry.kinds_of(name))


def stage_specs(assembly: Assembly, info: TaskInfo, budget: Budget) -> list[StageSpec]:
    """The run's stages. Raises PluginError where the method's plugin is not here."""
    try:
        return assembly.method(assembly.run.method).stages(info, budget)
    except UnknownNameError as error:
        raise PluginError(
            f"the model needs a component that is not installed: {error.message}",
            "Install its plugin, or load its file:  dabench --plugin FILE …;  to list plugins: dabench plugins",
        ) from None


def up_to(stage: str, specs: Sequence[StageSpec]) -> Sequence[StageSpec]:
    """The stages up to the one that predicts: later ones are no part of the model of a run that fell back.

    All of them where no stage is called so.
    """
    names = [spec.name for spec in specs]
    return specs[: names.index(stage) + 1] if stage in names else specs


def check_parts(registry: Registry, parts: Sequence[PartCard], where: str) -> list[str]:
    """What differs between the plugins here and those of the model, in words.

    Raises:
        PluginError: one is not installed; names it and its distribution.
    """
    changed = []
    for part in parts:
        if part.name not in registry.names(part.kind):
            raise PluginError(
                f"{where}: needs {part.kind.replace('_', ' ')} {part.name!r}, which is not installed.",
                _mend(registry, part),
            )
        if part.source and registry.source_digest(part.kind, part.name) != part.source:
            changed.append(f"{part.kind.replace('_', ' ')} {part.name!r} of {part.distribution}")
    return changed


def _mend(registry: Registry, part: PartCard) -> str:
    broken = next((p for p in registry.failures() if p.distribution == part.distribution), None)
    if broken is not None:
        return f"{part.distribution} is installed, but its plugin {broken.name!r} does not load: {broken.error}"
    if part.distribution.startswith("file "):
        return f"It came from a single file:  dabench --plugin {part.distribution.removeprefix('file ')} …"
    return f"Install {part.distribution} {part.version}".rstrip() + ", which brings it."


def rebuild(specs: Sequence[StageSpec], where: str) -> Stage:
    """The last stage on untrained parents; the process's random state stays as it was.

    Raises:
        PluginError: a plugin cannot build it without what it was trained with.
    """
    with torch.random.fork_rng(devices=[]):
        stage: Stage | None = None
        for spec in specs:
            try:
                stage = build_stage(spec, stage, 0)
            except DabenchError:
                raise
            except Exception as error:
                raise PluginError(
                    f"{where}: stage {spec.name!r} of method {spec.method!r} cannot be built without its data: "
                    f"{type(error).__name__}: {error}",
                    "A stage's build gets its parent and settings, and must not use anything else (docs/hooks.md).",
                ) from error
    assert stage is not None
    return stage

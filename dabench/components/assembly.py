"""Names to objects: every component of one run, made from the registry with the run's settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from dabench.components.registry import Registry
from dabench.errors import ConfigError, PluginError, UnknownNameError
from dabench.files.values import respelled
from dabench.interfaces import (
    Components,
    Domain,
    EvaluationProtocol,
    Method,
    PreferenceOptimizer,
    Reader,
    Selector,
    SelfTraining,
    WeakLabel,
)


class ComponentChoice(Protocol):
    """What an assembly reads of a run's configuration."""

    @property
    def method(self) -> str:
        """Name of the method."""

    @property
    def preset(self) -> str:
        """Name of the preset."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """Settings of the method and of those that it builds on."""

    @property
    def options(self) -> Mapping[str, Mapping[str, Any]]:
        """The user's settings of components, by name or ``kind:name``."""


class WeightsSaid(Protocol):
    """What is recorded of added weights."""

    @property
    def saw(self) -> tuple[str, ...] | None:
        """Domains that they were trained on; None if that is unknown."""


class WeightsFiles(Protocol):
    """Weights that were added, by name."""

    def record(self, name: str) -> WeightsSaid | None:
        """What is recorded of a name, or None."""

    def find(self, name: str) -> Path | None:
        """The file of a name with its digest checked, or None."""

    def digest(self, name: str) -> str:
        """SHA-256 of that file; "" when it was not added."""


class Assembly(Components):
    """Makes components by name. A setting is the component's default, the preset's value, or the user's."""

    def __init__(self, registry: Registry, config: ComponentChoice, weights: WeightsFiles) -> None:
        """Check that every option names a component that exists."""
        self.registry, self.run, self.weights = registry, config, weights
        self._options = {self._resolve(key): (key, values) for key, values in config.options.items()}
        self._used: set[tuple[str, str]] = set()
        presets = {preset for item in registry for preset in item.component.presets}
        if config.preset not in presets:
            raise UnknownNameError("preset", config.preset, presets)

    def _resolve(self, key: str) -> tuple[str, str]:
        """(kind, name) of an options key: a component's name, or ``kind:name`` where the name is in several kinds."""
        kind, colon, name = key.partition(":")
        if colon:
            return kind, self.registry.get(kind, name).name
        kinds = self.registry.kinds_of(key)
        if not kinds:
            raise UnknownNameError("component in options", key, {item.name for item in self.registry})
        if len(kinds) > 1:
            raise ConfigError(f"options {key!r}: it is a {' and a '.join(kinds)}.", f"Write {kinds[0]}:{key}.")
        return kinds[0], key

    # ------------------------------------------------------------------------------------------------- settings
    def config(self, kind: str, name: str) -> Any:
        """The validated settings of a component in this run."""
        self._used.add((kind, name))
        _, options = self._options.get((kind, name), ("", {}))
        values = {**self._given(kind, name), **options}
        return self.registry.settings(kind, name, self.run.preset, values)

    def _given(self, kind: str, name: str) -> dict[str, Any]:
        """What of the run's settings a method gets: a choice goes to every method that has it, a number to one.

        ``backbone: conv-small`` holds for the whole chain; ``iterations: 100`` for the run's method, or where that has
        no such setting, for those it builds on.
        """
        if kind != "method" or not self.run.settings:
            return {}
        fields, own = (self.registry.get(kind, n).component.config.model_fields for n in (name, self.run.method))
        given = {k: v for k, v in self.run.settings.items() if k in fields}
        return {k: v for k, v in given.items() if name == self.run.method or isinstance(v, str) or k not in own}

    def check_used(self) -> None:
        """Raises ConfigError for options and settings that this run would silently ignore."""
        idle = [key for pair, (key, _) in self._options.items() if pair not in self._used]
        if idle:
            used = sorted(f"{name}" for _, name in self._used)
            raise ConfigError(f"options {', '.join(idle)}: this run does not use them.", f"It uses: {', '.join(used)}.")
        fields = {
            f for k, n in self._used if k == "method" for f in self.registry.get(k, n).component.config.model_fields
        }
        for key in self.run.settings:
            if key not in fields:
                near = UnknownNameError("setting", key, fields)
                raise ConfigError(
                    f"method {self.run.method!r} has no setting {key!r}: it would have no effect.", near.mend
                )

    def check_spelling(self) -> None:
        """Raises ConfigError for a value of another kind than its setting: what means the same is to be one cell."""
        for kind, name in sorted(self._used):
            kept = self.config(kind, name).model_dump()
            _, options = self._options.get((kind, name), ("", {}))
            for key, value in {**self._given(kind, name), **options}.items():
                if respelled(value, kept[key]):
                    raise ConfigError(
                        f"{name}.{key} = {value!r}: a value of another kind than the setting's.",
                        f"Write {json.dumps(kept[key], default=str)}.",
                    )

    # -------------------------------------------------------------------------------------------------- objects
    def _make(self, kind: str, name: str, injected: Mapping[str, Any], expected: type) -> Any:
        item = self.registry.get(kind, name)
        try:
            made = item.component.factory(self.config(kind, name), **injected)
        except (ConfigError, UnknownNameError):
            raise
        except TypeError as error:
            raise PluginError(f"{kind} {name!r} of {item.distribution}: its factory failed: {error}") from error
        if not isinstance(made, expected):
            raise PluginError(
                f"{kind} {name!r} of {item.distribution}: the factory gave a {type(made).__name__}, "
                f"not a {expected.__name__}"
            )
        return made

    def backbone(self, name: str) -> nn.Module:
        """A new backbone; where its settings have ``pretrained``, with the file of that name."""
        module: nn.Module = self._make("backbone", name, self._pretrained("backbone", name), nn.Module)
        return module

    def _pretrained(self, kind: str, name: str) -> dict[str, Any]:
        """The added weights that a component's settings name, None when they were not added; {} when they name none."""
        wanted = getattr(self.config(kind, name), "pretrained", "none")
        return {} if wanted == "none" else {"weights": self.weights.find(wanted)}

    def network(self, name: str, backbone: str) -> nn.Module:
        """A new network on a new backbone; ``none`` for a published network that is its own encoder."""
        encoder = None if backbone == "none" else self.backbone(backbone)
        injected = {"backbone": encoder, **self._pretrained("network", name)}
        module: nn.Module = self._make("network", name, injected, nn.Module)
        return module

    def self_training(self, name: str) -> SelfTraining:
        """A new self-training scheme."""
        made: SelfTraining = self._make("self_training", name, {}, SelfTraining)
        return made

    def preference_optimizer(self, name: str) -> PreferenceOptimizer:
        """A new preference optimizer."""
        made: PreferenceOptimizer = self._make("preference_optimizer", name, {}, PreferenceOptimizer)
        return made

    def method(self, name: str) -> Method:
        """A method that takes its components from this assembly; with a setting ``pretrained``, also ``weights``."""
        made: Method = self._make("method", name, {"components": self, **self._pretrained("method", name)}, Method)
        return made

    def domain(self, name: str) -> Domain:
        """A data set."""
        made: Domain = self._make("domain", name, {}, Domain)
        return made

    def protocol(self, name: str) -> EvaluationProtocol:
        """A fresh protocol."""
        made: EvaluationProtocol = self._make("protocol", name, {}, EvaluationProtocol)
        return made

    def selector(self, name: str) -> Selector:
        """A rule that chooses checkpoint and threshold."""
        made: Selector = self._make("selector", name, {}, Selector)
        return made

    def weak_labels(self) -> dict[str, WeakLabel]:
        """All kinds of annotation, by name."""
        return {name: self._make("weak_label", name, {}, WeakLabel) for name in self.registry.names("weak_label")}

    def readers(self) -> list[Reader]:
        """All readers, by name."""
        return [self._make("reader", name, {}, Reader) for name in self.registry.names("reader")]

"""Every extension point of dabench: one hook per kind of component, called with ``register``.

A plugin is a module (or object) with any of these functions, marked ``@hookimpl``, behind an entry point in the
group ``dabench``. ``register`` takes one `Component`. dabench's own plugins use the same hooks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pluggy

from dabench.files.values import StrictModel
from dabench.interfaces import PublishedWeights
from dabench.types import API_VERSION

GROUP = "dabench"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


class Settings(StrictModel):
    """Base of every component's settings: frozen, unknown keys refused; one sentence per field.

    A subclass changes a default by declaring the field again; range and description are kept.

    >>> from pydantic import Field
    >>> class Slow(Settings):
    ...     lr: float = Field(1e-3, gt=0, description="Learning rate.")
    >>> class Slower(Slow):
    ...     lr: float = 1e-5
    >>> Slower.model_fields["lr"].description
    'Learning rate.'
    """

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        """Take over range and sentence of fields that are said again without them."""
        super().__pydantic_init_subclass__(**options)
        inherited = {k: v for parent in reversed(cls.__bases__) for k, v in getattr(parent, "model_fields", {}).items()}
        again = [n for n in cls.__annotations__ if n in inherited and cls.model_fields[n].description is None]
        for name in again:
            cls.model_fields[name].description = inherited[name].description
            cls.model_fields[name].metadata = inherited[name].metadata
        if again:
            cls.model_rebuild(force=True)


@dataclass(frozen=True)
class Component:
    """A registered component. Listings, docs, configuration and tracking only use this record.

    Args:
        name: unique among components of its kind.
        factory: makes it. Called with its settings, then by kind: a network also gets ``backbone``,
            a method also gets ``components``; with a setting ``pretrained``, these three also get ``weights``.
        config: its settings class.
        summary: description for listings, one line.
        paper: title, year and link of the paper that it implements.
        licence: licence or terms of what it builds on.
        presets: values of its settings for the presets ``tiny``, ``small``, ``paper`` (and any other name).
        tags: settings of a method that tell its variants apart: tags of every run, and part of a row's name.
        bracket: of a method: ``lower`` or ``upper`` where it brackets a table (no adaptation; trained on target
            labels, which is never ranked).
        needs: packages that it imports and dabench does not bring: module to what installs it,
            ``{"transformers": "dabench[sam]"}``. Without them it is listed as needing them.
        weights: published weights that its setting ``pretrained`` may name.
        api_version: version of the contracts that it was written for.
    """

    name: str
    factory: Callable[..., Any]
    config: type[Settings] = Settings
    summary: str = ""
    paper: str = ""
    licence: str = ""
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    bracket: str = ""
    needs: Mapping[str, str] = field(default_factory=dict)
    weights: tuple[PublishedWeights, ...] = ()
    api_version: int = API_VERSION


Register = Callable[[Component], None]


@hookspec
def register_backbones(register: Register) -> None:
    """Image encoders: ``factory(config) -> torch.nn.Module``, ``(B, 1, H, W)`` to a list of feature maps."""


@hookspec
def register_networks(register: Register) -> None:
    """Segmentation networks on a backbone: ``factory(config, backbone=...) -> torch.nn.Module``."""


@hookspec
def register_weak_labels(register: Register) -> None:
    """Kinds of annotation: ``factory(config) -> WeakLabel``."""


@hookspec
def register_self_training(register: Register) -> None:
    """Pseudo-label schemes: ``factory(config) -> SelfTraining``."""


@hookspec
def register_preference_optimizers(register: Register) -> None:
    """Losses that learn from preferences: ``factory(config) -> PreferenceOptimizer``."""


@hookspec
def register_methods(register: Register) -> None:
    """Recipes: ``factory(config, components=...) -> Method``."""


@hookspec
def register_domains(register: Register) -> None:
    """Data sets: ``factory(config) -> Domain``."""


@hookspec
def register_protocols(register: Register) -> None:
    """Rules of scoring: ``factory(config) -> EvaluationProtocol``."""


@hookspec
def register_readers(register: Register) -> None:
    """File formats: ``factory(config) -> Reader``."""


@hookspec
def register_selectors(register: Register) -> None:
    """Label-free choices of checkpoint and threshold: ``factory(config) -> Selector``."""


@hookspec
def register_suites(register: Register) -> None:
    """Files of cells: ``factory(config) -> Path`` of a YAML file (`dabench.suites.spec`)."""


#: kind -> hook that fills it.
KINDS: Mapping[str, str] = {
    "backbone": "register_backbones",
    "network": "register_networks",
    "weak_label": "register_weak_labels",
    "self_training": "register_self_training",
    "preference_optimizer": "register_preference_optimizers",
    "method": "register_methods",
    "domain": "register_domains",
    "protocol": "register_protocols",
    "reader": "register_readers",
    "selector": "register_selectors",
    "suite": "register_suites",
}

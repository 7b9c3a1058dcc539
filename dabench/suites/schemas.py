"""JSON schemas of the files that people write: cards, configurations and suites; editors complete and check by them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from dabench.components.registry import Registry
from dabench.data.card import Card
from dabench.errors import UnknownNameError
from dabench.runs.config import RunConfig
from dabench.suites.spec import Suite

#: What a schema can be asked for.
SCHEMAS = ("card", "config", "suite")
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
#: Settings of a run that name a component of this kind.
_NAMED = {"method": "method", "protocol": "protocol", "selector": "selector"}


def schema(of: str, registry: Registry) -> dict[str, Any]:
    """The schema of a kind of file, with the components that are installed here.

    Args:
        of: ``card``, ``config`` or ``suite``.
        registry: what the methods, protocols and options of a configuration are taken from.

    Returns:
        A JSON schema (2020-12) as plain values.

    Raises:
        UnknownNameError: another kind of file.

    Example:
        >>> sorted(schema("card", Registry.load())["required"])
        ['description', 'name', 'splits', 'voxel']
    """
    if of not in SCHEMAS:
        raise UnknownNameError("schema", of, SCHEMAS)
    made = {"card": _card, "config": _config, "suite": _suite}[of](registry)
    return {"$schema": _DIALECT, "title": f"dabench {of}", **made}


def _card(registry: Registry) -> dict[str, Any]:
    del registry
    return _titled(Card.model_json_schema())


def _config(registry: Registry) -> dict[str, Any]:
    definitions = _run_definitions(registry)
    return {**definitions.pop("RunConfig"), "$defs": definitions}


def _suite(registry: Registry) -> dict[str, Any]:
    """A suite, whose rows and common settings hold any part of a configuration."""
    definitions = _run_definitions(registry)
    part = definitions.pop("RunConfig")
    part.pop("required", None)
    found = _titled(Suite.model_json_schema())
    definitions |= {**found.pop("$defs"), "Settings": part}
    found["properties"]["settings"] |= {"$ref": "#/$defs/Settings"}
    found["properties"]["rows"]["additionalProperties"] = {"$ref": "#/$defs/Settings"}
    values = definitions["Published"]["properties"]["values"]["additionalProperties"]
    number = {"type": ["number", "null"]}
    either = [{"type": "array", "items": number}, {"type": "object", "additionalProperties": number}]
    values["additionalProperties"] = {"anyOf": either}
    return {**found, "$defs": definitions}


def _run_definitions(registry: Registry) -> dict[str, Any]:
    """Definitions of a configuration and of all components' settings, which stand below ``options`` by name."""
    items = [item for item in registry if item.component.config.model_fields]
    names = [i.name if len(registry.kinds_of(i.name)) == 1 else f"{i.kind}:{i.name}" for i in items]
    models = {name: item.component.config for name, item in zip(names, items, strict=True)}
    every: set[type[BaseModel]] = {RunConfig, *models.values()}
    places, made = models_json_schema([(model, "validation") for model in every])
    definitions: dict[str, Any] = {name: _titled(one) for name, one in deepcopy(made["$defs"]).items()}
    options = {name: places[model, "validation"] for name, model in sorted(models.items())}
    run = definitions["RunConfig"]
    run["additionalProperties"] = True  # any other key is a setting of the method
    run["properties"]["options"] |= {"properties": options, "additionalProperties": {"type": "object"}}
    for setting, kind in _NAMED.items():
        run["properties"][setting]["examples"] = sorted(registry.names(kind))
    return definitions


def _titled(one: dict[str, Any]) -> dict[str, Any]:
    """A schema without pydantic's titles of fields, which repeat their names."""
    for field in one.get("properties", {}).values():
        field.pop("title", None)
    return one

"""Checks of every component's record: name, summary, licence, settings and presets."""

from __future__ import annotations

import json
import re

from pydantic import BaseModel, ValidationError

from dabench.components.registry import Registered
from dabench.testing.fixtures import Fixtures
from dabench.testing.outcomes import Check, Violation, expect

#: Lower-case words joined by - + or . , with an optional version.
NAME = re.compile(r"[a-z0-9]+([-.+]+[a-z0-9]+)*\+*(@[0-9]+)?")
#: A suite may lie in a group: ``paper/table-2``.
_GROUPED = re.compile(rf"({NAME.pattern}/)*{NAME.pattern}")
_LONGEST_SUMMARY = 240


def named(fixtures: Fixtures, item: Registered) -> None:
    """The name can be typed, stored in a file name and looked up."""
    del fixtures
    rule = _GROUPED if item.kind == "suite" else NAME
    expect(
        rule.fullmatch(item.name),
        f"name {item.name!r}: use lower-case letters and digits joined by '-', '.' or '+', and @1 for a version",
    )


def described(fixtures: Fixtures, item: Registered) -> None:
    """A one-line summary, and a licence or terms."""
    del fixtures
    c = item.component
    expect(c.summary.strip(), f"Component({item.name!r}).summary is empty; listings show it")
    expect("\n" not in c.summary.strip(), f"Component({item.name!r}).summary has more than one line")
    expect(len(c.summary) <= _LONGEST_SUMMARY, f"summary has {len(c.summary)} characters, at most {_LONGEST_SUMMARY}")
    expect(c.licence.strip(), f"Component({item.name!r}).licence is empty; say under which terms it can be used")


def strict_settings(fixtures: Fixtures, item: Registered) -> None:
    """The settings class is frozen, refuses unknown keys, and describes every field."""
    del fixtures
    config = item.component.config
    expect(isinstance(config, type) and issubclass(config, BaseModel), f"config is {config!r}, not a pydantic class")
    for key, value in (("frozen", True), ("extra", "forbid")):
        seen = config.model_config.get(key)
        expect(
            seen == value,
            f"{config.__name__}.model_config[{key!r}] is {seen!r}, not {value!r}: inherit dabench.Settings",
        )
    for name, field in config.model_fields.items():
        expect((field.description or "").strip(), f"{config.__name__}.{name} has no description")


def refuses_unknown_keys(fixtures: Fixtures, item: Registered) -> None:
    """A misspelt setting is an error."""
    del fixtures
    try:
        item.component.config.model_validate({"no_such_setting_": 1})
    except ValidationError:
        return
    raise Violation(f"{item.component.config.__name__} accepts the unknown key 'no_such_setting_'")


def valid_presets(fixtures: Fixtures, item: Registered) -> None:
    """Defaults and every preset are valid settings that can be written as JSON and read back."""
    for preset in ("", *item.component.presets):
        where = f"preset {preset!r}" if preset else "defaults"
        try:
            settings = fixtures.registry.settings(item.kind, item.name, preset, {})
            again = type(settings).model_validate(json.loads(json.dumps(settings.model_dump(mode="json"))))
        except Exception as error:
            raise Violation(f"{where}: {error}") from None
        expect(again == settings, f"{where}: not the same after writing and reading JSON: {again!r} != {settings!r}")


CHECKS = (
    Check("name", named),
    Check("summary and licence", described),
    Check("strict settings", strict_settings),
    Check("refuses unknown keys", refuses_unknown_keys),
    Check("valid presets", valid_presets),
)

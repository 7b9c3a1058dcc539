"""YAML files: the only place that imports yaml."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from dabench.errors import ConfigError
from dabench.files.atomic import write_text

if TYPE_CHECKING:
    from pathlib import Path


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file whose top level is a mapping (an empty file gives an empty one).

    Raises:
        ConfigError: it does not exist, is not YAML (names line and column) or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a text file.") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """YAML text whose top level is a mapping; ``where`` names it in errors."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise ConfigError(f"{where}:{place} {problem}.") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: expected a mapping of keys to values, found a {type(value).__name__}.")
    return value


def write_yaml(path: Path, value: dict[str, Any]) -> None:
    """Write a mapping as YAML, atomically, keys in the order given."""
    write_text(path, dump_yaml(value))


def dump_yaml(value: dict[str, Any]) -> str:
    """A mapping as YAML text, keys in the order given; short lists on one line."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)


def parse_value(text: str, where: str) -> Any:
    """One YAML value of any kind (``0.99``, ``true``, ``[1, 2]``, ``word``). Raises ConfigError."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: {text!r} is not a value ({getattr(error, 'problem', error)}).") from None

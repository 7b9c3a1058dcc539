"""YAML files: the only place that imports yaml.

Versions 1.1 and 1.2 of YAML read some words differently (``yes``, ``010``, ``1:30``), and so do people: those are
refused, and so is a key that stands twice. ``5e-4`` is a number, as version 1.2 has it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml
from yaml.constructor import ConstructorError

from dabench.errors import ConfigError
from dabench.files.atomic import write_text

if TYPE_CHECKING:
    from pathlib import Path

    from yaml.nodes import MappingNode, ScalarNode

#: Plain words that are numbers or truth values in version 1.2 ("core schema"); null is the same in both.
_CORE = {
    "tag:yaml.org,2002:bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    "tag:yaml.org,2002:int": re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    "tag:yaml.org,2002:float": re.compile(
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
    ),
}
_TEXT, _INT, _FLOAT, _MERGE = (f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "merge"))
#: Values that aliases may stand for.
_MOST = 100_000
#: Words whose reading did not change between the versions, whatever `_CORE` says of them.
_SAME = ("tag:yaml.org,2002:null", _MERGE)


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML without what is read in two ways, and without aliases that expand to huge documents."""

    def get_single_node(self) -> Any:
        node: Any = super().get_single_node()
        sizes: dict[int, int] = {}
        if node is not None and _written_out(node, sizes) > max(_MOST, 2 * len(sizes)):
            raise ConstructorError(None, None, f"its aliases stand for more than {_MOST} values", node.start_mark)
        return node

    def compose_scalar_node(self, anchor: Any) -> ScalarNode:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        node: ScalarNode = super().compose_scalar_node(anchor)
        if event.implicit[0] and node.tag not in _SAME:  # neither in quotes nor with a tag
            self._settle(node)
        return node

    def _settle(self, node: ScalarNode) -> None:
        """Read a plain word as both versions do, as a number where only 1.2 sees one with a point or an exponent."""
        core = next((tag for tag, pattern in _CORE.items() if pattern.fullmatch(node.value)), _TEXT)
        if node.tag == _TEXT and core == _FLOAT:
            node.tag = core
        elif core != node.tag or (core == _INT and re.match(r"[-+]?0[0-9]", node.value)):
            raise ConstructorError(None, None, _two_readings(node, core), node.start_mark)

    def compose_mapping_node(self, anchor: Any) -> MappingNode:
        node: MappingNode = super().compose_mapping_node(anchor)
        seen: dict[Any, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            value, line = self.construct_object(key), key.start_mark.line + 1
            if value in seen:
                raise ConstructorError(
                    None, None, f"the key {value!r} stands twice, first in line {seen[value]}", key.start_mark
                )
            seen[value] = line
        return node


def _written_out(node: Any, sizes: dict[int, int]) -> int:
    """How many values a node is with its aliases written out. Raises ConstructorError for one that holds itself."""
    if (known := sizes.get(id(node))) is not None:
        if not known:
            raise ConstructorError(None, None, "an alias stands for what it lies in", node.start_mark)
        return known
    sizes[id(node)] = 0
    parts = () if isinstance(node, yaml.ScalarNode) else node.value
    inner = (part for pair in parts for part in pair) if isinstance(node, yaml.MappingNode) else parts
    sizes[id(node)] = 1 + sum(_written_out(part, sizes) for part in inner)
    return sizes[id(node)]


def _two_readings(node: ScalarNode, core: str) -> str:
    """What both versions make of a word, and how to write what is meant."""
    older = _spelt(yaml.SafeLoader("").construct_object(yaml.ScalarNode(node.tag, node.value)))
    newer = _spelt(int(node.value, 8 if "o" in node.value else 10) if core == _INT else node.value)
    return f"{node.value!r} is {older} to YAML 1.1 and {newer} to YAML 1.2: write {older} or {newer}"


def _spelt(value: Any) -> str:
    return repr(value) if isinstance(value, str) else str(value).lower()


class _Dumper(yaml.SafeDumper):
    """Quotes also what only version 1.2 takes for a number, so that a word is read back as a word."""


for _tag in (_INT, _FLOAT):
    _Dumper.add_implicit_resolver(_tag, _CORE[_tag], list("-+.0123456789"))


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file whose top level is a mapping (an empty file gives an empty one).

    Raises:
        ConfigError: it does not exist, is not YAML (names line and column) or holds something else; a key stands twice;
            a word has two readings.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a text file.") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """YAML text whose top level is a mapping; ``where`` names it in errors.

    >>> parse_yaml("{lr: 5e-4, on: true}", "run.yaml")
    Traceback (most recent call last):
    ...
    dabench.errors.ConfigError: run.yaml: line 1, column 12 'on' is true to YAML 1.1 and 'on' to YAML 1.2: write true \
or 'on'.
    >>> parse_yaml("{lr: 5e-4}", "run.yaml")
    {'lr': 0.0005}
    """
    value = _load(text, f"{where}:")
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: expected a mapping of keys to values, found a {type(value).__name__}.")
    return value


def _load(text: str, where: str) -> Any:
    try:
        return yaml.load(text, _StrictLoader)
    except RecursionError:
        raise ConfigError(f"{where} nested too deeply.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise ConfigError(f"{where}{place} {problem}.") from None


def write_yaml(path: Path, value: dict[str, Any]) -> None:
    """Write a mapping as YAML, atomically, keys in the order given."""
    write_text(path, dump_yaml(value))


def dump_yaml(value: dict[str, Any]) -> str:
    """A mapping as YAML text, keys in the order given; short lists on one line."""
    text: str = yaml.dump(value, None, _Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
    return text


def parse_value(text: str, where: str) -> Any:
    """One YAML value of any kind (``0.99``, ``true``, ``[1, 2]``, ``word``). Raises ConfigError.

    ``off`` and its like are words here: a command line has its own quotes.
    """
    if text.strip().lower() in ("yes", "no", "on", "off"):
        return text.strip()
    return _load(text, f"{where} {text!r}:")

"""Suites: files of cells. Rows of settings, crossed with axes, less what is excluded with a reason.

A file::

    name: components
    title: Which part of Prompt-DAS does what
    settings: {preset: small}                  # of every cell; any setting of a run, nested
    axes: {task: [vnc2lucchi], seed: [0, 1, 2]} # every combination; keys may be dotted: budget.points
    rows:                                       # optional; each name is a row of the table
      source: {method: source-only}
      no contrast: {method: prompt-das, options: {prompt-das: {contrast: 0}}}
      cafa: {method: cafa, per_task: {rat2human: {options: {cafa: {weight: 1}}}}}  # of a row on one task
      SAM: {unavailable: another kind of model}
    exclude: [{row: source, seed: [1, 2], why: one seed is enough}]
    contrasts: [[no contrast, source]]          # optional: what `dabench suite report` tests, named beforehand
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr, ValidationError, field_validator, model_validator

from dabench.components.registry import Registry
from dabench.errors import ConfigError, UnknownNameError
from dabench.files.digests import digest_of
from dabench.files.problems import problems
from dabench.files.values import StrictModel, canonical
from dabench.files.yaml import read_yaml
from dabench.runs.config import RunConfig, validate_config

#: Cells of a suite, at most: a plan of more takes minutes, and nobody reads its table.
_MOST_CELLS = 4000
#: Axes that are not part of a row's name: they are what a row is averaged over or has columns for.
_COLUMNS = ("task", "seed")


class Published(StrictModel):
    """Numbers that a paper prints for the rows of a suite, in per cent."""

    source: str = Field(description="Paper and table.")
    metrics: tuple[str, ...] = Field(("dice", "aji", "pq"), description="What a list of values means, in order.")
    note: str = Field("", description="What readers should know: oddities of the table, differing protocols.")
    values: dict[str, dict[str, dict[str, float]]] = Field(
        description="Row, task, then a list of values or a mapping of metrics (dice, points_15/dice) to values."
    )

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: Any) -> Any:
        """Give lists their metrics' names; null is a value that the paper does not print."""
        if not isinstance(values, dict) or not isinstance(values.get("values"), dict):
            return values
        metrics = values.get("metrics", cls.model_fields["metrics"].default)
        named = {
            row: {str(task): _named_values(found, metrics, f"{row}, {task}") for task, found in tasks.items()}
            for row, tasks in values["values"].items()
        }
        return {**values, "values": named}


def _named_values(found: Any, metrics: Sequence[str], where: str) -> Any:
    if isinstance(found, list):
        if len(found) != len(metrics):
            raise ValueError(f"{where}: {len(found)} values for {len(metrics)} metrics")
        found = dict(zip(metrics, found, strict=True))
    return {k: v for k, v in found.items() if v is not None} if isinstance(found, dict) else found


class Variant(StrictModel):
    """The scores of some tasks once more, without some slices of the test split; nothing is trained or predicted."""

    tasks: tuple[str, ...] = Field(min_length=1, description="Tasks of this variant.")
    without: tuple[int, ...] = Field(min_length=1, description="Slices of the test split that are left out, from 0.")


class Suite(StrictModel):
    """A validated suite file."""

    name: str = Field(description="Its identity: words joined by - and /; what --suite and MLflow's experiment say.")
    title: str = Field("", description="One line for listings.")
    settings: dict[str, Any] = Field(default_factory=dict, description="Settings of every cell.")
    axes: dict[str, list[Any]] = Field(default_factory=dict, description="Settings to cross, with their values.")
    rows: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Rows by name: their settings, or {unavailable: why}."
    )
    exclude: list[dict[str, Any]] = Field(
        default_factory=list, description="Cells left out: what they have (row or a setting: value or values), and why."
    )
    contrasts: tuple[tuple[str, str], ...] = Field(
        (), description="Pairs of rows, named in advance; `suite report` tests first minus second."
    )
    variants: dict[str, Variant] = Field(
        default_factory=dict, description="Scores of some tasks without some slices, by name."
    )
    published: Published | None = Field(None, description="A paper's numbers for the same rows.")
    #: Rows that a user chose (`with_rows`); not part of the file, and so not of the suite's record.
    _chosen: tuple[str, ...] = PrivateAttr(())

    @field_validator("name")
    @classmethod
    def _typeable(cls, value: str) -> str:
        if not re.fullmatch(r"[a-z0-9]+([-./+]?[a-z0-9]+)*", value):
            raise ValueError("use lower-case letters and digits, joined by - . + or /")
        return value

    @field_validator("axes")
    @classmethod
    def _filled(cls, value: dict[str, list[Any]]) -> dict[str, list[Any]]:
        for name, values in value.items():
            if not values or len({digest_of(canonical(v)) for v in values}) != len(values):
                raise ValueError(f"axis {name!r} needs one or more different values")
        return value

    @field_validator("exclude")
    @classmethod
    def _reasoned(cls, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for one in value:
            if not str(one.get("why", "")).strip() or len(one) < 2:
                raise ValueError(f"{one}: give what is left out, and why ({{row: a, seed: [1, 2], why: ...}})")
        return value

    @field_validator("contrasts")
    @classmethod
    def _differing(cls, value: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        for first, second in value:
            if first == second:
                raise ValueError(f"[{first}, {second}]: a contrast needs two different rows")
        return value

    @property
    def chosen(self) -> dict[str, dict[str, Any]]:
        """The rows that a user chose, in the order of the file; all of them unless some were."""
        return {row: settings for row, settings in self.rows.items() if not self._chosen or row in self._chosen}

    @property
    def is_narrowed(self) -> bool:
        """Whether rows were chosen."""
        return bool(self._chosen)

    @property
    def unavailable(self) -> dict[str, str]:
        """Chosen rows that dabench cannot run, with the reason."""
        return {row: str(s["unavailable"]) for row, s in self.chosen.items() if "unavailable" in s}

    def changed(self, settings: Mapping[str, Any], axes: Mapping[str, Sequence[Any]]) -> Suite:
        """A copy with some settings and axes replaced: ``--preset``, ``--tasks``, ``--seeds``; the wider ones win."""
        base = deepcopy(self.settings)
        for path, value in settings.items():
            _put(base, path, value)
        kept = {k: v for k, v in self.axes.items() if k not in settings}
        crossed = {k: list(v) for k, v in axes.items()}
        return self.model_copy(update={"settings": base, "axes": {**kept, **crossed}})

    def with_rows(self, texts: Sequence[str]) -> Suite:
        """A copy of which only some rows are expanded: ``--rows``; all of them for no text.

        Args:
            texts: names of rows, comma-separated; a name that itself has commas is a text of its own.

        Raises:
            UnknownNameError: a row that the suite does not have.
        """
        parts = [part for text in texts for part in ([text] if text in self.rows else text.split(","))]
        names = tuple(part.strip() for part in parts)
        for name in names:
            if name not in self.rows:
                raise UnknownNameError(f"row of suite {self.name}", name, self.rows)
        copy = self.model_copy()
        copy._chosen = names
        return copy


@dataclass(frozen=True)
class SuiteCell:
    """One cell of a suite: the row that it belongs to, its place on the axes, and what runs."""

    row: str
    place: Mapping[str, Any]
    config: RunConfig
    #: Why the suite leaves it out; "" for a cell that runs.
    excluded: str = ""


def load_suite(name: str | Path, registry: Registry) -> Suite:
    """A suite by file, or by the name under which a plugin registered its file.

    Raises ConfigError for a file that is not a suite, UnknownNameError for a name that is not registered.
    """
    path = Path(name)
    if not (path.suffix in (".yaml", ".yml") or path.is_file()):
        path = suite_file(str(name), registry)
    try:
        return Suite.model_validate(read_yaml(path))
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {line}" for line in problems(error, Suite))) from None


def suite_file(name: str, registry: Registry) -> Path:
    """Where a registered suite's file lies."""
    component = registry.get("suite", name).component
    return Path(component.factory(component.config()))


def expand(suite: Suite) -> list[SuiteCell]:
    """Every cell: row by row, each over the axes, the last axis fastest.

    Raises ConfigError naming the cell, or how many there are where they are too many.
    """
    count = max(1, len(suite.chosen)) * math.prod(map(len, suite.axes.values()))
    if count > _MOST_CELLS:
        raise ConfigError(
            f"suite {suite.name}: {count:,} cells; the maximum is {_MOST_CELLS:,}.",
            "Use fewer seeds (--seeds 0,1,2), or several suites.",
        )
    return list(_cells(suite))


def _cells(suite: Suite) -> Iterator[SuiteCell]:
    combinations = [dict(zip(suite.axes, values, strict=True)) for values in itertools.product(*suite.axes.values())]
    seen: dict[str, str] = {}
    for row, settings in (suite.chosen or {"": {}}).items():
        if "unavailable" in settings:
            continue
        for place in combinations:
            values = _settings(suite, settings, place)
            name = row_name(row, place)
            where = f"suite {suite.name}: {', '.join([name or 'cell', *(f'{k} {v}' for k, v in place.items())])}"
            try:
                config = validate_config(values)
            except ConfigError as error:
                raise ConfigError(f"{where}: {error}") from None
            if seen.setdefault(config.cell_id, name) != name:
                raise ConfigError(f"{where}: the same cell as row {seen[config.cell_id]!r}.", "Rows must differ.")
            why = next((str(one["why"]) for one in suite.exclude if _matches(one, row or name, values)), "")
            yield SuiteCell(_labelled(name or config.method, settings, place, config), place, config, why)


def _labelled(name: str, row: Mapping[str, Any], place: Mapping[str, Any], config: RunConfig) -> str:
    """The name of a row, with the label that all rows have (``--label``), to tell it from the row without."""
    own = "label" in row or "label" in place
    return name if own or not config.label else f"{name} {config.label}"


def _settings(suite: Suite, row: Mapping[str, Any], place: Mapping[str, Any]) -> dict[str, Any]:
    """Suite, then axes, then the row, then the row on this task: the narrower wins."""
    values = deepcopy(suite.settings)
    for path, value in place.items():
        _put(values, path, value)
    own = dict(row)
    per_task = own.pop("per_task", {})
    for key, value in own.items():
        _put(values, key, deepcopy(value))
    for key, value in per_task.get(values.get("task"), {}).items():
        _put(values, key, deepcopy(value))
    return values


def _put(values: dict[str, Any], path: str, value: Any) -> None:
    """Set ``a.b.c``; a mapping is merged into what is there."""
    first, _, rest = path.partition(".")
    if rest:
        _put(values.setdefault(first, {}), rest, value)
    elif isinstance(value, Mapping) and isinstance(values.get(first), dict):
        for key, inner in value.items():
            _put(values[first], key, inner)
    else:
        values[first] = dict(value) if isinstance(value, Mapping) else value


def _get(values: Mapping[str, Any], path: str) -> Any:
    found: Any = values
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _matches(exclusion: Mapping[str, Any], row: str, values: Mapping[str, Any]) -> bool:
    wanted = {k: v for k, v in exclusion.items() if k != "why"}
    seen = {k: row if k == "row" else _get(values, k) for k in wanted}
    return all(seen[k] in v if isinstance(v, list) else seen[k] == v for k, v in wanted.items())


def row_name(row: str, place: Mapping[str, Any]) -> str:
    """The row and whatever axes beside task and seed say: ``prefer-das slpo``, ``ipl points 0.15``."""
    parts = [row] if row else []
    for key, value in place.items():
        if key in _COLUMNS or value is None:
            continue
        short = key.rpartition(".")[2]
        of_method = key == "method" or not (key in RunConfig.model_fields or "." in key)
        parts.append(str(value) if of_method else f"{short} {value}")
    return " ".join(parts)

"""Checks of suites: the file is there, is a suite of that name, and every cell of it is one that can be planned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dabench.components.registry import Registered
from dabench.errors import DabenchError
from dabench.runs.config import split_task
from dabench.suites.spec import Suite, SuiteCell, expand, load_suite
from dabench.testing.fixtures import Fixtures
from dabench.testing.outcomes import Check, Violation, expect


def _suite(fixtures: Fixtures, item: Registered) -> Suite:
    try:
        return load_suite(item.name, fixtures.registry)
    except DabenchError as error:
        raise Violation(str(error)) from error


def _cells(fixtures: Fixtures, item: Registered) -> list[SuiteCell]:
    try:
        return expand(_suite(fixtures, item))
    except DabenchError as error:
        raise Violation(str(error)) from error


def has_a_file(fixtures: Fixtures, item: Registered) -> None:
    """The factory gives the path of a YAML file that exists."""
    path = fixtures.make(item)
    expect(isinstance(path, Path), f"the factory gave a {type(path).__name__}, not a pathlib.Path")
    expect(path.is_file() and path.suffix in (".yaml", ".yml"), f"{path.name} is no YAML file that exists")


def loads(fixtures: Fixtures, item: Registered) -> None:
    """It is a suite, and it goes by the name under which it is registered."""
    name = _suite(fixtures, item).name
    expect(name == item.name, f"the file's name is {name!r}, it is registered as {item.name!r}")


def expands(fixtures: Fixtures, item: Registered) -> None:
    """There is at least one cell, every cell is a valid configuration, and no two rows are the same."""
    expect(_cells(fixtures, item), "it has no cell: every row is unavailable")


def _selector(fixtures: Fixtures, name: str) -> None:
    if name != "auto":
        fixtures.registry.get("selector", name)


def names_components(fixtures: Fixtures, item: Registered) -> None:
    """Methods, domains and whatever else a cell names are registered."""
    checks: dict[str, Callable[[SuiteCell], object]] = {
        "method": lambda cell: fixtures.registry.get("method", cell.config.method),
        "protocol": lambda cell: fixtures.registry.get("protocol", cell.config.protocol),
        "selector": lambda cell: _selector(fixtures, cell.config.selector),
        "task": lambda cell: split_task(cell.config.task, _domains(fixtures)),
    }
    for cell in _cells(fixtures, item):
        for what, check in checks.items():
            try:
                check(cell)
            except DabenchError as error:
                raise Violation(f"row {cell.row!r}, {what}: {error}") from error


def _domains(fixtures: Fixtures) -> set[str]:
    """Real domains, and phantoms by the name that a task has for them."""
    names = set(fixtures.registry.names("domain"))
    return names | {name.removeprefix("phantom-") for name in names}


CHECKS = (
    Check("has a file", has_a_file),
    Check("loads", loads),
    Check("expands", expands),
    Check("names components", names_components),
)

"""All checks by kind, run from the command line or collected by pytest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from dabench.components.registry import Registered, Registry
from dabench.errors import PluginError, UnknownNameError
from dabench.testing import (
    domains,
    methods,
    networks,
    preferences,
    protocols,
    records,
    selectors,
    self_training,
    suites,
    weak_labels,
)
from dabench.testing.fixtures import Fixtures
from dabench.testing.outcomes import Case, Check, Outcome

#: What is checked beside the record, by kind.
BY_KIND: Mapping[str, tuple[Check, ...]] = {
    "backbone": networks.BACKBONE,
    "network": networks.NETWORK,
    "weak_label": weak_labels.CHECKS,
    "self_training": self_training.CHECKS,
    "preference_optimizer": preferences.CHECKS,
    "method": methods.CHECKS,
    "domain": domains.DOMAIN,
    "protocol": protocols.CHECKS,
    "reader": domains.READER,
    "selector": selectors.CHECKS,
    "suite": suites.CHECKS,
}


def check_components(registry: Registry, items: Sequence[Registered]) -> list[Outcome]:
    """Run every check that applies to these components.

    Args:
        registry: where they, and the components they use, are found.
        items: components to check.

    Returns:
        One outcome a component and check; a component that raises is an outcome too.
    """
    return [case.outcome() for case in _cases(Fixtures(registry), items)]


def conformance_checks(*names: str, registry: Registry | None = None) -> list[Case]:
    """Cases of all components of these plugins or of these names; of everything registered when none is named.

    For ``@pytest.mark.parametrize("case", conformance_checks("my-plugin"), ids=str)``; a test calls ``case.run()``.
    Raises UnknownNameError for a name that nothing has, with the cause where its plugin did not load.
    """
    fixtures = _bench() if registry is None else Fixtures(registry)
    for name in names:
        _find(fixtures.registry, name)
    items = [i for i in fixtures.registry if not names or {i.plugin, i.name, f"{i.kind}:{i.name}"} & set(names)]
    return _cases(fixtures, items)


def _cases(fixtures: Fixtures, items: Sequence[Registered]) -> list[Case]:
    return [Case(fixtures, item, check) for item in items for check in (*records.CHECKS, *BY_KIND[item.kind])]


@cache
def _bench() -> Fixtures:
    """The installed plugins, loaded once a process."""
    return Fixtures(Registry.load())


def _find(registry: Registry, name: str) -> None:
    status = registry.plugins.get(name)
    if status is not None and status.error:
        raise PluginError(f"plugin {name!r} of {status.distribution} does not load: {status.error}")
    known = {text for i in registry for text in (i.plugin, i.name, f"{i.kind}:{i.name}")}
    if name not in known:
        raise UnknownNameError("plugin or component", name, known)


class ConformanceSuite:
    """Inherit it in a pytest module, name your plugin, and every check becomes a test.

    Example::

        class TestMine(ConformanceSuite):
            plugin = "my-plugin"   # the entry point's name; "" is everything that is installed
    """

    #: Name of a plugin or of one component.
    plugin: str = ""

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Called by pytest: one test a component and check."""
        if "conformance" in metafunc.fixturenames:
            cases = conformance_checks(*([self.plugin] if self.plugin else []))
            metafunc.parametrize("conformance", cases, ids=str)

    def test_conformance(self, conformance: Case) -> None:
        """One check of one component."""
        conformance.run()

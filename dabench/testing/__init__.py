"""The conformance suite: what every component must do, whoever wrote it.

A plugin author runs it in one of three ways::

    dabench plugins check my-plugin                      # at the command line

    class TestMyPlugin(dabench.testing.ConformanceSuite):  # in pytest: one test a component and check
        plugin = "my-plugin"

    @pytest.mark.parametrize("case", conformance_checks("my-plugin"), ids=str)  # or by hand
    def test_my_plugin(case):
        case.run()

dabench runs the same suite over everything that is registered.
"""

from __future__ import annotations

from dabench.testing.outcomes import Case, Outcome, Violation
from dabench.testing.suite import ConformanceSuite, check_components, conformance_checks

__all__ = ["Case", "ConformanceSuite", "Outcome", "Violation", "check_components", "conformance_checks"]

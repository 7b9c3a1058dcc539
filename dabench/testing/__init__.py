"""The conformance suite: what every component must do.

A plugin author runs it in one of three ways::

    dabench plugins check my-plugin                      # at the command line

    class TestMyPlugin(dabench.testing.ConformanceSuite):  # in pytest: one test a component and check
        plugin = "my-plugin"

    @pytest.mark.parametrize("case", conformance_checks("my-plugin"), ids=str)  # or by hand
    def test_my_plugin(case):
        case.run()

dabench runs the same suite over everything that is registered.

For the tests of a plugin's own code there are small parts whose answers follow by hand: the networks `ConvToy` and
`ImageToy`, the self-training scheme `ToyLabels`, the predictor `ImagePredictor`, the volume `WatchedVolume`.
"""

from __future__ import annotations

from dabench.testing.outcomes import Case, Outcome, Violation
from dabench.testing.suite import ConformanceSuite, check_components, conformance_checks
from dabench.testing.toys import ConvToy, FrozenToy, ImagePredictor, ImageToy, ToyLabels, WatchedVolume

__all__ = [
    "Case",
    "ConformanceSuite",
    "ConvToy",
    "FrozenToy",
    "ImagePredictor",
    "ImageToy",
    "Outcome",
    "ToyLabels",
    "Violation",
    "WatchedVolume",
    "check_components",
    "conformance_checks",
]

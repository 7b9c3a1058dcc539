"""Weak labels of Prompt-DAS and Prefer-DAS: sparse centre points and patch preferences.

Each is simulated from truth, read from and written to an open file, and priced in seconds of a person's time.
"""

from __future__ import annotations

from dabench.plugin import Component, Register, hookimpl
from dabench_weak_labels.points import Points, PointSettings
from dabench_weak_labels.preferences import Preferences, PreferenceSettings

PAPER = "Prefer-DAS: domain adaptive segmentation with sparse points and local preferences (Chen, Xiong, Peng)"


@hookimpl
def register_weak_labels(register: Register) -> None:
    """Register both kinds."""
    register(
        Component(
            name="points",
            factory=Points,
            config=PointSettings,
            summary="centre points on a share of the components of each slice",
            paper=PAPER,
            licence="Apache-2.0, own implementation",
        )
    )
    register(
        Component(
            name="preferences",
            factory=Preferences,
            config=PreferenceSettings,
            summary="which of several candidate masks is best, patch by patch",
            paper=PAPER,
            licence="Apache-2.0, own implementation",
        )
    )

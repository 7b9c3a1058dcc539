"""An example plugin of dabench: the preference optimizer ``ipo`` and the method ``adabn``."""

from __future__ import annotations

from dabench.plugin import Component, Register, hookimpl
from dabench_example.adabn import AdaBN, AdaBNSettings
from dabench_example.ipo import IdentityPreference, IPOSettings


@hookimpl
def register_preference_optimizers(register: Register) -> None:
    """Register ``ipo``."""
    register(
        Component(
            name="ipo",
            factory=IdentityPreference,
            config=IPOSettings,
            summary="Squared distance to a wanted margin: cannot be driven ever further by noise-free answers.",
            paper="Azar et al. 2024, A general paradigm to understand learning from human preferences, Eq. 17",
            licence="Apache-2.0, own implementation",
        )
    )


@hookimpl
def register_methods(register: Register) -> None:
    """Register ``adabn``."""
    register(
        Component(
            name="adabn",
            factory=AdaBN,
            config=AdaBNSettings,
            summary="Source-only, then BatchNorm statistics of the target; entropy > 0 also tunes its scales (TENT).",
            paper="Li et al. 2018, Adaptive batch normalization; Wang et al. 2021, TENT",
            licence="Apache-2.0, own implementation",
            presets={
                "tiny": {"crop": 96, "iterations": 20},
                "paper": {"crop": 384, "iterations": 1000},
            },
        )
    )

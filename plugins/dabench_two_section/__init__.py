"""Networks that see a section and one nearby, registered as ``two-section`` (DA-ISC, CAFA).

With backbone ``none`` it is the published network; on a backbone it is the same fusion with light decoders.
"""

from __future__ import annotations

from pydantic import Field
from torch import nn

from dabench.plugin import Component, Register, Settings, hookimpl
from dabench_two_section.light import LightTwoSection
from dabench_two_section.network import TwoSectionNetwork
from dabench_two_section.published import PublishedTwoSection


class TwoSectionSettings(Settings):
    """What the network is shown."""

    stretch: bool = Field(
        False, description="Stretch every section of a crop from its minimum, 0, to its maximum, 1 (release: yes)."
    )


def _make(settings: TwoSectionSettings, backbone: nn.Module | None) -> TwoSectionNetwork:
    network = PublishedTwoSection() if backbone is None else LightTwoSection(backbone)
    network.stretch = settings.stretch
    return network


@hookimpl
def register_networks(register: Register) -> None:
    """Register ``two-section``."""
    register(
        Component(
            name="two-section",
            factory=_make,
            config=TwoSectionSettings,
            summary="Two sections in, both segmentations and their difference out (network of DA-ISC and CAFA).",
            paper="Huang et al., Domain Adaptive Mitochondria Segmentation via Enforcing Inter-Section Consistency, "
            "MICCAI 2022",
            licence="Apache-2.0, own implementation",
            presets={"paper": {"stretch": True}},
        )
    )

"""The Segment Anything Model from `transformers` as networks: ``sam-vit``, ``sam-med2d-vit`` and ``promptable-vit``.

The first two begin with published weights. The third has the same modules, narrower, and learns from scratch on the
labelled source: its rows are called small, and never SAM.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator
from torch import nn

from dabench.plugin import Component, Register, Settings, WeightsError, hookimpl, read_weights
from dabench_sam_model.published import MED2D, SAM, sizes_of
from dabench_sam_model.sizes import SIZES

NEEDS = {"transformers": "dabench[sam]"}


class SamSettings(Settings):
    """Which SAM."""

    pretrained: str = Field("sam-vit-b", description="Name of added weights; none: random ones, which segment nothing.")
    size: Literal["vit-b", "vit-l", "vit-h", "tiny"] = Field(
        "vit-b", description="Size of the network; published weights bring their own."
    )

    @model_validator(mode="before")
    @classmethod
    def _of_weights(cls, values: Any) -> Any:
        """Published weights say the size."""
        if not isinstance(values, dict):
            return values
        size = sizes_of(SAM).get(str(values.get("pretrained", cls.model_fields["pretrained"].default)))
        return values if size is None else {**values, "size": size}


class Med2DSettings(Settings):
    """SAM-Med2D."""

    pretrained: str = Field("sam-med2d", description="Name of added weights; none: random ones, which segment nothing.")
    size: Literal["med2d", "tiny-med2d"] = Field("med2d", description="Size of the network: ViT-B on 256 px, or tiny.")

    @model_validator(mode="before")
    @classmethod
    def _of_weights(cls, values: Any) -> Any:
        """Published weights say the size."""
        if not isinstance(values, dict):
            return values
        size = sizes_of(MED2D).get(str(values.get("pretrained", cls.model_fields["pretrained"].default)))
        return values if size is None else {**values, "size": size}


class NarrowSettings(Settings):
    """SAM's modules, narrower."""

    size: Literal["small", "tiny"] = Field("small", description="4.6 M parameters on 192 px, or fewer for tests.")


def make_network(config: Any, backbone: nn.Module | None = None, weights: Path | None = None) -> nn.Module:
    """A SAM of a size with added weights, or random ones."""
    # The library takes seconds to import; listings and plans should not wait for it.
    from dabench_sam_model.keys import checked
    from dabench_sam_model.network import SamNetwork

    del backbone
    size = SIZES[config.size]
    network = SamNetwork(size)
    if (name := getattr(config, "pretrained", "none")) != "none":
        try:
            network.sam.load_state_dict(checked(read_weights(weights, name), size))
        except WeightsError as error:
            raise WeightsError(f"weights {name!r}: {error.message}", error.mend) from None
    return network


@hookimpl
def register_networks(register: Register) -> None:
    """Register the three."""
    paper = "Kirillov et al., Segment anything, ICCV 2023"
    licence = "Apache-2.0 (transformers and SAM's weights)"
    register(
        Component(
            "sam-vit",
            make_network,
            SamSettings,
            "Segment Anything: a mask for each prompt, or one for none; ViT-B, L or H on 1024 px.",
            paper=paper,
            licence=licence,
            presets={"tiny": {"size": "tiny"}},
            needs=NEEDS,
            weights=SAM,
        )
    )
    register(
        Component(
            "sam-med2d-vit",
            make_network,
            Med2DSettings,
            "SAM-Med2D: SAM's ViT-B with an adapter in every block, tuned on medical images of 256 px.",
            paper="Cheng et al., SAM-Med2D, 2023",
            licence="Apache-2.0 (transformers; adapters are an own implementation; terms of the data vary)",
            presets={"tiny": {"size": "tiny-med2d"}},
            needs=NEEDS,
            weights=MED2D,
        )
    )
    register(
        Component(
            "promptable-vit",
            make_network,
            NarrowSettings,
            "SAM's modules, narrower (4.6 M parameters), from scratch.",
            paper=paper,
            licence="Apache-2.0 (transformers), own sizes",
            presets={"tiny": {"size": "tiny"}, "small": {}},
            needs=NEEDS,
        )
    )

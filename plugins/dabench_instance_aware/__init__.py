"""Self-training scheme ``instance-aware``: detected centres choose which instances are pseudo-labels (IPL, III.B-C).

In each round the student labels the whole target training set once. The sum of its centre density estimates how many
objects there are; the highest peaks, as many as a share of that number, join the given points as trusted centres. A
component of the thresholded segmentation is foreground when it holds a trusted centre, unlikely pixels are background,
the rest is ignored. A given point without a component is an ellipse in a ring of doubt.
``counted-points`` is the same rule with the shares and thresholds of the detection rounds.
Source: Xiong et al., IPL, Eqs. 1-3; numbers of the release where the paper is silent.

Deviations: see docs/methods/instance-aware.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from dabench.ops.prompts import merge_points
from dabench.plugin import (
    IGNORE,
    Array,
    Component,
    CropId,
    FlippedPredictor,
    NetworkPredictor,
    PseudoTargets,
    Register,
    RoundLabels,
    Settings,
    TargetCrops,
    TrainingData,
    hookimpl,
    predict_training,
)
from dabench_instance_aware.selection import (
    components_above,
    instance_labels,
    scaled_density,
    select_centres,
    with_ellipses,
)

#: Half axes (x, y) in pixels of one dilation of the release: kernels of 11 x 13 and 31 x 33.
_ELLIPSE, _RING = (5, 6), (15, 16)


class InstanceAwareSettings(Settings):
    """What a round trusts."""

    ratios: tuple[float, ...] = Field(
        (0.35, 0.70),
        min_length=1,
        description="Share of the estimated count trusted in each round (paper: 0, .5, .95).",
    )
    ratios_without_points: tuple[float, ...] = Field(
        (0.5, 0.95), min_length=1, description="The same without given points (release: .5, .95)."
    )
    foreground: float = Field(0.8, ge=0.5, le=1, description="Probability threshold for components (paper: 0.7).")
    background: float = Field(
        0.2, ge=0, le=0.5, description="Pixels below are background (release: 0.2; paper: not stated)."
    )
    tile: int = Field(192, ge=16, description="Side of a tile while labelling, in pixels (release: 1024 tiles).")
    versions: Literal[1, 4, 5] = Field(
        1, description="Views of a tile that are averaged: 4 flips (release), and the transposed tile (paper: 5)."
    )
    peak_kernel: int = Field(15, ge=3, description="Neighbourhood of a peak in pixels, odd (release: 3).")
    peak_floor: float = Field(
        0.15,
        ge=0,
        le=1,
        description="A slice's density is scaled to 1 by its highest value, at least this (release: 0).",
    )
    merge: float = Field(
        10.0, ge=0, description="A peak within this many pixels of a given point is treated as that point (release: 0)."
    )
    dilations: int = Field(
        1, ge=0, description="Size of the ellipse at a missed point: half axes 5n x 6n, ring 15n x 16n (release: 3)."
    )

    @field_validator("ratios", "ratios_without_points")
    @classmethod
    def _shares(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 <= ratio <= 1 for ratio in value):
            raise ValueError("shares of the count lie between 0 and 1")
        return value

    @field_validator("peak_kernel")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("the neighbourhood has a centre pixel: an odd number")
        return value


class CountedPointsSettings(InstanceAwareSettings):
    """The same for the rounds that learn detection alone."""

    ratios: tuple[float, ...] = Field(
        (0.0, 0.3, 0.6),
        min_length=1,
        description="Share of the estimated count in each round (release: 0 to .6 by .15; paper: .2 to .8 by .2).",
    )
    ratios_without_points: tuple[float, ...] = Field(
        (0.15, 0.45, 0.75), min_length=1, description="The same without given points (release: .15 to .75 by .15)."
    )
    foreground: float = Field(0.9, ge=0.5, le=1, description="Probability threshold for components (release: 0.9).")
    background: float = Field(0.1, ge=0, le=0.5, description="Pixels below are background (release: 0.1).")


class InstanceAware(RoundLabels):
    """Labels the whole training set once a round; see the module's docstring.

    A round's labels and probabilities are kept as uint8, its centres in `state`.
    """

    name, dtype, beyond = "instance-aware", "uint8", (IGNORE, 0)

    def __init__(self, settings: InstanceAwareSettings) -> None:
        """No round has begun."""
        super().__init__()
        self.settings = settings
        self._centres = torch.zeros(0, 3)

    def state(self) -> dict[str, Tensor]:
        """The round, and its selected centres ``(N, 3)`` as (z, x, y)."""
        return {**super().state(), "centres": self._centres}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` gave."""
        super().load_state(state)
        self._centres = state["centres"].cpu()

    # --------------------------------------------------------------------------------------------------------- rounds
    def look(self, student: nn.Module, data: TrainingData) -> Iterator[Array]:
        """Labels {0, 1, 255} and probabilities times 255 of each slice; renews the selected centres after the last."""
        versions, network = self.settings.versions, NetworkPredictor(student)
        predictor = FlippedPredictor(network, transposed=versions == 5) if versions > 1 else network
        given, ratio = data.desk.points(), self._ratio(data)
        found = []
        for z, seen in predict_training(data, predictor, self.settings.tile, density=True):
            points = torch.from_numpy(given[z].points) if z in given else torch.zeros(0, 2)
            labels, centres = self._slice(seen.probability, seen.density, points, ratio)
            found.append(torch.cat([torch.full((len(centres), 1), float(z)), centres], dim=1))
            yield np.stack([labels.numpy(), np.rint(seen.probability * 255).astype(np.uint8)])
        self._centres = torch.cat(found)

    def _ratio(self, data: TrainingData) -> float:
        """Share of the count that this round trusts; rounds beyond the last take the last."""
        s = self.settings
        ratios = s.ratios if data.desk.point_budget() else s.ratios_without_points
        return ratios[min(self.round, len(ratios) - 1)]

    def _slice(self, probability: Array, density: Array | None, given: Tensor, ratio: float) -> tuple[Tensor, Tensor]:
        """Labels ``(H, W)`` and selected centres ``(N, 2)`` of one slice."""
        s = self.settings
        components = components_above(probability, s.foreground)
        # A network without a detection head has no peaks: then the given points alone are trusted.
        scaled = scaled_density(np.zeros_like(probability) if density is None else density, s.peak_floor)
        centres = merge_points(given, select_centres(scaled, components, given, ratio, s.peak_kernel), s.merge)
        labels, missed = instance_labels(probability, components, centres, s.background)
        n, few = s.dilations, len(given)
        alone = given[missed[:few]]
        inner, outer = ((n * x, n * y) for x, y in (_ELLIPSE, _RING))
        return with_ellipses(labels, alone, inner, outer), centres[few:]

    # -------------------------------------------------------------------------------------------------------- targets
    @torch.no_grad()
    def targets(self, crops: TargetCrops, generator: torch.Generator) -> PseudoTargets:
        """The round's labels, cut where the crops were; see `SelfTraining.targets`."""
        del generator
        planes = self.kept(crops)
        labels, confidence = planes[:, 0], planes[:, 1].float() / 255
        points = [self._points(p, origin) for p, origin in zip(crops.points, crops.origins, strict=True)]
        return PseudoTargets(labels, torch.ones_like(confidence), points, None, confidence)

    def _points(self, given: Tensor, origin: CropId) -> Tensor:
        """Given points of a crop, then the round's selected centres in it."""
        here = self._centres[self._centres[:, 0] == origin.z, 1:]
        local = torch.from_numpy(origin.window.to_local(here.numpy()))
        return torch.cat([given, local.to(given)])


_PAPER = {"versions": 5, "tile": 512, "peak_kernel": 3, "peak_floor": 0.0, "merge": 0.0, "dilations": 3}
_SOURCE = "Xiong et al., Instance-Aware Pseudo-Labeling and Class-Focused Contrastive Learning (IPL)"


@hookimpl
def register_self_training(register: Register) -> None:
    """Register ``instance-aware`` and ``counted-points``."""
    register(
        Component(
            "instance-aware",
            InstanceAware,
            InstanceAwareSettings,
            "Rounds: components under the likeliest detected centres and the given points are foreground.",
            paper=_SOURCE,
            licence="Apache-2.0, own implementation",
            presets={
                "tiny": {"tile": 96},
                "small": {},
                "paper": {
                    **_PAPER,
                    "ratios": (0.0, 0.5, 0.95),
                    "ratios_without_points": (0.5, 0.95),
                    "foreground": 0.7,
                },
            },
        )
    )
    register(
        Component(
            "counted-points",
            InstanceAware,
            CountedPointsSettings,
            "The same rule in the rounds that learn detection: which peaks are centres.",
            paper=_SOURCE,
            licence="Apache-2.0, own implementation",
            presets={
                "tiny": {"tile": 96},
                "small": {},
                "paper": {
                    **_PAPER,
                    "ratios": (0.2, 0.4, 0.6, 0.8),
                    "ratios_without_points": (0.2, 0.4, 0.6, 0.8),
                },
            },
        )
    )

"""WDA-Net (Qiu, Yi, Peng, BIBM 2022): counting guides detection, detection guides segmentation, from a few points.

Three tasks form a pyramid: the higher, the less the domain matters. A counting network learns the number of objects on
the source and stays as it is; on the target it bounds the number that the detection head may find. Detection learns
from the given points there, and from what the segmentation is sure is background. A discriminator aligns the
segmentation maps, and windows with many points are pasted where there are few. A second stage adds pseudo-labels of
low entropy (scheme ``entropy``). 0 % points is unsupervised (UDA), 15 % weakly supervised (WDA).

Stages: ``source-only``'s, ``counting`` (its network is the source model), ``wda-net-1``, ``wda-net``.
Deviations: see docs/methods/wda-net.md.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import cast

from dabench.plugin import (
    Budget,
    Component,
    Components,
    CropSpec,
    Method,
    Register,
    Stage,
    StageSpec,
    StartingPoint,
    TaskInfo,
    hookimpl,
    starting_point,
)
from dabench_wda_net.counting import CountingNetwork, DensityEncoder
from dabench_wda_net.settings import WDANetSettings
from dabench_wda_net.stages import CountingStage, WDANetStage

_Parts = tuple[tuple[str, str], ...]


class WDANet(Method):
    """The shared source model (or none), then ``counting``, ``wda-net-1`` and ``wda-net``."""

    def __init__(self, settings: WDANetSettings, components: Components) -> None:
        """Keep the settings; nothing is built before a stage is."""
        self.settings, self.components = settings, components

    def stages(self, task: TaskInfo, budget: Budget) -> list[StageSpec]:
        s = self.settings
        start = starting_point(self.components, task, budget, s.start, s.network, s.backbone)
        scheme = ("self_training", s.self_training)
        stages = [
            self._counting(start),
            self._adapting("wda-net-1", start.components, self._stage),
            self._adapting("wda-net", (*start.components, scheme), lambda parent: self._stage(parent, s.self_training)),
        ]
        return [*start.before, *stages]

    def _counting(self, start: StartingPoint) -> StageSpec:
        s = self.settings
        own = () if s.counter == "conv" else (("network", s.counter),)
        return StageSpec(
            name="counting",
            method="wda-net",
            config=s,
            components=tuple(dict.fromkeys((*start.components, *own))),
            crops=CropSpec(s.crop, source=s.counter_batch, foreground=s.foreground),
            iterations=s.counter_iterations,
            build=lambda parent: CountingStage(s, self._counter(), start.network(parent)),
            title="counting",
        )

    def _counter(self) -> CountingNetwork:
        s = self.settings
        if s.counter == "conv":
            return CountingNetwork(DensityEncoder(s.counter_widths))
        return CountingNetwork(self.components.network(s.counter, "none"))

    def _adapting(self, name: str, components: _Parts, build: Callable[[Stage | None], Stage]) -> StageSpec:
        """A stage on both domains."""
        s = self.settings
        return StageSpec(
            name=name,
            method="wda-net",
            config=s,
            components=components,
            crops=s.crops(),
            iterations=s.iterations,
            build=build,
            asks=("points",),
            title=name,
        )

    def _stage(self, parent: Stage | None, scheme: str = "") -> WDANetStage:
        assert parent is not None
        counter = cast(CountingNetwork, deepcopy(parent.modules()["counter"]))
        labels = self.components.self_training(scheme) if scheme else None
        kept = parent.modules().get("discriminators") if self.settings.keep_discriminator else None
        return WDANetStage(self.settings, deepcopy(parent.network()), counter, labels, kept)


_PAPER = {
    "start": "scratch",
    "network": "factorised",
    "backbone": "none",
    "crop": 512,
    "batch": 1,
    "iterations": 100_000,
    "optimizer": "sgd",
    "lr": 5e-5,
    "weight_decay": 5e-4,
    "warmup": 0,
    "clip": 0.0,
    "recalibrate": 0,
    "target_points": 0.0,
    "overlap": 0.0,
    "foreground": 0.0,
    "detection_source": 0.01 * 255**2,
    "detection": 0.1 * 255**2,
    "discriminator_widths": (64, 128, 256, 512),
    "discriminator_groups": 32,
    "zoom": 0.25,
    "counting": 1.0,
    "margin": 3.0,
    "counter": "factorised",
    "counter_batch": 1,
    "counter_iterations": 50_000,
    "counter_density": 0.01 * 255**2,
}


@hookimpl
def register_methods(register: Register) -> None:
    """Register ``wda-net``."""
    register(
        Component(
            name="wda-net",
            factory=WDANet,
            config=WDANetSettings,
            summary="Counting bounds detection, a few points guide it, an adversary and entropy pseudo-labels.",
            paper="Qiu, Yi, Peng, WDA-Net: Weakly-Supervised Domain Adaptive Segmentation of EM, BIBM 2022",
            licence="Apache-2.0, own implementation",
            presets={
                "tiny": {
                    "crop": 96,
                    "iterations": 120,
                    "recalibrate": 20,
                    "margin": 0.2,
                    "discriminator_widths": (16, 32, 64),
                    "discriminator_groups": 8,
                    "counter_widths": (8, 16, 32),
                    "counter_iterations": 120,
                },
                "small": {},
                "paper": _PAPER,
            },
        )
    )

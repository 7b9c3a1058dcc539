"""Source-only on pairs of sections: the network of DA-ISC and CAFA, trained on the labelled source alone.

It is what those two have to beat on the same network, and in the small presets it is where they start, so that one
training serves both and their decoders know the source before they label anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from dabench.ops.augmentation import STRONG
from dabench.ops.objectives import total
from dabench.ops.sections import PairOutput, adopt_backbone, pair_terms, stack_sections
from dabench.ops.views import view_source
from dabench.plugin import (
    Batch,
    Budget,
    Component,
    Components,
    CropSpec,
    Method,
    NetworkPredictor,
    OptimizerSpec,
    OptimizerStep,
    Predictor,
    Register,
    Settings,
    Stage,
    StageSpec,
    TaskInfo,
    hookimpl,
    missing_neighbours,
    starting_point,
)


class SourcePairsSettings(Settings):
    """How labelled pairs are learnt."""

    start: Literal["source-only", "scratch"] = Field(
        "source-only", description="Begin with the encoder of the shared source model, or with nothing."
    )
    network: str = Field("two-section", description="A network of two sections.")
    backbone: str = Field("conv-small", description="Its encoder; none: the published network, its own.")
    neighbour: float = Field(40.0, gt=0, description="nm from a section to its partner.")
    crop: int = Field(192, ge=16, description="Side of a crop in pixels.")
    batch: int = Field(1, ge=1, description="Pairs an update.")
    iterations: int = Field(400, ge=1, description="Updates.")
    optimizer: Literal["adamw", "sgd", "adam"] = Field("adamw", description="Optimizer.")
    lr: float = Field(1e-3, gt=0, description="Learning rate.")
    weight_decay: float = Field(0.01, ge=0, description="Weight decay.")
    warmup: int = Field(20, ge=0, description="Updates of linear warm-up.")
    clip: float = Field(1.0, ge=0, description="Largest gradient norm, 0 = off.")
    overlap: float = Field(1.0, ge=0, description="Weight of the soft-Dice terms.")
    foreground: float = Field(
        0.7, ge=0, le=1, description="Share of crops that must hold foreground (paper: 0, as da-isc)."
    )


class PairsSupervised(Stage):
    """Learns both segmentations of a pair and their difference from dense labels."""

    def __init__(self, settings: SourcePairsSettings, network: nn.Module) -> None:
        """Take a network of two sections; the stage owns it."""
        self.settings, self._network = settings, network

    def modules(self) -> Mapping[str, nn.Module]:
        return {"network": self._network}

    def optimizer_steps(self) -> Sequence[OptimizerStep]:
        s = self.settings
        spec = OptimizerSpec(s.lr, name=s.optimizer, weight_decay=s.weight_decay, warmup=s.warmup, clip=s.clip)
        return [OptimizerStep("network", self._network.parameters, spec)]

    def step(self, batch: Batch, optimizer: str) -> dict[str, Tensor]:
        del optimizer
        assert batch.source is not None
        crops = view_source(batch.source, STRONG, batch.generator)
        output: PairOutput = self._network(stack_sections(crops), with_pair=True)
        terms = pair_terms(output, crops, self.settings.overlap)
        return {"loss": total(terms), **terms}

    def predictor(self) -> Predictor:
        return NetworkPredictor(self._network, self.settings.neighbour)


class SourcePairs(Method):
    """The shared source model's encoder (or nothing), then ``source-pairs``."""

    def __init__(self, settings: SourcePairsSettings, components: Components) -> None:
        """Keep the settings; nothing is built before a stage is."""
        self.settings, self.components = settings, components

    def skip(self, task: TaskInfo, budget: Budget) -> str | None:
        del budget
        return missing_neighbours("source-pairs", task)

    def stages(self, task: TaskInfo, budget: Budget) -> list[StageSpec]:
        s = self.settings
        start = starting_point(self.components, task, budget, s.start, s.network, s.backbone)
        components = dict(start.components) | {"network": s.network}

        def build(parent: Stage | None) -> Stage:
            network = self.components.network(s.network, components.get("backbone", "none"))
            if parent is not None:
                adopt_backbone(network, parent.network())
            return PairsSupervised(s, network)

        spec = StageSpec(
            name="source-pairs",
            method="source-pairs",
            config=s,
            components=tuple(components.items()),
            crops=CropSpec(s.crop, source=s.batch, foreground=s.foreground, neighbour=s.neighbour),
            iterations=s.iterations,
            build=build,
        )
        return [*start.before, spec]


@hookimpl
def register_methods(register: Register) -> None:
    """Register ``source-pairs``."""
    register(
        Component(
            name="source-pairs",
            factory=SourcePairs,
            config=SourcePairsSettings,
            summary="Source-only on pairs of sections: what DA-ISC and CAFA start from, and have to beat.",
            paper="network: Huang et al., MICCAI 2022",
            licence="Apache-2.0, own implementation",
            presets={
                "tiny": {"backbone": "conv-tiny", "crop": 96},
                "small": {},
                "paper": {
                    "start": "scratch",
                    "backbone": "none",
                    "crop": 512,
                    "batch": 1,
                    "iterations": 200_000,
                    "optimizer": "adam",
                    "lr": 1e-4,
                    "weight_decay": 0.0,
                    "warmup": 0,
                    "overlap": 0.0,
                    "foreground": 0.0,
                },
            },
        )
    )

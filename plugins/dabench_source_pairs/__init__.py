"""Source-only on pairs of sections: the network of DA-ISC and CAFA, trained on the labelled source alone.

It is what those two have to beat on the same network, and in the small presets it is where they start, so that one
training serves both and their decoders know the source before they label anything.
"""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field
from torch import Tensor

from dabench.ops.augmentation import STRONG
from dabench.ops.sections import PairOutput, adopt_backbone, pair_terms, stack_sections
from dabench.ops.views import view_source
from dabench.plugin import (
    Batch,
    Budget,
    Component,
    Components,
    CropSpec,
    Method,
    NetworkStage,
    Register,
    Stage,
    StageSpec,
    TaskInfo,
    TrainingSettings,
    hookimpl,
    missing_neighbours,
    starting_point,
)


class SourcePairsSettings(TrainingSettings):
    """How labelled pairs are learnt."""

    start: str = Field("source-only", description="Method whose encoder is the starting point; scratch: none.")
    network: str = Field("two-section", description="A network of two sections.")
    backbone: str = Field("conv-small", description="Encoder of the network; none: the published network with its own.")
    neighbour: float = Field(40.0, gt=0, description="nm from a section to its partner.")
    batch: int = 1
    lr: float = 1e-3

    def crops(self) -> CropSpec:
        return replace(super().crops(), neighbour=self.neighbour)


class PairsSupervised(NetworkStage):
    """Learns both segmentations of a pair and their difference from dense labels."""

    settings: SourcePairsSettings

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.source is not None
        crops = view_source(batch.source, STRONG, batch.generator)
        output: PairOutput = self.student(stack_sections(crops), with_pair=True)
        return pair_terms(output, crops, self.settings.overlap)


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
            crops=s.crops(),
            iterations=s.iterations,
            build=build,
        )
        return [*start.before, spec]


_PAPER = {
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
}


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
                "paper": _PAPER,
            },
        )
    )

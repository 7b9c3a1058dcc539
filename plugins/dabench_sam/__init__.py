"""SAM and SAM-Med2D as they were published, and a narrow promptable network that learns the labelled source alone.

``sam`` and ``sam-med2d`` are zero-shot: a frozen stage each, whose images are cut into whole tiles (``--inference
tiles``). Without points a grid of them is asked, as SAM's release does; with test points, one object per click.
``source-promptable`` trains a network of SAM's modules prompt by prompt, and without prompts; ``med-sa`` and ``wesam``
start from its stage. It is a small model, and no SAM.

Deviations: see docs/methods/sam.md and docs/methods/sam-med2d.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, cast

from torch import Tensor, nn

from dabench.ops.augmentation import ViewOptions
from dabench.ops.prompted import InstanceNetwork, prompted_terms
from dabench.ops.views import view_source
from dabench.plugin import (
    Batch,
    Budget,
    Component,
    Components,
    CropSpec,
    Method,
    NetworkStage,
    OptimizerStep,
    Predictor,
    Register,
    Stage,
    StageSpec,
    TaskInfo,
    TrainingData,
    hookimpl,
)
from dabench_sam.phantoms import PhantomCrops, mixed
from dabench_sam.settings import (
    SamMed2DMethodSettings,
    SamMethodSettings,
    SourcePromptableSettings,
    ZeroShotSettings,
)


class ZeroShotStage(Stage):
    """A network with its weights; nothing is trained."""

    def __init__(self, settings: ZeroShotSettings, network: nn.Module) -> None:
        """Take the network; the stage owns it."""
        self.settings, self.frozen = settings, network

    def modules(self) -> Mapping[str, nn.Module]:
        return {"network": self.frozen}

    def optimizer_steps(self) -> Sequence[OptimizerStep]:
        return ()

    def step(self, batch: Batch, optimizer: str) -> dict[str, Tensor]:
        raise NotImplementedError("a zero-shot model is not trained")

    def predictor(self) -> Predictor:
        return cast(Any, self.frozen).predictor("grid", **self.settings.rule())  # type: ignore[no-any-return]


class ZeroShot(Method):
    """One frozen stage."""

    def __init__(self, settings: ZeroShotSettings, components: Components, name: str) -> None:
        """Keep the settings; ``name`` is the method's and the stage's."""
        self.settings, self.components, self.name = settings, components, name

    def stages(self, task: TaskInfo, budget: Budget) -> list[StageSpec]:
        del task, budget
        s = self.settings
        return [
            StageSpec(
                name=self.name,
                method=self.name,
                config=s,
                components=(("network", s.network),),
                crops=CropSpec(s.crop),
                iterations=0,
                build=lambda _: ZeroShotStage(s, self.components.network(s.network, "none")),
            )
        ]


class SourcePromptableStage(NetworkStage):
    """Learns from dense labels as SAM does: a point an object, the best of three masks; and without any point."""

    settings: SourcePromptableSettings

    def __init__(self, settings: SourcePromptableSettings, network: nn.Module) -> None:
        """Take the network; the stage owns it."""
        super().__init__(settings, network)
        if settings.trained == "decoder":
            cast(Any, network).sam.vision_encoder.requires_grad_(False)
        self.view = ViewOptions()
        self.phantoms: PhantomCrops | None = None

    def prepare(self, data: TrainingData) -> None:
        super().prepare(data)
        if self.settings.also_on == "phantoms":
            self.phantoms = PhantomCrops()

    def parameters(self) -> Iterator[nn.Parameter]:
        return (p for p in super().parameters() if p.requires_grad)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.source is not None
        crops = batch.source
        half = (len(crops.images) + batch.step % 2) // 2  # of a single crop every other one
        if self.phantoms is not None and half:
            crops = mixed(crops, self.phantoms.draw(half, int(crops.images.shape[-1]), batch.generator))
        crops = view_source(crops, self.view, batch.generator)
        network = cast(InstanceNetwork, self.student)
        return prompted_terms(network, crops, self.settings.weights(), batch.generator)

    def predictor(self) -> Predictor:
        return cast(Any, self.student).predictor("whole")  # type: ignore[no-any-return]


class SourcePromptable(Method):
    """One stage, on the source."""

    def __init__(self, settings: SourcePromptableSettings, components: Components) -> None:
        """Keep the settings; nothing is built before the stage is."""
        self.settings, self.components = settings, components

    def stages(self, task: TaskInfo, budget: Budget) -> list[StageSpec]:
        del task, budget
        s = self.settings
        return [
            StageSpec(
                name="source-promptable",
                method="source-promptable",
                config=s,
                components=(("network", s.network),),
                crops=s.crops(),
                iterations=s.iterations,
                build=lambda _: SourcePromptableStage(s, self.components.network(s.network, "none")),
            )
        ]


_NEEDS = {"transformers": "dabench[sam]"}
_TINY = {"crop": 96, "points_per_side": 3}


@hookimpl
def register_methods(register: Register) -> None:
    """Register ``sam``, ``sam-med2d`` and ``source-promptable``."""
    register(
        Component(
            "sam",
            partial(ZeroShot, name="sam"),
            SamMethodSettings,
            "Segment Anything as published, never trained here: automatic masks, or one object per click.",
            paper="Kirillov et al., Segment anything, ICCV 2023",
            licence="Apache-2.0 (transformers and SAM's weights), own implementation of prompts and masks",
            presets={"tiny": _TINY, "small": {}, "paper": {}},
            needs=_NEEDS,
            tags=("filter",),
        )
    )
    register(
        Component(
            "sam-med2d",
            partial(ZeroShot, name="sam-med2d"),
            SamMed2DMethodSettings,
            "SAM-Med2D as published, never trained here: a grid of points, or one object per click.",
            paper="Cheng et al., SAM-Med2D, 2023",
            licence="Apache-2.0, own implementation of adapters, prompts and masks",
            presets={"tiny": {**_TINY, "crop": 64}, "small": {}, "paper": {}},
            needs=_NEEDS,
            tags=("filter",),
        )
    )
    register(
        Component(
            "source-promptable",
            SourcePromptable,
            SourcePromptableSettings,
            "A narrow network of SAM's modules, trained on the labelled source prompt by prompt (small; no SAM).",
            paper="Kirillov et al., Segment anything, ICCV 2023 (how it is trained)",
            licence="Apache-2.0, own implementation",
            needs=_NEEDS,
            tags=("also_on",),
            presets={
                "tiny": {"crop": 96, "iterations": 200, "warmup": 20},
                "small": {},
                "paper": {
                    "network": "sam-vit",
                    "trained": "decoder",
                    "crop": 1024,
                    "batch": 1,
                    "iterations": 2000,
                    "lr": 1e-4,
                    "focal": 20.0,
                },
            },
        )
    )

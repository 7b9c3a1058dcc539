"""Method ``adabn``: a source model whose BatchNorm statistics become the target's.

The weights learnt on the source stay; mean and variance of every BatchNorm layer are estimated anew, as a plain average
over random target crops (Li et al. 2018). With ``entropy`` above 0 the layers' scales and shifts are tuned as well, by
the entropy of the prediction (TENT, Wang et al. 2021, Eq. 1). No target annotation is used.

Deviations: (1) both papers classify whole images, this is per pixel; (2) TENT adapts on the test images as they come,
this adapts on the target's training split, like every other method here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from dabench.plugin import (
    Batch,
    Budget,
    Components,
    ConfigError,
    CropSpec,
    Method,
    NetworkPredictor,
    OptimizerSpec,
    OptimizerStep,
    Predictor,
    Settings,
    Stage,
    StageSpec,
    TaskInfo,
)


class AdaBNSettings(Settings):
    """How the statistics are estimated."""

    crop: int = Field(192, ge=16, description="Side of a crop in pixels (papers: whole images of 224).")
    batch: int = Field(4, ge=1, description="Target crops an update (TENT: 64 images).")
    iterations: int = Field(200, ge=1, description="Updates; statistics are the average over all of them.")
    entropy: float = Field(0.0, ge=0, description="Weight of the entropy (AdaBN: 0; TENT: 1).")
    lr: float = Field(1e-4, gt=0, description="Learning rate of scales and shifts (TENT: 2.5e-4); moot at entropy 0.")


class AdaBNStage(Stage):
    """A copy of the source model that sees target crops in training mode."""

    def __init__(self, settings: AdaBNSettings, network: nn.Module) -> None:
        """Copy the network (a stage never changes its parent) and forget the source's statistics."""
        self.settings, self.student = settings, deepcopy(network)
        if not norm_layers(self.student):
            raise ConfigError("adabn: the network has no BatchNorm layer.", "Use --backbone conv-small.")
        for layer in norm_layers(self.student):
            layer.reset_running_stats()
            layer.momentum = None  # a plain average over all batches since; its count is part of the state

    def modules(self) -> Mapping[str, nn.Module]:
        return {"network": self.student}

    def optimizer_steps(self) -> Sequence[OptimizerStep]:
        # Without weight decay a parameter without gradient stays what it is: at entropy 0 only statistics change.
        return [OptimizerStep("norm", self._parameters, OptimizerSpec(self.settings.lr, name="adam", weight_decay=0.0))]

    def _parameters(self) -> Iterator[nn.Parameter]:
        for layer in norm_layers(self.student):
            yield from layer.parameters()

    def step(self, batch: Batch, optimizer: str) -> dict[str, Tensor]:
        del optimizer
        assert batch.target is not None
        z = self.student(batch.target.images).logits
        entropy = -(z.sigmoid() * F.logsigmoid(z) + (-z).sigmoid() * F.logsigmoid(-z)).mean()
        return {"loss": self.settings.entropy * entropy, "entropy": entropy}

    def predictor(self) -> Predictor:
        return NetworkPredictor(self.student)


def norm_layers(network: nn.Module) -> list[nn.BatchNorm2d]:
    """All BatchNorm layers."""
    return [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]


class AdaBN(Method):
    """The stages of ``source-only``, then ``adabn``."""

    def __init__(self, settings: AdaBNSettings, components: Components) -> None:
        """Keep settings and the way to other components; nothing is built before a stage is."""
        self.settings, self.components = settings, components

    def stages(self, task: TaskInfo, budget: Budget) -> list[StageSpec]:
        s = self.settings
        before = self.components.method("source-only").stages(task, budget)

        def build(parent: Stage | None) -> Stage:
            assert parent is not None
            return AdaBNStage(s, parent.network())

        spec = StageSpec(
            name="adabn",
            method="adabn",
            config=s,
            components=before[-1].components,
            crops=CropSpec(s.crop, target=s.batch),
            iterations=s.iterations,
            build=build,
        )
        return [*before, spec]

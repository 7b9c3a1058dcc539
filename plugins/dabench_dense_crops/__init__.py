"""Dense crops: the source model, fine-tuned on a few densely labelled crops of the target.

What a lab does without weak labels: outline every mitochondrion in some crops, and go on training. It answers whether
points and preferences are better than the same minutes of outlining. Every update sees crops of the source and windows
of the labelled target crops, each with the source-only objective.

No paper: the recipe is the source-only one (its loss, views and network), half of each batch from the labelled crops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from dabench.ops.augmentation import ViewOptions
from dabench.ops.centres import component_centres
from dabench.ops.objectives import LabelledWeights, labelled_terms
from dabench.ops.patches import cut
from dabench.ops.views import view_source
from dabench.plugin import (
    IGNORE,
    Adaptation,
    AdaptationSettings,
    AdaptationStage,
    Array,
    Batch,
    Component,
    CropId,
    Register,
    SourceCrops,
    TrainingData,
    Window,
    hookimpl,
)
from dabench_dense_crops.crops import CropAnswer, Crops, CropSettings


class DenseCropsSettings(AdaptationSettings):
    """How the source model goes on."""

    start: str = "source-only"
    network: str = "promptable"
    backbone: str = "conv-small"
    share: float = Field(
        0.02, gt=0, le=1, description="Share of all crops that are labelled, unless the budget sets it."
    )
    lr: float = 5e-4
    detection: float = Field(10.0, ge=0, description="Weight of the detection of centres.")
    prompts: bool = Field(True, description="Give a random number of centres as prompts.")


class DenseCropsStage(AdaptationStage):
    """Learns labelled crops of the source and of the target alike."""

    settings: DenseCropsSettings

    def __init__(self, settings: DenseCropsSettings, network: nn.Module) -> None:
        """Take a network with the promptable signature."""
        super().__init__(settings, network)
        self.view = ViewOptions()
        self.labelled: Sequence[CropAnswer] = ()

    def prepare(self, data: TrainingData) -> None:
        """Ask for the crops, once."""
        super().prepare(data)
        self.shape = data.target_shape()[1:]
        self.labelled = data.desk.ask("crops")
        by_slice: dict[int, Array] = {}
        for answer in self.labelled:
            canvas = by_slice.setdefault(answer.z, np.full(self.shape, IGNORE, np.uint8))
            canvas[answer.window.slices] = answer.labels
        self.canvases = by_slice

    def target_crops(self, step: int, rng: np.random.Generator) -> Sequence[CropId] | None:
        """Windows inside labelled crops, or around those that are smaller than a window; every crop as often."""
        del step
        if not self.labelled:
            return None
        drawn = [self.labelled[int(i)] for i in rng.integers(len(self.labelled), size=self.settings.batch)]
        return [CropId(a.z, window_in(a.window, self.settings.crop, self.shape, rng)) for a in drawn]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.source is not None
        terms = self._terms(batch.source, batch.generator)
        if self.labelled and batch.target is not None:
            target = self._labelled(batch.target.images, batch.target.origins)
            terms |= {f"target_{name}": term for name, term in self._terms(target, batch.generator).items()}
        return terms

    def _terms(self, crops: SourceCrops, generator: torch.Generator) -> dict[str, Tensor]:
        s = self.settings
        weights = LabelledWeights(s.detection, s.overlap, s.prompts)
        return labelled_terms(self.student, view_source(crops, self.view, generator), weights, generator)

    def _labelled(self, images: Tensor, places: Sequence[CropId]) -> SourceCrops:
        """Target crops with the labels that the desk gave; centres are those of objects as they were painted."""
        cuts = [cut(self.canvases[place.z], place.window, fill=IGNORE) for place in places]
        centres = [torch.from_numpy(component_centres(labels == 1)).to(images.device) for labels in cuts]
        return SourceCrops(images, torch.from_numpy(np.stack(cuts)).to(images.device), centres)


def window_in(crop: Window, size: int, shape: tuple[int, int], rng: np.random.Generator) -> Window:
    """A square window inside a crop; around it where the crop is smaller, as far as the slice goes.

    Example:
        >>> window_in(Window(8, 8, 16, 16), 16, (64, 64), np.random.default_rng(0))
        Window(y=8, x=8, height=16, width=16)
    """
    starts = []
    for first, length, whole in ((crop.y, crop.height, shape[0]), (crop.x, crop.width, shape[1])):
        low, high = sorted((first, first + length - size))
        inside = max(0, whole - size)
        low, high = min(max(low, 0), inside), min(max(high, 0), inside)
        starts.append(int(rng.integers(low, high + 1)))
    return Window(starts[0], starts[1], size, size)


class DenseCrops(Adaptation):
    """The source model and one stage, ``dense-crops``."""

    settings: DenseCropsSettings

    def default_shares(self) -> Mapping[str, float]:
        """The crops that are labelled."""
        return {"crops": self.settings.share}


@hookimpl
def register_weak_labels(register: Register) -> None:
    """Register ``crops``."""
    register(
        Component(
            name="crops",
            factory=Crops,
            config=CropSettings,
            summary="a few crops in which every object is outlined",
            licence="Apache-2.0, own implementation",
        )
    )


@hookimpl
def register_methods(register: Register) -> None:
    """Register ``dense-crops``."""
    register(
        Component(
            name="dense-crops",
            factory=partial(DenseCrops, name="dense-crops", stage=DenseCropsStage, asks=("crops",)),
            config=DenseCropsSettings,
            summary="Fine-tune the source model on a few densely labelled target crops, priced by object.",
            licence="Apache-2.0, own implementation",
            presets={
                "tiny": {"backbone": "conv-tiny", "crop": 96, "iterations": 200},
                "small": {},
            },
        )
    )

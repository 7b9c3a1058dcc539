"""A plugin of the tests: a zero-shot method that makes objects, and a domain in which two of three objects touch.

Every object has a grey value of its own, so that a predictor can tell objects apart which a mask would merge.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from dabench.data.volumes import ArrayVolume
from dabench.plugin import (
    Component,
    CropSpec,
    Domain,
    Method,
    Prediction,
    Predictor,
    Settings,
    Split,
    Stage,
    StageSpec,
    hookimpl,
)

#: Slices, rows, columns; grey values from one object to the next; side of a tile.
SHAPE, STEP, TILE = (2, 48, 80), 40, 32
#: Rows and columns of the objects: the first two touch and cross a border of tiles, the second is on one slice only.
BOXES = {1: (slice(10, 20), slice(20, 40)), 2: (slice(20, 30), slice(20, 40)), 3: (slice(36, 46), slice(60, 70))}


def true_ids() -> np.ndarray[Any, Any]:
    """``(2, 48, 80)`` int32."""
    ids = np.zeros(SHAPE, np.int32)
    for number, box in BOXES.items():
        ids[: 1 if number == 2 else 2, *box] = number
    return ids


class Boxes(Domain):
    """The same two slices in every split."""

    def __init__(self, name: str) -> None:
        self.name = name

    def splits(self) -> tuple[str, ...]:
        return "train", "test"

    def missing(self) -> list[str]:
        return []

    def open(self, split: str, open_volume: Any) -> Split:
        del open_volume
        ids = true_ids()
        images, labels = (ids * STEP).astype(np.uint8), (ids > 0).astype(np.uint8)
        return Split(
            self.name, split, ArrayVolume(images), ArrayVolume(labels), (30.0, 8.0, 8.0), "i", "l", ArrayVolume(ids)
        )


class BoxPredictor(Predictor):
    """Objects are what has one grey value; the ids of a tile differ from those of every other tile of a batch."""

    def __init__(self, network: nn.Module, gives_instances: bool) -> None:
        self.network, self.gives_instances = network, gives_instances

    def predict(self, images: Tensor, points: Any = None, *, density: bool = False) -> Prediction:
        del points, density
        level = (images[:, 0] * 255 / self.network.step).round().long()
        if not self.gives_instances:
            return Prediction((level > 0).float())
        tile = torch.arange(len(images))[:, None, None]
        return Prediction.of_instances(torch.where(level > 0, 100 * tile + 5 * level, 0))


class Levels(nn.Module):
    """What there is to store: the grey values from one object to the next."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("step", torch.tensor(float(STEP)))


class Frozen(Stage):
    def __init__(self, objects: bool) -> None:
        self.levels, self.objects = Levels(), objects

    def modules(self) -> dict[str, nn.Module]:
        return {"network": self.levels}

    def optimizer_steps(self) -> tuple[()]:
        return ()

    def step(self, batch: Any, optimizer: str) -> dict[str, Tensor]:
        raise AssertionError("a frozen stage is never trained")

    def predictor(self) -> Predictor:
        return BoxPredictor(self.levels, self.objects)


class BoxSettings(Settings):
    objects: bool = Field(True, description="Whether it hands out objects, or a probability alone.")


class BoxMaker(Method):
    def __init__(self, settings: BoxSettings, components: Any) -> None:
        del components
        self.settings = settings

    def stages(self, task: Any, budget: Any) -> list[StageSpec]:
        del task, budget
        objects = self.settings.objects
        return [StageSpec("boxes", "box-maker", self.settings, (), CropSpec(TILE), 0, lambda _: Frozen(objects))]


@hookimpl
def register_methods(register: Any) -> None:
    register(Component("box-maker", BoxMaker, BoxSettings, summary="one grey, one object", licence="Apache-2.0"))


@hookimpl
def register_domains(register: Any) -> None:
    for name in ("boxes", "crates"):
        register(Component(name, lambda config, name=name: Boxes(name), summary="boxes", licence="Apache-2.0"))

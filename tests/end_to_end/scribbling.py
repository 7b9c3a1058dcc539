"""A third party's plugin: a weak label ``scribbles`` and a method that learns from them, from public imports alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from dabench.ops.prompts import NetworkOutput
from dabench.plugin import (
    Array,
    Batch,
    Budget,
    Component,
    CropId,
    CropSpec,
    DataError,
    Method,
    NetworkPredictor,
    OptimizerSpec,
    OptimizerStep,
    PointRequest,
    Predictor,
    Register,
    Settings,
    Stage,
    StageSpec,
    TaskInfo,
    TrainingData,
    Truth,
    WeakLabel,
    Window,
    hookimpl,
    write_text,
)


@dataclass(frozen=True)
class Scribble:
    """One stroke along a row of slice ``z``: columns ``[left, right)``, all of one label (0 or 1)."""

    z: int
    row: int
    left: int
    right: int
    label: int


class Scribbles(WeakLabel):
    """A stroke on every so many rows of a slice: the longest run of one label."""

    seconds_per_unit = 2.0
    suffix = ".jsonl"

    def simulate(
        self, request: PointRequest, truth: Truth, rng: np.random.Generator, error_rate: float
    ) -> list[Scribble]:
        return [s for z in request.slices for s in _strokes(z, truth.labels(z), request.fraction, rng, error_rate)]

    def write(self, answers: Sequence[Scribble], path: Path, about: Mapping[str, str] | None = None) -> None:
        write_text(path, "".join(f"{json.dumps({**vars(a), 'about': dict(about or {})})}\n" for a in answers))

    def read(self, path: Path) -> list[Scribble]:
        try:
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            return [Scribble(*(int(line[n]) for n in ("z", "row", "left", "right", "label"))) for line in lines]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: {error}") from None

    def match(self, request: PointRequest, recorded: Sequence[Scribble]) -> list[Scribble]:
        return [answer for answer in recorded if answer.z in request.slices]


def _strokes(z: int, label: Array, share: float, rng: np.random.Generator, error_rate: float) -> list[Scribble]:
    rows = rng.permutation(len(label))[: int(np.ceil(share * len(label)))]
    return [_stroke(z, int(row), label[row], rng.random() < error_rate) for row in sorted(rows)]


def _stroke(z: int, row: int, values: Array, wrong: bool) -> Scribble:
    inside = np.flatnonzero(values == 1)
    left = int(inside[0]) if len(inside) else 0
    run = int(np.argmax(np.append(values[left:], 2) != values[left]))
    return Scribble(z, row, left, left + run, int(values[left]) ^ int(wrong))


class ScribblerSettings(Settings):
    """Of the method."""

    iterations: int = Field(4, ge=1, description="Updates.")
    share: float = Field(0.05, gt=0, le=1, description="Rows with a scribble.")


class Grey(nn.Module):
    """Logistic regression on the grey value."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 1)

    def forward(self, images: Tensor, prompts: object = None, *, with_density: bool = False) -> Any:
        del prompts, with_density
        return NetworkOutput(self.layer(images)[:, :1])


class ScribbleStage(Stage):
    """Learns the pixels under the scribbles, and nothing else."""

    def __init__(self) -> None:
        self.grey = Grey()

    def modules(self) -> Mapping[str, nn.Module]:
        return {"network": self.grey}

    def optimizer_steps(self) -> Sequence[OptimizerStep]:
        return [OptimizerStep("network", self.grey.parameters, OptimizerSpec(0.1))]

    def prepare(self, data: TrainingData) -> None:
        """Take the grey values and labels under all scribbles."""
        self.values, self.labels = [torch.zeros(0)], [torch.zeros(0)]
        for s in data.desk.ask("scribbles"):
            row = data.target_crop(CropId(s.z, Window(s.row, s.left, 1, s.right - s.left)))
            self.values.append(torch.from_numpy(row.copy()).flatten())
            self.labels.append(torch.full((row.size,), float(s.label)))

    def step(self, batch: Batch, optimizer: str) -> dict[str, Tensor]:
        del batch, optimizer
        seen = self.grey(torch.cat(self.values)[None, None, None]).probability.flatten()
        return {"loss": nn.functional.binary_cross_entropy(seen, torch.cat(self.labels), reduction="sum")}

    def predictor(self) -> Predictor:
        return NetworkPredictor(self.grey)


class Scribbler(Method):
    """One stage."""

    def __init__(self, settings: ScribblerSettings, components: object) -> None:
        del components
        self.settings = settings

    def default_shares(self) -> Mapping[str, float]:
        return {"scribbles": self.settings.share}

    def stages(self, task: TaskInfo, budget: Budget) -> list[StageSpec]:
        del task, budget
        s = self.settings
        crops = CropSpec(64)
        return [
            StageSpec("scribbler", "scribbler", s, (), crops, s.iterations, lambda _: ScribbleStage(), ("scribbles",))
        ]


@hookimpl
def register_weak_labels(register: Register) -> None:
    """Register ``scribbles``."""
    register(Component("scribbles", lambda settings: Scribbles(), Settings, "strokes", licence="Apache-2.0"))


@hookimpl
def register_methods(register: Register) -> None:
    """Register ``scribbler``."""
    register(Component("scribbler", Scribbler, ScribblerSettings, "pixels under scribbles", licence="Apache-2.0"))

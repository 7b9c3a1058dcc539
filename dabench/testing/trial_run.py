"""Trains a method's stages for two updates on tiny synthetic volumes, straight or with an interruption."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from dabench.annotation.desk import AnnotationDesk
from dabench.components.assembly import Assembly
from dabench.data.volumes import ArrayVolume
from dabench.interfaces import Budget, Stage, StageSpec, TaskInfo
from dabench.testing.fixtures import Fixtures, discs
from dabench.training.loop import LoopOptions, Update
from dabench.training.sampling import LabelledSlices
from dabench.training.train_stage import StageInputs, build_stage, train_stage

UPDATES = 2
TASK = TaskInfo("one2other", "one", "other")
CPU = torch.device("cpu")


class Truth:
    """Dense labels of a synthetic volume."""

    def __init__(self, labels: ArrayVolume) -> None:
        """Take the labels."""
        self.labels = labels.read

    def __len__(self) -> int:
        return 2


class WatchedAssembly(Assembly):
    """Notes when a network or a backbone is built."""

    built = 0

    def network(self, name: str, backbone: str) -> torch.nn.Module:
        """Count, then build."""
        self.built += 1
        return super().network(name, backbone)

    def backbone(self, name: str) -> torch.nn.Module:
        """Count, then build."""
        self.built += 1
        return super().backbone(name)


@dataclass(frozen=True)
class Trained:
    """A stage after its updates: what the loop reported, and copies of all weights and state."""

    spec: StageSpec
    stage: Stage
    updates: list[Update]
    weights: dict[str, Tensor]


def budget_of(assembly: Assembly, method: str, points: float) -> Budget:
    """Points as asked, and the shares of other weak labels that the method is defined with."""
    return Budget.of({**assembly.method(method).default_shares(), "points": points})


def snapshot(stage: Stage) -> dict[str, Tensor]:
    """Copies of everything that a checkpoint keeps."""
    named = {f"{m}.{k}": v for m, module in stage.modules().items() for k, v in module.state_dict().items()}
    return {k: v.detach().clone() for k, v in {**named, **stage.state()}.items()}


class TrialRun:
    """The stages of one method, trained one after the other on synthetic volumes.

    A stage that several methods start from is trained once: what it gives follows from its description.
    """

    def __init__(self, fixtures: Fixtures, method: str, points: float) -> None:
        """Nothing is trained before it is asked for."""
        self.fixtures, self.points = fixtures, points
        self.budget = budget_of(fixtures.assembly, method, points)
        made = fixtures.assembly.method(method)
        self.specs = made.stages(TASK, self.budget)
        #: Why the method cannot run at this budget; then nothing is trained.
        self.skip = made.skip(TASK, self.budget)

    def chain(self) -> list[Trained]:
        """Every stage on its parent, trained without interruption; none where the method says that it cannot run."""
        done: list[Trained] = []
        for index, spec in enumerate([] if self.skip else self.specs):
            key = f"{self._key(index)} {self.points}"
            if key not in self.fixtures.memory:
                self.fixtures.memory[key] = self.straight(spec, done[-1].stage if done else None)
            done.append(self.fixtures.memory[key])
        return done

    def _key(self, index: int) -> str:
        parts = [(s.method, s.name, s.config.model_dump(mode="json"), str(s.crops)) for s in self.specs[: index + 1]]
        return "trained " + json.dumps(parts)

    # ------------------------------------------------------------------------------------------------------ training
    def build(self, spec: StageSpec, parent: Stage | None) -> Stage:
        """The stage as the runner builds it."""
        return build_stage(spec, parent, 0)

    def straight(self, spec: StageSpec, parent: Stage | None) -> Trained:
        """Two updates in a row."""
        stage, folder = self.build(spec, parent), self.fixtures.new_folder(spec.name)
        updates = list(self._loop(stage, spec, LoopOptions(CPU, False, folder / "checkpoint.pt", UPDATES)))
        return Trained(spec, stage, updates, snapshot(stage))

    def interrupted(self, spec: StageSpec, parent: Stage | None) -> Trained:
        """Killed after the first update, then built again and continued from the checkpoint."""
        options = LoopOptions(CPU, False, self.fixtures.new_folder(spec.name) / "checkpoint.pt", 1)
        loop = self._loop(self.build(spec, parent), spec, options)
        updates = list(islice(loop, 1))
        del loop
        stage = self.build(spec, parent)
        updates += self._loop(stage, spec, options)
        return Trained(spec, stage, updates, snapshot(stage))

    def _loop(self, stage: Stage, spec: StageSpec, options: LoopOptions) -> Iterator[Update]:
        target, target_labels = discs(1)
        desk = self._desk(target_labels).for_stage(spec.asks)
        images, labels = (target, target_labels) if spec.crops.labelled == "target" else discs(2)
        labelled = LabelledSlices(images, labels) if spec.crops.source else None
        gaps = (1, 1) if spec.crops.neighbour else (0, 0)
        inputs = StageInputs(0, desk, labelled, target, gaps, kept=options.checkpoint.with_name("kept"))
        return train_stage(stage, spec, inputs, options, min(UPDATES, spec.iterations))

    def _desk(self, labels: ArrayVolume) -> AnnotationDesk:
        return AnnotationDesk(Truth(labels), labels.shape, self.budget, self.fixtures.assembly.weak_labels())

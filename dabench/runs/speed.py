"""How long training will take: by finished stages of the same kind, else by a few updates on real batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, TypeVar

import torch
from pydantic import TypeAdapter

from dabench.components.registry import Registry
from dabench.components.time_limit import TooLongError, interrupted_after
from dabench.errors import DabenchError
from dabench.files.atomic import write_json
from dabench.files.digests import digest_of
from dabench.files.workspace import Workspace
from dabench.interfaces.observer import Observer
from dabench.runs.faults import told_by_cause
from dabench.runs.plan import Plan, PlannedStage
from dabench.runs.stage_time import Rate, StageTime
from dabench.runs.stages import StageChain
from dabench.tracking.environment import cpu_model
from dabench.tracking.record import RunRecord

_Kind = TypeVar("_Kind", str, tuple[str, str])

#: Seconds after which what could be measured of a plan has to do.
_MOST = 120.0


@dataclass(frozen=True)
class StageLeft:
    """A stage that is to be trained: the seconds it will take, None where they are not known, and how they are."""

    name: str
    seconds: float | None
    basis: str


@dataclass(frozen=True)
class Left:
    """Training that is left, by stage."""

    stages: tuple[StageLeft, ...]

    @property
    def seconds(self) -> float:
        """Of the stages of which it is known."""
        return sum(stage.seconds or 0.0 for stage in self.stages)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Names of the others."""
        return tuple(stage.name for stage in self.stages if stage.seconds is None)

    def as_json(self) -> dict[str, Any]:
        """Seconds in all, and each stage."""
        return {"seconds": self.seconds, "unknown": list(self.unknown), "stages": [vars(s) for s in self.stages]}


def training_left(plan: Plan, registry: Registry, workspace: Workspace, tell: Callable[[str], None]) -> Left:
    """Estimate the training of a plan: each stage by finished ones of its kind, else by a few updates.

    The updates are thrown away; what they took is kept by kind, processor and threads. A stage whose parents are not
    trained yet goes on from the few updates that they got, so what depends on their quality (the number of objects in a
    pseudo-label) takes another time there. All measuring together ends after two minutes. Nothing is measured where
    pretrained weights are not in the store: they would be asked for elsewhere first. A stage that continues counts as
    a whole one. ``tell`` is told before a stage is measured.

    Raises:
        DabenchError: the few updates of a stage whose parents are trained failed, as the run would.
    """
    to_train = [n for n, stage in enumerate(plan.stages) if stage.state in ("new", "resumes")]
    seen = rates(workspace, {kind_of_stage(plan.stages[n]) for n in to_train})
    measure = Measurements(plan, registry, workspace, tell)
    return Left(tuple(_stage_left(plan, n, seen, measure, first=n == to_train[0]) for n in to_train))


def _stage_left(plan: Plan, index: int, seen: Mapping[str, Rate], measure: Measurements, *, first: bool) -> StageLeft:
    stage, known = plan.stages[index], seen.get(kind_of_stage(plan.stages[index]))
    name, updates = stage.spec.name, stage.spec.iterations
    if known is not None:
        stages = f"{known.stages} finished stage{'s' if known.stages > 1 else ''}"
        return StageLeft(name, known.seconds * updates, f"scaled from {stages} of its kind")
    if not all(plan.weights.values()):
        return StageLeft(name, None, "its pretrained weights are not in the store")
    try:
        timed = measure.stage(index)
    except TooLongError:
        return StageLeft(name, None, f"not measured within {_MOST:.0f} s in all")
    except DabenchError as error:
        if first:
            raise
        return StageLeft(name, None, f"it needs a trained start: {error.message.splitlines()[0][:120]}")
    start = "" if first else " from a start that is not trained yet"
    return StageLeft(name, timed.seconds(updates), f"measured: a few updates{start}")


def kind_of_stage(stage: PlannedStage) -> str:
    """The kind of a planned stage."""
    return kind_of(stage.spec.name, stage.spec.config.model_dump(mode="json"))


def kind_of(name: str, settings: Mapping[str, Any]) -> str:
    """Stages of one kind have one speed: their settings are the same but for the number of updates."""
    return json.dumps([name, {k: v for k, v in settings.items() if k != "iterations"}], sort_keys=True)


def rates(workspace: Workspace, kinds: Collection[str]) -> dict[str, Rate]:
    """What finished stages of these kinds in the workspace took."""
    found: dict[str, list[tuple[float, int]]] = {}
    for path in workspace.stages.glob("*/stage.json"):
        try:
            record = json.loads(path.read_text())
            kind = kind_of(record["name"], record.get("settings", {}))
            seen = record["seconds"] / max(record["updates"], 1), int(record["peak_memory_bytes"])
        except (OSError, ValueError, KeyError, TypeError):  # being written, or of another version
            continue
        if kind in kinds:
            found.setdefault(kind, []).append(seen)
    return _summed_up(found)


def recorded_rates(runs: Iterable[RunRecord]) -> dict[tuple[str, str], Rate]:
    """The same of recorded runs, whose records have no settings of stages: by preset and name of the stage."""
    found: dict[tuple[str, str], list[tuple[float, int]]] = {}
    for run in runs:
        for stage in run.stages:
            seen = stage.seconds / max(stage.updates, 1), stage.peak_memory_bytes
            found.setdefault((run.tags.get("preset", ""), stage.stage), []).append(seen)
    return _summed_up(found)


def _summed_up(found: Mapping[_Kind, list[tuple[float, int]]]) -> dict[_Kind, Rate]:
    return {k: Rate(median(s for s, _ in seen), max(m for _, m in seen), len(seen)) for k, seen in found.items()}


class Measurements:
    """Stages that are timed, one after the other, in one chain whose weights are thrown away."""

    def __init__(self, plan: Plan, registry: Registry, workspace: Workspace, tell: Callable[[str], None]) -> None:
        self._plan, self._registry, self._tell = plan, registry, tell
        self._file = workspace.root / "cache" / "speeds.json"
        self._chain = StageChain(plan, registry, Observer())
        self._ends = perf_counter() + _MOST

    def stage(self, index: int) -> StageTime:
        """The time of a stage, measured once; and of untrained parents, which it goes on from."""
        known, stages = _known(self._file), self._plan.stages
        untrained = [n for n in range(index) if stages[n].state in ("new", "resumes")]
        about = [kind_of_stage(stages[index]), cpu_model(), torch.get_num_threads(), bool(untrained)]
        if (name := digest_of(about)[:16]) not in known:
            for parent in untrained:
                if not self._chain.is_built(parent):
                    self._timed(parent)
            known[name] = self._timed(index)
            write_json(self._file, {key: vars(timed) for key, timed in known.items()})
        return known[name]

    def rate(self, index: int) -> Rate | None:
        """Of a stage by itself; None where measuring takes too long.

        Raises:
            DabenchError: the few updates failed, as the run would.
        """
        updates = self._plan.stages[index].spec.iterations
        try:
            return Rate(self.stage(index).seconds(updates) / max(updates, 1), 0, 0)
        except TooLongError:
            return None

    def _timed(self, index: int) -> StageTime:
        left = self._ends - perf_counter()
        if left <= 0:
            raise TooLongError
        self._tell(f"timing a few updates of {self._plan.stages[index].spec.name}, {left:.0f} s at most")
        with interrupted_after(left), told_by_cause(self._registry, self._plan.config.method):
            return self._chain.timed(index)


def _known(file: Path) -> dict[str, StageTime]:
    try:
        return TypeAdapter(dict[str, StageTime]).validate_json(file.read_bytes())
    except (OSError, ValueError):  # none yet, damaged, or of another version
        return {}

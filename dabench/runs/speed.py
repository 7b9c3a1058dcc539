"""How long training will take: by finished stages of the same kind, else by a few updates on real batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from dabench.components.registry import Registry
from dabench.files.atomic import write_json
from dabench.files.digests import digest_of
from dabench.files.workspace import Workspace
from dabench.interfaces.observer import Observer
from dabench.runs.faults import told_by_cause
from dabench.runs.plan import Plan, PlannedStage
from dabench.runs.stages import StageChain
from dabench.tracking.environment import cpu_model
from dabench.tracking.record import RunRecord


@dataclass(frozen=True)
class Left:
    """Training that is left: seconds of the stages whose speed is known, and the names of the others."""

    seconds: float
    unknown: tuple[str, ...]


def training_left(plan: Plan, registry: Registry, workspace: Workspace, tell: Callable[[str], None]) -> Left:
    """Estimate the training of a plan.

    The first stage to train, where nothing of its kind has run, trains a few updates and throws them away; what they
    took is kept by its key and this processor. ``tell`` is told before. Stages after it stay unknown: they go on from
    weights that are not there. So do all of a plan whose pretrained weights are not in the store, which would be asked
    for elsewhere first. A stage that continues counts as a whole one.

    Raises:
        DabenchError: the few updates failed, as the run would.
    """
    to_train = [n for n, stage in enumerate(plan.stages) if stage.state in ("new", "resumes")]
    seen = rates(workspace, {kind_of_stage(plan.stages[n]) for n in to_train})
    speeds = {n: seen[kind][0] for n in to_train if (kind := kind_of_stage(plan.stages[n])) in seen}
    if to_train and to_train[0] not in speeds and all(plan.weights.values()):
        speeds[to_train[0]] = measured_speed(plan, to_train[0], registry, workspace, tell)
    seconds = sum(speed * plan.stages[n].spec.iterations for n, speed in speeds.items())
    return Left(seconds, tuple(plan.stages[n].spec.name for n in to_train if n not in speeds))


def kind_of_stage(stage: PlannedStage) -> str:
    """The kind of a planned stage."""
    return kind_of(stage.spec.name, stage.spec.config.model_dump(mode="json"))


def kind_of(name: str, settings: Mapping[str, Any]) -> str:
    """Stages of one kind have one speed: their settings are the same but for the number of updates."""
    return json.dumps([name, {k: v for k, v in settings.items() if k != "iterations"}], sort_keys=True)


def rates(workspace: Workspace, kinds: Collection[str]) -> dict[str, tuple[float, int]]:
    """Seconds per update (median) and most memory of finished stages of these kinds in the workspace."""
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
    return {k: (median(s for s, _ in seen), max(m for _, m in seen)) for k, seen in found.items()}


def recorded_rates(runs: Iterable[RunRecord]) -> dict[tuple[str, str], tuple[float, int]]:
    """The same of recorded runs, whose records have no settings of stages: by preset and name of the stage."""
    found: dict[tuple[str, str], list[tuple[float, int]]] = {}
    for run in runs:
        for stage in run.stages:
            seen = stage.seconds / max(stage.updates, 1), stage.peak_memory_bytes
            found.setdefault((run.tags.get("preset", ""), stage.stage), []).append(seen)
    return {k: (median(s for s, _ in seen), max(m for _, m in seen)) for k, seen in found.items()}


def measured_speed(
    plan: Plan, index: int, registry: Registry, workspace: Workspace, tell: Callable[[str], None]
) -> float:
    """Seconds per update of a stage, measured once; stages before it that are not trained are as they begin.

    Raises:
        DabenchError: the few updates failed, as the run would.
    """
    stage, file = plan.stages[index], workspace.root / "cache" / "speeds.json"
    known, name = _known(file), digest_of([stage.key, cpu_model()])[:16]
    if name not in known:
        tell(f"measuring a few updates of {stage.spec.name}; nothing of its kind has run here")
        with told_by_cause(registry, plan.config.method):
            chain = StageChain(plan, registry, Observer())
            for earlier in range(index):
                chain.stand_in(earlier)
            known[name] = chain.seconds_an_update(index)
        write_json(file, known)
    return known[name]


def _known(file: Path) -> dict[str, float]:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in found.items() if isinstance(v, float) and v > 0} if isinstance(found, dict) else {}

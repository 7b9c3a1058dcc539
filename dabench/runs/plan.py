"""What a run will do, before it does it: stages with their keys, budget, what is cached and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dabench.annotation.desk import AnnotationDesk
from dabench.annotation.raters import Rater
from dabench.components.assembly import Assembly
from dabench.components.registry import Registry
from dabench.files.workspace import Workspace
from dabench.interfaces import Budget, Candidate, Method, StageSpec
from dabench.runs import pixels
from dabench.runs.annotation import answer_notes, budget_of, idle_notes, make_desk
from dabench.runs.config import RunConfig
from dabench.runs.contrast import contrast_note
from dabench.runs.device import numerics
from dabench.runs.domains import all_domains
from dabench.runs.inputs import check_batches, run_notes
from dabench.runs.keys import parts_of, stage_key, stage_source
from dabench.runs.label_use import label_notes
from dabench.runs.prompts import check_test_points
from dabench.runs.selection import Choice, candidates, check_candidates, choice_of, snapshot_updates, why_not
from dabench.runs.source_model import begin_with, needs_images, uses_source
from dabench.runs.task import TaskData
from dabench.runs.weights import WeightsStore, lacking
from dabench.training.store import StageFolder


@dataclass(frozen=True)
class PlannedStage:
    """A stage with its key; ``state`` is ``cached``, ``resumes``, ``new`` or ``frozen``.

    A frozen one is never trained. ``seconds`` is what a cached one took. ``snapshots`` are updates after which its
    weights are kept, beside those after the last one.
    """

    spec: StageSpec
    key: str
    folder: StageFolder
    state: str
    seconds: float = 0.0
    snapshots: tuple[int, ...] = ()


@dataclass(frozen=True)
class Plan:
    """A run, resolved. ``stages`` is empty when the cell is skipped or data are missing."""

    config: RunConfig
    assembly: Assembly
    task: TaskData
    budget: Budget
    method: Method
    choice: Choice
    stages: list[PlannedStage]
    skip: str = ""
    missing: list[str] = field(default_factory=list)
    #: What has to be installed or added first, in words: a suite skips such a cell, a run of its own is refused.
    lacks: tuple[str, ...] = ()
    #: Pretrained weights by name: the digest of the file, "" where the store does not have them.
    weights: dict[str, str] = field(default_factory=dict)
    desk: AnnotationDesk | None = None
    #: Who may predict, the preferred first; the selector chooses where there are several.
    candidates: tuple[Candidate, ...] = ()
    #: Train every stage anew, in the run's own folder.
    fresh: bool = False
    #: What a user should know of the task's pixel sizes, and of a person's preferences.
    notes: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()

    @property
    def asks(self) -> tuple[str, ...]:
        """The weak labels that its stages ask for."""
        return tuple(dict.fromkeys(kind for stage in self.stages for kind in stage.spec.asks))


def make_plan(
    config: RunConfig,
    registry: Registry,
    workspace: Workspace,
    *,
    cache: bool = True,
    threads: int | None = None,
    raters: Mapping[str, Rater] | None = None,
) -> Plan:
    """Resolve a configuration. Builds no network; of the user's own volumes it looks at some slices.

    ``threads`` are those of the process that will train; this one's unless given. ``raters`` answer kinds of annotation
    in place of those that the configuration names.
    """
    weights = WeightsStore(workspace.weights)
    assembly = Assembly(registry, config, weights)
    registry.get("protocol", config.protocol)
    method = assembly.method(config.method)
    task = TaskData(config, all_domains(assembly, workspace), assembly.readers())
    budget = budget_of(config, assembly)
    info = task.info()
    skip = method.skip(info, budget) or ""
    specs = [] if skip else method.stages(info, budget)
    if specs and config.source_checkpoint:
        specs = begin_with(specs, config.source_checkpoint, weights)
        if not info.has_source and (skip := needs_images(specs)):
            specs = []
    check_batches(specs)
    uses = {pair for spec in specs for pair in (("method", spec.method), *spec.components)}
    lacks = tuple(lacking(assembly, uses))
    weak_labels = assembly.weak_labels()
    missing = task.missing(any(uses_source(spec) for spec in specs))
    points = budget.points > 0 and any("points" in spec.asks for spec in specs)
    choice = choice_of(config, assembly, own=points and not missing and not task.has_test_labels())
    if not skip:
        assembly.check_used()
        assembly.check_spelling()
    found = _candidates(config, choice, specs)
    if specs and not missing:
        source = any(uses_source(spec) for spec in specs)
        skip = why_not(choice.selector, choice.name, task, points=points, source=source)
    skip = skip or "; ".join(lacks)
    plan = Plan(config, assembly, task, budget, method, choice, [], skip, missing, lacks, _pretrained(assembly, uses))
    if skip or missing:
        return plan
    check_test_points(task, weak_labels["points"])
    desk = make_desk(config, task, weak_labels, budget, choice.selector)
    for kind, rater in (raters or {}).items():
        desk.use(kind, rater)
    desk.check(kind for spec in specs for kind in spec.asks)
    root = workspace.stages if cache else workspace.runs / config.cell_id / "stages"
    stages = _stages(config, assembly, task, desk, specs, root, threads)
    if not cache:
        stages = [replace(stage, state="new", seconds=0.0) for stage in stages]
    notes = pixels.notes(task, config.budget.points_file, weak_labels["points"])
    said = (*answer_notes(config), *idle_notes(config, task, {kind for spec in specs for kind in spec.asks}))
    said += tuple(filter(None, [contrast_note(task, weak_labels["points"], config.budget.points_file)]))
    said += tuple(run_notes(task, specs, workspace))
    said += tuple(label_notes(task, specs, registry.get("method", config.method).component.bracket))
    return replace(plan, stages=stages, desk=desk, candidates=found, fresh=not cache, notes=notes, answers=said)


def _candidates(config: RunConfig, choice: Choice, specs: list[StageSpec]) -> tuple[Candidate, ...]:
    """Who may predict after these stages. Raises ConfigError for a selector with nothing to choose."""
    if not specs:
        return ()
    found = candidates(snapshot_updates(specs[-1].iterations, config.snapshots), choice.thresholds)
    check_candidates(config, found)
    return found


def _stages(
    config: RunConfig,
    assembly: Assembly,
    task: TaskData,
    desk: AnnotationDesk,
    specs: list[StageSpec],
    root: Path,
    threads: int | None,
) -> list[PlannedStage]:
    """The chain of stages, each key made of all that decides its outcome and of its parent's key."""
    planned: list[PlannedStage] = []
    parent, registry = "", assembly.registry
    for spec in specs:
        # Only the last stage predicts; every other one is the same with and without a choice at the end.
        kept = snapshot_updates(spec.iterations, config.snapshots)[:-1] if spec is specs[-1] else ()
        content: dict[str, Any] = {
            "name": spec.name,
            "config": spec.config.model_dump(mode="json"),
            "components": {f"{k}:{n}": assembly.config(k, n).model_dump(mode="json") for k, n in parts_of(spec)[1:]},
            "crops": {k: v for k, v in vars(spec.crops).items() if k != "labelled"},
            "iterations": spec.iterations,
            "data": task.data_digest(spec),
            "source": stage_source(registry, task, spec),
            "desk": desk.digest(spec.asks),
            "seed": config.seed,
            "numerics": numerics(config, threads),
            "weights": _pretrained(assembly, {("method", spec.method), *spec.components}),
            "parent": parent,
        }
        if config.source_checkpoint and not planned:
            content["source_checkpoint"] = assembly.weights.digest(config.source_checkpoint)
        if kept:
            content["snapshots"] = kept
        key = stage_key(content)
        planned.append(replace(_planned(spec, key, StageFolder(root, key)), snapshots=kept))
        parent = key
    return planned


def _planned(spec: StageSpec, key: str, folder: StageFolder) -> PlannedStage:
    record = folder.record()
    if record is not None:
        return PlannedStage(spec, key, folder, "cached", record.seconds)
    state = "resumes" if folder.checkpoint.is_file() else "new" if spec.iterations else "frozen"
    return PlannedStage(spec, key, folder, state)


def _pretrained(assembly: Assembly, uses: set[tuple[str, str]]) -> dict[str, str]:
    """Digest of each pretrained weights file that the run asks for; "" for one that the store does not have."""
    wanted = {getattr(assembly.config(*pair), "pretrained", "none") for pair in uses}
    return {name: assembly.weights.digest(name) for name in sorted(wanted - {"none"})}


def describe(plan: Plan) -> Mapping[str, Any]:
    """The plan as plain values, for ``--dry-run`` and ``--json``."""
    return {
        "cell_id": plan.config.cell_id,
        "task": plan.config.task,
        "data": plan.config.data,
        "skip": plan.skip,
        "budget": {
            "points": plan.budget.points,
            "patches": plan.budget.patches,
            **plan.budget.others,
            "rater": plan.config.budget.rater,
        },
        "missing_data": plan.missing,
        "unscored": "" if plan.missing or plan.skip else plan.task.unscored(),
        "missing_weights": [name for name, digest in plan.weights.items() if not digest],
        "pixel_size": plan.task.pixel_size,
        "pixel_nm": None if not plan.stages else pixels.model_pixel(plan.task, [s.spec for s in plan.stages]),
        "notes": [*plan.notes, *plan.answers],
        "selector": plan.choice.name,
        "candidates": len(plan.candidates),
        "points_held_out": 0 if plan.desk is None else plan.desk.held_out,
        "stages": [
            {"name": s.spec.name, "iterations": s.spec.iterations, "state": s.state, "key": s.key, "asks": s.spec.asks}
            for s in plan.stages
        ],
    }

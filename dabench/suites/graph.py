"""A suite as one graph: every cell planned, every stage that cells share once, and what that saves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dabench.components.registry import Registry
from dabench.errors import ConfigError, DataError
from dabench.execution.jobs import Job
from dabench.files.workspace import Workspace
from dabench.runs.keys import scoring_source
from dabench.runs.plan import Plan, make_plan
from dabench.runs.speed import kind_of_stage, rates
from dabench.runs.task import TaskData
from dabench.suites.spec import SuiteCell
from dabench.tracking.run_reader import read_run

#: Bytes that a job is expected to take while nothing like it has run here.
_MEMORY = 2 * 2**30


@dataclass(frozen=True)
class StageNode:
    """A stage that one or more cells need. ``seconds`` is what it took, None while it is not trained."""

    key: str
    name: str
    iterations: int
    parent: str
    seconds: float | None
    kind: str = field(repr=False, default="")


@dataclass(frozen=True)
class CellNode:
    """A cell of the suite with its chain of stages and how it stands before the run.

    ``state``: ``done`` (finished, by the present code), ``stale`` (finished by other code, data or settings), a status
    of an earlier attempt, ``new``, ``skips`` (the method cannot run, which its journal has still to say), ``missing``
    (files), ``excluded``.
    """

    cell: SuiteCell
    state: str
    reason: str = ""
    keys: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Task, seed and row."""
        return f"{self.cell.config.task} s{self.cell.config.seed} {self.cell.row}"

    @property
    def to_run(self) -> bool:
        """Whether there is something to do."""
        return self.state not in ("done", "skipped", "missing", "excluded")


@dataclass(frozen=True)
class SuiteGraph:
    """All cells and all stages of a suite."""

    suite: str
    cells: tuple[CellNode, ...]
    stages: Mapping[str, StageNode]
    rates: Mapping[str, tuple[float, int]] = field(repr=False, default_factory=dict)

    def jobs(self) -> dict[str, Job]:
        """What is to be done, by id, in an order in which it can be done."""
        found: dict[str, Job] = {}
        for node in self.cells:
            if not node.to_run:
                continue
            config = node.cell.config.model_dump(mode="json")
            before: tuple[str, ...] = ()
            for index, key in enumerate(node.keys):
                stage = self.stages[key]
                if stage.seconds is not None:
                    continue
                job = f"stage-{key}"
                label = f"{node.cell.config.task} s{node.cell.config.seed} stage {stage.name}"
                found.setdefault(
                    job, Job(job, label, self.suite, config, index, before, node.keys, self._memory(stage))
                )
                before = (job,)
            cell = f"cell-{node.cell.config.cell_id}"
            found[cell] = Job(cell, node.label, self.suite, config, None, before, node.keys, self._memory(None))
        return found

    def _memory(self, stage: StageNode | None) -> int:
        if stage is not None:
            return self.rates.get(stage.kind, (0.0, _MEMORY))[1] or _MEMORY
        return max((memory for _, memory in self.rates.values()), default=_MEMORY) or _MEMORY

    # ---------------------------------------------------------------------------------------------------- costs
    def updates(self) -> tuple[int, int]:
        """Training updates of all cells: with common stages once, and run alone."""
        chains = [self.stages[key] for node in self.cells for key in node.keys]
        return sum(s.iterations for s in self.stages.values()), sum(s.iterations for s in chains)

    def seconds(self) -> tuple[float, float] | None:
        """Measured training seconds, shared and alone; None while a stage is not trained."""
        chains = [self.stages[key].seconds for node in self.cells for key in node.keys]
        once = [s.seconds for s in self.stages.values()]
        if not chains or any(s is None for s in once):
            return None
        return sum(s for s in once if s is not None), sum(s for s in chains if s is not None)

    def left(self) -> tuple[float, int]:
        """Estimated training seconds that are left, and the number of stages that nothing here tells the speed of."""
        estimates = [self._estimate(s) for s in self.stages.values() if s.seconds is None]
        return sum(e for e in estimates if e is not None), sum(e is None for e in estimates)

    def _estimate(self, stage: StageNode) -> float | None:
        rate = self.rates.get(stage.kind)
        return None if rate is None else rate[0] * stage.iterations

    def as_json(self) -> dict[str, Any]:
        """Cells, their states, stages and updates shared and alone, and the time, for a program."""
        once, alone = self.updates()
        seconds, unknown = self.left()
        cells = [
            {
                "row": n.cell.row,
                "cell_id": n.cell.config.cell_id,
                "state": n.state,
                "reason": n.reason,
                "stages": n.keys,
            }
            for n in self.cells
        ]
        stages = {
            "distinct": len(self.stages),
            "alone": sum(len(n.keys) for n in self.cells),
            "trained": sum(s.seconds is not None for s in self.stages.values()),
        }
        return {
            "suite": self.suite,
            "cells": cells,
            "states": dict(Counter(n.state for n in self.cells)),
            "stages": stages,
            "updates": {"shared": once, "alone": alone},
            "estimated_seconds": seconds,
            "stages_of_unknown_speed": unknown,
        }


def make_graph(
    suite: str, cells: Sequence[SuiteCell], registry: Registry, workspace: Workspace, threads: int = 1
) -> SuiteGraph:
    """Plan every cell for jobs of so many threads.

    Raises ConfigError that names all cells with settings that cannot be; nothing has run then.
    """
    nodes: list[CellNode] = []
    stages: dict[str, StageNode] = {}
    wrong: list[str] = []
    for cell in cells:
        if cell.excluded:
            nodes.append(CellNode(cell, "excluded", cell.excluded))
            continue
        try:
            plan = make_plan(cell.config, registry, workspace, threads=threads)
        except (ConfigError, DataError) as error:
            place = ", ".join(f"{k} {v}" for k, v in cell.place.items())
            wrong.append(f"{cell.row} ({place}): {error.message}")
            continue
        nodes.append(_node(cell, plan, workspace, registry))
        stages |= {s.key: s for s in _stages(plan)}
    if wrong:
        listed = "\n  ".join(dict.fromkeys(wrong))
        raise ConfigError(
            f"suite {suite}: {len(wrong)} of {len(cells)} cells cannot be:\n  {listed}",
            "Leave them out: exclude: [{row: ..., task: ..., why: ...}]",
        )
    return SuiteGraph(suite, tuple(nodes), stages, rates(workspace, {s.kind for s in stages.values()}))


def _node(cell: SuiteCell, plan: Plan, workspace: Workspace, registry: Registry) -> CellNode:
    if plan.missing:
        return CellNode(cell, "missing", f"files are missing: {', '.join(plan.missing[:3])}")
    keys = tuple(s.key for s in plan.stages)
    return CellNode(cell, *_state(cell, keys, plan.skip, workspace, registry, plan.task), keys)


def _state(
    cell: SuiteCell, keys: tuple[str, ...], skip: str, workspace: Workspace, registry: Registry, task: TaskData
) -> tuple[str, str]:
    """How an earlier run of the cell stands to what would run now."""
    try:
        run = read_run(workspace.runs / cell.config.cell_id)
    except DataError:
        return ("skips", skip) if skip else ("new", "")
    if skip:
        return "skipped" if (run.status, run.reason) == ("skipped", skip) else "skips", skip
    if run.status != "ok":
        return ("new", "") if run.status == "skipped" else (run.status, run.reason)
    same = tuple(s.key for s in run.stages) == keys
    scoring = scoring_source(registry, task, cell.config.protocol)[:16]
    if same and run.tags.get("scoring_digest") == scoring:
        return "done", ""
    return "stale", "trained by other code or on other data" if not same else "scored by other code"


def _stages(plan: Plan) -> Iterable[StageNode]:
    parent = ""
    for stage in plan.stages:
        kind = kind_of_stage(stage)
        seconds = stage.seconds if stage.state == "cached" else None
        yield StageNode(stage.key, stage.spec.name, stage.spec.iterations, parent, seconds, kind)
        parent = stage.key

"""A suite as one graph: every cell planned, every stage that cells share once, what that saves, and its jobs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from dabench.errors import DataError
from dabench.execution.jobs import Job, Resources
from dabench.files.atomic import write_json
from dabench.files.workspace import Workspace
from dabench.runs.stage_time import Rate
from dabench.suites.spec import Suite, SuiteCell

#: Bytes that a job is expected to take while nothing like it has run here.
_MEMORY = 2 * 2**30
#: Name of the file that has a suite's graph as it was when the suite was started, and since when.
PLAN = "plan.json"
#: State of a cell that a file of recorded results has.
RECORDED = "recorded"
#: How the ids of jobs begin that have a journal say how a cell ended.
LOST = "lost-"


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

    ``state``: ``done`` (finished, by the present code), ``recorded`` (the same, as a file of recorded results says;
    without stages then), ``stale`` (finished by other code, data or settings), a status of an earlier attempt, ``new``,
    ``skips`` (the method cannot run, which its journal has still to say), ``missing`` (files), ``excluded``.
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
    def job(self) -> str:
        """Id of the job that predicts and scores it."""
        return f"cell-{self.cell.config.cell_id}"

    @property
    def to_run(self) -> bool:
        """Whether there is something to do."""
        return self.state not in ("done", RECORDED, "skipped", "missing", "excluded")


@dataclass(frozen=True)
class SuiteGraph:
    """All cells and all stages of a suite, planned for jobs of so many threads."""

    suite: Suite
    cells: tuple[CellNode, ...]
    stages: Mapping[str, StageNode]
    rates: Mapping[str, Rate] = field(repr=False, default_factory=dict)
    threads: int = 1

    def jobs(self, asked: Resources | None = None) -> dict[str, Job]:
        """What is to be done, by id, in an order in which it can be done; ``asked`` is what every job takes anyway.

        Seed by seed: wherever it stops, all rows have the same seeds, as far as it came.
        """
        each = replace(asked or Resources(), cores=self.threads)
        found: dict[str, Job] = {}
        for node in sorted(self.cells, key=lambda node: node.cell.config.seed):
            if not node.to_run:
                continue
            before: tuple[str, ...] = ()
            for index, key in enumerate(node.keys):
                stage = self.stages[key]
                if stage.seconds is None:
                    job = self._stage_job(node, index, before, each)
                    found.setdefault(job.id, job)
                    before = (job.id,)
            found[node.job] = self._cell_job(node, before, each)
        return found

    def _stage_job(self, node: CellNode, index: int, needs: tuple[str, ...], asked: Resources) -> Job:
        stage = self.stages[node.keys[index]]
        memory = (rate.memory if (rate := self.rates.get(stage.kind)) else 0) or _MEMORY
        return Job(
            f"stage-{stage.key}",
            "dabench.suites.work:train",
            {**self._arguments(node), "stage": index},
            f"{node.cell.config.task} s{node.cell.config.seed} stage {stage.name}",
            replace(asked, memory=asked.memory or memory, hours=(self._estimate(stage) or 0.0) / 3600),
            needs,
            (*_ADDED, *(f"stages/{key}" for key in node.keys[:index])),
            (f"stages/{stage.key}",),
        )

    def _cell_job(self, node: CellNode, needs: tuple[str, ...], asked: Resources) -> Job:
        memory = max((rate.memory for rate in self.rates.values()), default=0) or _MEMORY
        return Job(
            node.job,
            "dabench.suites.work:score",
            self._arguments(node),
            node.label,
            replace(asked, memory=asked.memory or memory),
            needs,
            (*_ADDED, *(f"stages/{key}" for key in node.keys)),
            (f"runs/{node.cell.config.cell_id}", *(f"stages/{key}/predictions" for key in node.keys)),
        )

    def lost(self, node: CellNode, status: str, reason: str) -> Job:
        """What has a cell's journal say how it ended, where its own process could not."""
        arguments = {**self._arguments(node), "status": status, "reason": reason}
        made = (f"runs/{node.cell.config.cell_id}",)
        return Job(LOST + node.job, "dabench.suites.work:give_up", arguments, node.label, reads=_ADDED, makes=made)

    def _arguments(self, node: CellNode) -> dict[str, Any]:
        config = node.cell.config.model_dump(mode="json")
        return {"suite": self.suite.name, "config": config, "keys": list(node.keys), "threads": self.threads}

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

    def _hours_by_stage(self) -> dict[str, float]:
        """Core hours of the stages that are left, by name, as far as their speed is known."""
        found: dict[str, float] = {}
        for stage in (s for s in self.stages.values() if s.seconds is None):
            if (seconds := self._estimate(stage)) is not None:
                found[stage.name] = found.get(stage.name, 0.0) + seconds * self.threads / 3600
        return found

    def _estimate(self, stage: StageNode) -> float | None:
        rate = self.rates.get(stage.kind)
        return None if rate is None else rate.seconds * stage.iterations

    def now(self, workspace: Workspace) -> SuiteGraph:
        """The same with the seconds of the stages that were trained since."""
        new = [key for key, stage in self.stages.items() if stage.seconds is None]
        stages = {**self.stages, **{key: replace(self.stages[key], seconds=_trained(workspace, key)) for key in new}}
        return replace(self, stages=stages)

    def as_json(self, asked: Resources | None = None) -> dict[str, Any]:
        """Cells, their states, stages and updates shared and alone, time and hours by resource, for a program."""
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
        hours, gpus = seconds / 3600, (asked or Resources()).gpus
        return {
            "suite": self.suite.name,
            "cells": cells,
            "states": dict(Counter(n.state for n in self.cells)),
            "stages": stages,
            "updates": {"shared": once, "alone": alone},
            "estimated_seconds": seconds,
            "estimated_hours": {"jobs": hours, "cores": hours * self.threads, "gpus": hours * gpus},
            "estimated_core_hours_by_stage": self._hours_by_stage(),
            "jobs": len(self.jobs()),
            "stages_of_unknown_speed": unknown,
        }


#: What a user added to a workspace: cards of domains, and weights.
_ADDED = ("cards", "weights")


def _trained(workspace: Workspace, key: str) -> float | None:
    """What a finished stage took. Its file alone is read: nothing here needs what trains."""
    try:
        return float(json.loads((workspace.stages / key / "stage.json").read_text())["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True)
class StartedSuite:
    """A suite's graph as it was when it was last started: by which executor, and when (seconds of the clock)."""

    graph: SuiteGraph
    executor: str
    planned: float


_STARTED = TypeAdapter(StartedSuite)


def write_started(workspace: Workspace, started: StartedSuite) -> Path:
    """Keep the graph beside the suite, where any later process finds it without planning."""
    path = workspace.suite(started.graph.suite.name) / PLAN
    write_json(path, _STARTED.dump_python(started, mode="json"))
    return path


def read_started(workspace: Workspace, suite: str) -> StartedSuite | None:
    """What `write_started` kept; None for a suite that was never started. Raises DataError for a damaged file."""
    path = workspace.suite(suite) / PLAN
    if not path.is_file():
        return None
    try:
        return _STARTED.validate_json(path.read_text())
    except ValueError as error:
        raise DataError(f"{path}: damaged: {str(error).splitlines()[0]}", "Start the suite again.") from None

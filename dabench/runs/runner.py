"""Runs one cell: its stages trained or found, predicted, scored, recorded."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial

import torch

from dabench.components.registry import Registry
from dabench.errors import MissingDataError, OutOfMemoryError, WeightsError
from dabench.files.atomic import copy_file, write_json
from dabench.files.workspace import Workspace
from dabench.interfaces import Candidate
from dabench.interfaces.observer import Observer
from dabench.runs import events
from dabench.runs.alterations import Alterations
from dabench.runs.config import RunConfig
from dabench.runs.faults import told_by_cause
from dabench.runs.guard import Guard
from dabench.runs.plan import Plan, PlannedStage, make_plan
from dabench.runs.results import CellResults
from dabench.runs.selection import choose, open_data
from dabench.runs.stages import StageChain
from dabench.tracking import environment as env
from dabench.tracking.curves import plot_curves
from dabench.tracking.events import Altered, CellFinished, Phase
from dabench.tracking.journal import Journal
from dabench.tracking.lock import exclusive
from dabench.tracking.record import RunRecord
from dabench.tracking.run_reader import read_run


class Runner:
    """Executes one plan. Killed at any moment and started again, it continues where it was."""

    def __init__(
        self,
        plan: Plan,
        registry: Registry,
        workspace: Workspace,
        observer: Observer | None = None,
        suite: str = "",
        altered: Sequence[Altered] = (),
    ) -> None:
        """Take a plan, who is told how far it is, and the suite that it is run for; nothing is written yet.

        ``altered`` is what the suite's other jobs found altered in stages of this plan.
        """
        self.plan, self.registry, self.workspace, self.suite = plan, registry, workspace, suite
        self.config: RunConfig = plan.config
        self.observer = Alterations(observer or Observer(), altered)
        self.path = workspace.runs / plan.config.cell_id
        self.stages = StageChain(plan, registry, self.observer)
        self._seconds: dict[str, float] = {}
        #: The checkpoint and threshold that predict the test split.
        self.chosen: Candidate | None = next(iter(plan.candidates), None)
        self.results: CellResults | None = None

    # ---------------------------------------------------------------------------------------------------------- run
    def execute(self) -> RunRecord:
        """Run the cell to its end and return its record. Whatever fails is journalled before it is raised."""
        self._check_files()
        with self._alone():
            return self._execute()

    def train_until(self, last: int) -> None:
        """Finish the stages up to the ``last``-th and nothing else: what cells of a suite have in common."""
        self._check_files()
        with told_by_cause(self.registry, self.config.method):
            for index in range(last + 1):
                self.stages.finish(index)

    def give_up(self, status: str, reason: str) -> RunRecord:
        """Journal that the cell ended like this in another process, which could not say so itself."""
        with self._alone():
            self._begin().append(CellFinished(status, reason, *self._totals()))
            return read_run(self.path)

    def _check_files(self) -> None:
        if self.plan.missing:
            listing = "\n  ".join(self.plan.missing[:6])
            raise MissingDataError(
                f"task {self.config.task}: files are missing:\n  {listing}",
                "Where to get them: dabench data ls. Or try --data phantom, which needs no files.",
            )
        if self.plan.lacks and not self.suite:
            raise WeightsError("\n".join(self.plan.lacks))

    def _alone(self) -> AbstractContextManager[None]:
        return exclusive(self.path.with_name(f"{self.path.name}.lock"))

    def _begin(self) -> Journal:
        """Open the journal with what identifies the cell and where it runs."""
        journal = Journal(self.path)
        write_json(self.path / "config.json", self.config.on_record())
        environment = env.capture()
        write_json(self.path / "environment.json", environment)
        device = str(self.stages.device)
        journal.append(events.started(self.plan, self.registry, environment, device, self.suite))
        self.observer.write_to(journal)
        return journal

    def _execute(self) -> RunRecord:
        if self.plan.fresh:
            shutil.rmtree(self.path / "stages", ignore_errors=True)
        journal = self._begin()
        if self.plan.skip:
            journal.append(CellFinished("skipped", self.plan.skip))
            return read_run(self.path)
        try:
            with told_by_cause(self.registry, self.config.method):
                self._run(journal)
        except BaseException as error:
            status = "oom" if isinstance(error, OutOfMemoryError) else "failed"
            if not isinstance(error, KeyboardInterrupt):
                journal.append(CellFinished(status, f"{type(error).__name__}: {error}", *self._totals()))
            raise
        events.write_receipt(self.path, self.plan)
        journal.append(CellFinished("ok", self.plan.task.unscored(), *self._totals()))
        return read_run(self.path)

    def _run(self, journal: Journal) -> None:
        torch.set_float32_matmul_precision("high")
        for index in range(len(self.plan.stages)):
            with nullcontext() if self.stages.is_there(index) else self.timed("train"):
                record = self.stages.finish(index)
            planned = self.plan.stages[index]
            journal.append(events.finished(planned, record))
            self._keep(planned)
        journal.append(events.cost(self.plan))
        plot_curves(self.path)
        self._select(journal)
        if self.chosen is not None:
            plan = self._guard(journal, self.chosen)
            journal.append(events.model(plan, self.registry, self.chosen))
            self.results = CellResults(plan, self.registry, self.stages, self.observer, self.timed)
            self.results.record(self.path, journal, self.chosen)
        for name, seconds in self._seconds.items():
            journal.append(Phase(name, seconds))

    def _keep(self, planned: PlannedStage) -> None:
        """Copy a stage's curve and the answers it was given: the run directory stands alone."""
        copy_file(planned.folder.curve, self.path / "curves" / f"{planned.spec.name}.jsonl")
        for file in sorted(planned.folder.annotation.rglob("*")):
            copy_file(file, self.path / "annotation" / file.relative_to(planned.folder.annotation))

    def _select(self, journal: Journal) -> None:
        """Choose among the candidates of the last stage, without target labels."""
        plan, found = self.plan, self.plan.candidates
        if len(found) < 2 or plan.desk is None:
            return
        spec, predictor = plan.stages[-1].spec, partial(self.stages.predictor, len(plan.stages) - 1)
        with self.timed("select"):
            seen = open_data(
                plan.choice.selector, plan.task, plan.desk, plan.asks, predictor, spec.crops.size, self.stages.device
            )
            self.chosen, event = choose(spec.name, plan.choice.name, plan.choice.selector, found, seen)
        journal.append(event)

    def _guard(self, journal: Journal, chosen: Candidate) -> Plan:
        """The plan up to the stage that predicts: all of it, unless the last stage fell behind and may not predict."""
        plan = self.plan
        if self.config.guard == "off" or len(plan.stages) < 2 or plan.desk is None:
            return plan
        falls_back = self.config.guard == "fall-back" or (
            self.config.guard == "auto" and not plan.task.has_test_labels()
        )
        with self.timed("guard"):
            guard = Guard(plan, self.stages, plan.desk.clicks(plan.asks, held_out=False))
            used, self.chosen, event = guard.check(chosen, falls_back=falls_back)
        journal.append(event)
        if event.word != "good":
            self.observer.ended(event.stage, event.word, reason=event.told)
        if used == len(plan.stages) - 1:
            return plan
        return replace(plan, stages=plan.stages[: used + 1], candidates=(self.chosen,))

    # ------------------------------------------------------------------------------------------------------ helpers
    def _totals(self) -> tuple[float, int]:
        records = [r for s in self.plan.stages if (r := s.folder.record()) is not None]
        return sum(r.seconds for r in records), max((r.peak_memory_bytes for r in records), default=0)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the seconds of what happens inside to a phase of the run."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - started


def run_cell(
    config: RunConfig, registry: Registry, workspace: Workspace, *, observer: Observer | None = None
) -> RunRecord:
    """Plan and run one cell."""
    return Runner(make_plan(config, registry, workspace), registry, workspace, observer).execute()

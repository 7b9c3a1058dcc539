"""The stages of a plan, trained or found: each on its parent, waiting for another process that trains the same one."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import torch

from dabench.components.registry import Registry
from dabench.interfaces import Predictor, Stage
from dabench.interfaces.observer import Observer
from dabench.runs.device import peak_memory, pick_device, resolved_precision
from dabench.runs.heartbeat import heartbeat
from dabench.runs.opened import opened_beside, watched
from dabench.runs.plan import Plan, PlannedStage
from dabench.runs.preference_data import about_stage
from dabench.runs.stage_time import StageTime
from dabench.tracking.journal import CurveLog
from dabench.tracking.lock import exclusive
from dabench.training.checkpoint import Progress
from dabench.training.loop import LoopOptions, Update
from dabench.training.store import StageRecord
from dabench.training.train_stage import StageInputs, build_stage, train_stage

#: Updates that are timed after the first one, and seconds after which what was seen has to do.
_TIMED, _LONG = 5, 10.0


class StageChain:
    """Trains and loads the stages of one plan."""

    def __init__(self, plan: Plan, registry: Registry, observer: Observer) -> None:
        """Nothing is built before it is asked for."""
        self.plan, self.config, self._registry, self._observer = plan, plan.config, registry, observer
        self.device = pick_device(plan.config)
        self._built: dict[int, Stage] = {}
        self._intact: set[int] = set()

    def is_there(self, index: int) -> bool:
        """Whether a stage is finished and its files are as it wrote them; other ones are reported and deleted."""
        planned = self.plan.stages[index]
        if index in self._intact or not planned.folder.is_there():
            return index in self._intact
        with self._alone(planned):
            if changed := planned.folder.altered():
                planned.folder.discard()
        if changed:
            reason = f"{', '.join(changed)} changed since it was trained ({planned.folder.path}): it is trained again"
            self._observer.ended(planned.spec.name, "altered", reason=reason)
            self.plan.stages[index] = replace(planned, state="new", seconds=0.0)
            return False
        self._intact.add(index)
        return True

    def finish(self, index: int) -> StageRecord:
        """Train a stage whose parents are finished, or find it; its record."""
        self.is_there(index)
        planned = self.plan.stages[index]
        self._observer.begun(planned.spec.name, planned.spec.iterations, planned.state)
        # Another process may be training the same stage: wait for it, then take what it made.
        with self._alone(planned):
            return planned.folder.record() or self._train(index, planned)

    def predictor(self, index: int, update: int) -> Predictor:
        """What a stage predicts with after so many updates."""
        snapshot = update in self.plan.stages[index].snapshots
        return (self._loaded(index, update) if snapshot else self._stage(index)).predictor()

    def ask(self, index: int) -> None:
        """Let a stage on its finished parents ask at the desk what it would ask in training, without an update."""
        planned = self.plan.stages[index]
        with TemporaryDirectory() as folder:
            options = replace(self._options(planned), checkpoint=Path(folder) / "checkpoint.pt")
            for _ in train_stage(self._build(index), planned.spec, self._inputs(index), options, updates=0):
                raise AssertionError("no update was asked for")

    def timed(self, index: int) -> StageTime:
        """Time a few updates of a stage, on real batches and as far as its parents are; nothing of them is kept.

        Stages that are timed after it go on from what these updates gave.
        """
        planned, started = self.plan.stages[index], perf_counter()
        inputs, stage = replace(self._inputs(index), shared=None, kept=None), self._build(index)
        ends: list[float] = []
        with TemporaryDirectory() as folder:
            options = replace(self._options(planned), checkpoint=Path(folder) / "none.pt", every=10**9, snapshots={})
            with closing(train_stage(stage, planned.spec, inputs, options, updates=_TIMED + 1)) as updates:
                for update in updates:
                    if not ends:
                        prepared = perf_counter() - started - update.seconds
                    ends.append(update.seconds)
                    if ends[-1] > _LONG:
                        break
        self._built[index] = stage
        return StageTime.of(prepared, ends, stage.refresh_every)

    def is_built(self, index: int) -> bool:
        """Whether a stage is in memory."""
        return index in self._built

    def _alone(self, planned: PlannedStage) -> AbstractContextManager[None]:
        return exclusive(planned.folder.path.with_suffix(".lock"))

    # ------------------------------------------------------------------------------------------------------ training
    def _train(self, index: int, planned: PlannedStage) -> StageRecord:
        spec, desk = planned.spec, self.plan.desk
        assert desk is not None
        with self.plan.task.test_closed(), watched() as opened:
            stage = self._build(index)
            if self.device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(self.device)
            seconds = self._drain(planned, train_stage(stage, spec, self._inputs(index), self._options(planned)))
        beside = opened_beside(opened, self.plan, spec)
        settings = spec.config.model_dump(mode="json")
        peak = peak_memory(self.device)
        record = StageRecord(planned.key, spec.name, spec.iterations, seconds, peak, desk.ledger(), settings, beside)
        desk.write(planned.folder.annotation, about_stage(self.plan, index))
        planned.folder.finish(stage, record)
        self._built[index] = stage
        return record

    def _inputs(self, index: int) -> StageInputs:
        task, spec, desk = self.plan.task, self.plan.stages[index].spec, self.plan.desk
        assert desk is not None
        return StageInputs(
            self.config.seed,
            desk.for_stage(spec.asks),
            task.labelled(spec.crops),
            task.target_images,
            task.gaps(spec.crops),
            self._shared(index),
            self.plan.stages[index].folder.kept,
        )

    def _shared(self, index: int) -> Path | None:
        """Where sibling stages share what follows from their parent alone: in its folder, apart for each source."""
        if index == 0:
            return None
        spec, parent = self.plan.stages[index].spec, self.plan.stages[index - 1].folder
        return parent.path / "memory" / self._registry.source_digest("method", spec.method)[:16]

    def _options(self, planned: PlannedStage) -> LoopOptions:
        snapshots = {update: planned.folder.snapshot(update) for update in planned.snapshots}
        bfloat16, every = resolved_precision(self.config) == "bfloat16", self.config.checkpoint_every
        return LoopOptions(self.device, bfloat16, planned.folder.checkpoint, every, snapshots)

    def _drain(self, planned: PlannedStage, updates: Generator[Update, None, Progress]) -> float:
        """Run the loop into the stage's curve and the observer; training seconds in all."""
        log, whose = None, self._registry.get("method", planned.spec.method)
        name = f"stage {planned.spec.name!r} of plugin {whose.plugin!r} ({whose.distribution})"
        try:
            with heartbeat(name) as beat:
                while True:
                    try:
                        update = next(updates)
                    except StopIteration as stop:
                        return float(stop.value.seconds)
                    beat()
                    if log is None:
                        log = CurveLog(planned.folder.curve, start=update.step)
                    log.append(update.step, {**update.losses, "lr": update.learning_rate})
                    if (update.step + 1) % self.config.checkpoint_every == 0:
                        log.flush()
                    self._observer.advanced(planned.spec.name, update.step + 1, update.total, update.losses)
        finally:
            if log is not None:
                log.__exit__(None, None, None)

    # ------------------------------------------------------------------------------------------------------- loading
    def _build(self, index: int) -> Stage:
        parent = self._stage(index - 1) if index else None
        return build_stage(self.plan.stages[index].spec, parent, self.config.seed, compiled=self.config.compile)

    def _stage(self, index: int) -> Stage:
        """A finished stage with its weights."""
        if index not in self._built:
            self._built[index] = self._loaded(index, None)
        return self._built[index]

    def _loaded(self, index: int, update: int | None) -> Stage:
        """A new stage with the weights that it ended with, or had after fewer updates."""
        stage = self._build(index)
        self.plan.stages[index].folder.load(stage, update)
        for module in stage.modules().values():
            module.to(self.device)
        return stage

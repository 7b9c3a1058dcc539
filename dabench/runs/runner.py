"""Runs one cell: stages trained or reused, predictions, scores, journal, receipt. Here all floors meet."""

from __future__ import annotations

import resource
import shutil
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from dabench.annotation.raters import simulate_points
from dabench.annotation.truth import VolumeTruth
from dabench.components.registry import Registry
from dabench.errors import DabenchError, MissingDataError, OutOfMemoryError, PluginError
from dabench.evaluation.panels import write_comparison, write_slices
from dabench.evaluation.scoring import THRESHOLD, write_rows
from dabench.files.atomic import write_json, write_with
from dabench.files.workspace import Workspace
from dabench.inference.tiles import profile_named
from dabench.inference.volume import Tiling
from dabench.interfaces import Candidate, Predictor, Stage
from dabench.runs import events as account
from dabench.runs.config import RunConfig
from dabench.runs.keys import scoring_source
from dabench.runs.plan import Plan, PlannedStage, make_plan, pick_device, uses_bfloat16
from dabench.runs.scoring import Score, StageScorer, TestSet
from dabench.runs.selection import choose, open_view, regret
from dabench.tracking import environment as env
from dabench.tracking.curves import plot_curves
from dabench.tracking.events import CellFinished, Phase
from dabench.tracking.journal import CurveLog, Journal
from dabench.tracking.lock import exclusive
from dabench.tracking.record import RunRecord, read_run
from dabench.training.checkpoint import Progress
from dabench.training.loop import LoopOptions, Update, train
from dabench.training.sampling import CropSampler, step_seed
from dabench.training.stage_data import StageData
from dabench.training.store import StageRecord

#: Called with what happens: "stage", "update", "predict" or "score", and its values (see cli/progress.py).
Notify = Callable[..., None]


@dataclass
class StageOutcome:
    """A finished stage with its scores by share of test points, and where its headline prediction lies."""

    planned: PlannedStage
    scores: list[Score] = field(default_factory=list)
    prediction: Path | None = None

    @property
    def title(self) -> str:
        """What a table calls the model after this stage."""
        return self.planned.spec.title or self.planned.spec.name


class Runner:
    """Executes one plan. Killed at any moment and started again, it continues where it was."""

    def __init__(
        self, plan: Plan, registry: Registry, workspace: Workspace, notify: Notify | None = None, suite: str = ""
    ) -> None:
        """Take a plan, and the suite that it is run for; nothing is written yet."""
        self.plan, self.registry, self.workspace, self.suite = plan, registry, workspace, suite
        self.config: RunConfig = plan.config
        self.notify: Notify = notify or (lambda *_: None)
        self.device = pick_device(plan.config)
        self.path = workspace.runs / plan.config.cell_id
        self._built: dict[int, Stage] = {}
        self._times: dict[str, float] = {}
        #: Who predicts the test split.
        self.chosen: Candidate | None = next(iter(plan.candidates), None)
        self.outcomes: list[StageOutcome] = []

    # -------------------------------------------------------------------------------------------------------- run
    def execute(self) -> RunRecord:
        """Run the cell to its end and return its record. Whatever fails is journalled before it is raised."""
        self._check_files()
        with self._alone():
            return self._execute()

    def train_until(self, last: int) -> None:
        """Finish the stages up to the ``last``-th and nothing else: what cells of a suite have in common."""
        self._check_files()
        with _plugin_errors(self.registry, self.config), _memory_errors():
            for index, planned in enumerate(self.plan.stages[: last + 1]):
                self._finish_stage(index, planned)

    def give_up(self, status: str, reason: str) -> RunRecord:
        """Journal that the cell ended like this in another process, which could not say so itself."""
        with self._alone():
            journal = self._begin()
            journal.append(CellFinished(status, reason, *self._totals()))
            return read_run(self.path)

    def _check_files(self) -> None:
        if self.plan.missing:
            listing = "\n  ".join(self.plan.missing[:6])
            raise MissingDataError(
                f"task {self.config.task}: files are missing:\n  {listing}",
                "dabench data ls says where to get them; or try --data phantom, which needs none.",
            )

    def _alone(self) -> AbstractContextManager[None]:
        return exclusive(self.path.with_name(f"{self.path.name}.lock"))

    def _begin(self) -> Journal:
        """Open the journal with what identifies the cell and where it runs."""
        journal = Journal(self.path)
        write_json(self.path / "config.json", self.config.model_dump(mode="json"))
        environment = env.capture()
        write_json(self.path / "environment.json", environment)
        journal.append(account.started(self.plan, self.registry, environment, str(self.device), self.suite))
        return journal

    def _execute(self) -> RunRecord:
        if self.plan.fresh:
            shutil.rmtree(self.path / "stages", ignore_errors=True)
        journal = self._begin()
        if self.plan.skip:
            journal.append(CellFinished("skipped", self.plan.skip))
            return read_run(self.path)
        try:
            with _plugin_errors(self.registry, self.config), _memory_errors():
                self._run(journal)
        except BaseException as error:
            status = "oom" if isinstance(error, OutOfMemoryError) else "failed"
            if not isinstance(error, KeyboardInterrupt):
                journal.append(CellFinished(status, f"{type(error).__name__}: {error}", *self._totals()))
            raise
        account.write_receipt(self.path, self.plan)
        journal.append(CellFinished("ok", self.plan.task.unscored(), *self._totals()))
        return read_run(self.path)

    def _run(self, journal: Journal) -> None:
        torch.set_float32_matmul_precision("high")
        for index, planned in enumerate(self.plan.stages):
            record = self._finish_stage(index, planned)
            journal.append(account.finished(planned, record))
            self._keep(planned)
        journal.append(account.cost(self.plan))
        plot_curves(self.path)
        self._select(journal)
        if self.chosen is not None:
            journal.append(account.model(self.plan, self.registry, self.chosen))
        self._score_all(journal)
        for name, seconds in self._times.items():
            journal.append(Phase(name, seconds))

    # ----------------------------------------------------------------------------------------------------- stages
    def _finish_stage(self, index: int, planned: PlannedStage) -> StageRecord:
        self.notify("stage", planned.spec.name, planned.state, planned.spec.iterations)
        # Another process may be training the same stage: wait for it, then take what it made.
        with exclusive(planned.folder.path.with_suffix(".lock")):
            record = planned.folder.record()
            if record is None:
                with self._timed("train"):
                    record = self._train(index, planned)
        return record

    def _train(self, index: int, planned: PlannedStage) -> StageRecord:
        spec, desk = planned.spec, self.plan.desk
        assert desk is not None
        stage = self._build(index)
        allowed = desk.for_stage(spec.asks)
        target = self.plan.task.target_images if spec.crops.target else None
        sampler = CropSampler(
            spec.crops,
            self.config.seed,
            spec.name,
            self.plan.task.labelled(spec.crops),
            target,
            allowed.points(),
            self.plan.task.gaps(spec.crops),
        )
        # Only a stage whose key names the target may look at it.
        seen = self.plan.task.target_images if spec.crops.target or spec.asks else None
        view = StageData(
            seen, allowed, self.device, self.config.seed, spec.name, self._memory(index), planned.folder.kept
        )
        options = LoopOptions(
            self.device,
            uses_bfloat16(self.config),
            planned.folder.checkpoint,
            self.config.checkpoint_every,
            {update: planned.folder.snapshot(update) for update in planned.snapshots},
        )
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        seconds = self._loop(planned, train(stage, spec.iterations, sampler, view, options))
        record = StageRecord(
            planned.key,
            spec.name,
            spec.iterations,
            seconds,
            _peak_memory(self.device),
            desk.ledger(),
            settings=spec.config.model_dump(mode="json"),
        )
        budget = self.config.budget
        about = {
            "domain": self.plan.task.target,
            "split": "train",
            "seed": str(budget.seed),
            "fraction": str(budget.points),
        }
        desk.write(planned.folder.annotation, about)
        planned.folder.finish(stage, record)
        self._built[index] = stage
        return record

    def _memory(self, index: int) -> Path | None:
        """Where sibling stages share what follows from their parent alone: in its folder, apart for each source."""
        if index == 0:
            return None
        spec, parent = self.plan.stages[index].spec, self.plan.stages[index - 1].folder
        return parent.path / "memory" / self.registry.source_digest("method", spec.method)[:16]

    def _loop(self, planned: PlannedStage, updates: Generator[Update, None, Progress]) -> float:
        """Drain the loop into the curve and the progress display; training seconds in all."""
        log = None
        try:
            while True:
                try:
                    update = next(updates)
                except StopIteration as stop:
                    return float(stop.value.seconds)
                if log is None:
                    log = CurveLog(planned.folder.curve, start=update.step)
                log.append(update.step, {**update.losses, "lr": update.learning_rate})
                if (update.step + 1) % self.config.checkpoint_every == 0:
                    log.flush()
                self.notify("update", planned.spec.name, update)
        finally:
            if log is not None:
                log.__exit__(None, None, None)

    def _build(self, index: int) -> Stage:
        """A freshly built stage on its (finished) parent, initial weights drawn from the run's seed."""
        parent = self._stage(index - 1) if index else None
        planned = self.plan.stages[index]
        torch.manual_seed(step_seed(self.config.seed, f"{planned.spec.name}/init", 0))
        stage = planned.spec.build(parent)
        if self.config.compile:
            for module in stage.modules().values():
                module.compile()
        return stage

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

    def _predictor(self, index: int, update: int) -> Predictor:
        """What a stage predicts with after so many updates."""
        snapshot = update in self.plan.stages[index].snapshots
        return (self._loaded(index, update) if snapshot else self._stage(index)).predictor()

    def _keep(self, planned: PlannedStage) -> None:
        """Copy a stage's curve and the answers it was given: the run directory stands alone."""
        _copy(planned.folder.curve, self.path / "curves" / f"{planned.spec.name}.jsonl")
        for file in sorted(planned.folder.annotation.glob("*")):
            _copy(file, self.path / "annotation" / file.name)

    # ----------------------------------------------------------------------------------------------------- choice
    def _select(self, journal: Journal) -> None:
        """Choose who predicts, where the last stage left several candidates; no target label takes part."""
        plan, found = self.plan, self.plan.candidates
        if len(found) < 2 or plan.desk is None:
            return
        spec, predictor = plan.stages[-1].spec, partial(self._predictor, len(plan.stages) - 1)
        paid = plan.desk.for_stage([kind for stage in plan.stages for kind in stage.spec.asks])
        with self._timed("select"):
            view = open_view(plan.selector, plan.task, paid, predictor, spec.crops.size, self.device)
            self.chosen, event = choose(spec.name, self.config.selector, plan.selector, found, view)
        journal.append(event)

    def _regret(self, journal: Journal, test: TestSet) -> None:
        """Score every candidate with the test labels: after the choice, apart from the result, never ranked."""
        found, last, share = self.plan.candidates, len(self.plan.stages) - 1, self.config.test_points[0]
        if len(found) > 1 and self.chosen:
            scores = [self._score(last, candidate, test, share)[0].metrics for candidate in found]
            metric = self.plan.assembly.protocol(self.config.protocol).metrics[0]
            journal.append(regret(self.plan.stages[last].spec.name, metric, found, scores, self.chosen))

    # ----------------------------------------------------------------------------------------------------- scores
    def _score_all(self, journal: Journal) -> None:
        """Score every stage at the first asked share of test points, and the last one at every share."""
        if not self.plan.task.has_test_labels():
            return
        test = self._test_set()
        last = len(self.plan.stages) - 1
        self._regret(journal, test)
        for index, planned in enumerate(self.plan.stages):
            outcome = StageOutcome(planned)
            candidate = (index == last and self.chosen) or Candidate(planned.spec.iterations, THRESHOLD)
            shares = self.config.test_points if index == last else self.config.test_points[:1]
            for share in shares:
                score, path = self._score(index, candidate, test, share)
                self.notify("score", planned.spec.name, score)
                outcome.scores.append(score)
                outcome.prediction = outcome.prediction or path
                journal.append(account.scored(planned, score))
                name = f"{planned.spec.name}-{score.protocol}-points{round(100 * share)}.csv"
                write_rows(self.path / "per_slice" / name, score.rows)
            self.outcomes.append(outcome)
        self._keep_predictions()
        with self._timed("panels"):
            self._panels(test)

    def _score(self, index: int, candidate: Candidate, test: TestSet, share: float) -> tuple[Score, Path]:
        planned, update = self.plan.stages[index], candidate.update
        tiling = Tiling(planned.spec.crops.size, profile_named(self.config.inference))
        code = scoring_source(self.registry, self.plan.task, self.config.protocol)
        scorer = StageScorer(planned.folder.path, tiling, self.device, code)
        snapshot = update if update in planned.snapshots else None
        name = planned.spec.name + (f" after {update}" if snapshot else "")
        cuts = self.config.thresholds if planned is self.plan.stages[-1] else (candidate.threshold,)

        def progress(done: int, total: int) -> None:
            self.notify("predict", name, done, total)

        with self._timed("predict"):
            paths = scorer.predict(partial(self._predictor, index, update), test, share, progress, cuts, snapshot)
        path = paths[cuts.index(candidate.threshold)]
        with self._timed("score"):
            protocol = self.plan.assembly.protocol(self.config.protocol)
            score = scorer.score(path, test, share, self.config.protocol, protocol)
        return score, path

    def _test_set(self) -> TestSet:
        split = self.plan.task.target_test
        weak = self.plan.assembly.weak_labels()["points"]
        assert split.labels is not None
        truth, seed = VolumeTruth(split.labels), self.config.budget.seed
        points = {share: simulate_points(weak, truth, share, seed) for share in self.config.test_points if share}
        return TestSet(split, self.plan.task.unit(split), points)

    def _keep_predictions(self) -> None:
        for outcome in self.outcomes[-1:]:
            if outcome.prediction is not None:
                _copy(outcome.prediction, self.path / "predictions" / "target_test.tif")

    def _panels(self, test: TestSet) -> None:
        """Overlays of all stages side by side (median, best and worst slice), and of the last one on fixed slices."""
        shown = [o for o in self.outcomes if o.prediction is not None]
        write_comparison(
            self.path / "panels",
            images=test.images,
            labels=test.split.labels,
            predictions={o.title: o.prediction for o in shown if o.prediction is not None},
            scores={o.title: o.scores[0].rows for o in shown},
        )
        for last in shown[-1:]:
            assert last.prediction is not None
            rows = last.scores[0].rows
            write_slices(self.path / "panels" / "last", test.images, test.split.labels, last.prediction, rows)

    # ----------------------------------------------------------------------------------------------------- helpers
    def _totals(self) -> tuple[float, int]:
        records = [r for s in self.plan.stages if (r := s.folder.record()) is not None]
        return sum(r.seconds for r in records), max((r.peak_memory_bytes for r in records), default=0)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self._times[name] = self._times.get(name, 0.0) + time.perf_counter() - started


def _copy(source: Path, target: Path) -> None:
    """Copy a file that may not be there, atomically."""
    if source.is_file():
        write_with(target, partial(_fill, source))


def _fill(source: Path, part: Path) -> None:
    shutil.copyfile(source, part)


def _peak_memory(device: torch.device) -> int:
    """Peak bytes: of the device's allocator on a GPU, of the process's resident set on a CPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def _memory_errors() -> Iterator[None]:
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise OutOfMemoryError(
            f"out of memory: {error}", "A smaller crop or batch (--set METHOD.batch=...) needs less."
        ) from error
    except RuntimeError as error:
        if "not enough memory" in str(error) or "can't allocate memory" in str(error):
            raise OutOfMemoryError(f"out of memory: {error}", "A smaller crop or batch needs less.") from error
        raise


@contextmanager
def _plugin_errors(registry: Registry, config: RunConfig) -> Iterator[None]:
    """Whatever a plugin raises is reported with the plugin's name and distribution."""
    try:
        yield
    except (DabenchError, MemoryError, torch.OutOfMemoryError, OSError):
        raise
    except Exception as error:
        if isinstance(error, RuntimeError) and "memory" in str(error):
            raise
        where = _guilty_plugin(registry, error) or registry.get("method", config.method)
        raise PluginError(
            f"plugin {where.plugin!r} of {where.distribution} raised {type(error).__name__}: {error}",
            "dabench --debug run ... shows the traceback.",
        ) from error


def _guilty_plugin(registry: Registry, error: BaseException) -> Any:
    """The component whose plugin's file is deepest in the traceback, or None."""
    trace, found = error.__traceback__, None
    homes = {_home(Path(p.location)): p.name for p in registry.plugins.values() if p.location}
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        name = next((n for home, n in homes.items() if file == home or home in file.parents), None)
        found = next((item for item in registry if item.plugin == name), found) if name else found
        trace = trace.tb_next
    return found


def _home(location: Path) -> Path:
    """A package's folder, or a single file itself."""
    return location.parent if location.name == "__init__.py" else location


def run_cell(
    config: RunConfig,
    registry: Registry,
    workspace: Workspace,
    *,
    cache: bool = True,
    notify: Notify | None = None,
) -> RunRecord:
    """Plan and run one cell."""
    return Runner(make_plan(config, registry, workspace, cache=cache), registry, workspace, notify).execute()

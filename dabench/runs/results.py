"""What the stages of a cell are worth: predicted, scored, drawn, written into its run directory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from dabench.components.registry import Registry
from dabench.evaluation.panels import write_comparison, write_slices
from dabench.evaluation.scoring import THRESHOLD
from dabench.inference.tiles import profile_named
from dabench.inference.volume import Tiling
from dabench.interfaces import Candidate, WeakLabel
from dabench.interfaces.observer import Observer
from dabench.ops.resampling import Resampling
from dabench.runs import events
from dabench.runs.keys import scoring_source
from dabench.runs.plan import Plan, PlannedStage
from dabench.runs.predict import StagePredictions, TestSet, copy_prediction
from dabench.runs.prompts import keep_recorded, prompts_at_test
from dabench.runs.score import Score, score_prediction
from dabench.runs.selection import regret
from dabench.runs.stages import StageChain
from dabench.tracking.journal import Journal
from dabench.types import PointAnswer

#: Opens a context whose seconds are added to a phase of the run.
Timed = Callable[[str], AbstractContextManager[None]]


@dataclass
class StageResult:
    """A finished stage with its scores by share of test points, and where its headline prediction lies."""

    planned: PlannedStage
    scores: list[Score] = field(default_factory=list)
    prediction: Path | None = None

    @property
    def title(self) -> str:
        """What a table calls the model after this stage."""
        return self.planned.spec.title or self.planned.spec.name


class CellResults:
    """Scores every stage of a finished cell, and the last one at every share of test points that was asked for."""

    def __init__(self, plan: Plan, registry: Registry, stages: StageChain, observer: Observer, timed: Timed) -> None:
        """Nothing is predicted yet."""
        self.plan, self.config, self.stages = plan, plan.config, stages
        self._registry, self._observer, self._timed = registry, observer, timed
        self.by_stage: list[StageResult] = []

    def record(self, folder: Path, journal: Journal, chosen: Candidate) -> None:
        """Predict, score and draw into a run directory; nothing where the target has no test labels."""
        if not self.plan.task.has_test_labels():
            return
        test, last = self._test_set(), len(self.plan.stages) - 1
        self._regret(journal, test, chosen)
        for index, planned in enumerate(self.plan.stages):
            candidate = chosen if index == last else Candidate(planned.spec.iterations, THRESHOLD)
            shares = self.config.test_points if index == last else self.config.test_points[:1]
            result = StageResult(planned)
            self.by_stage.append(result)
            for share in shares:
                score, path = self._score(index, candidate, test, share)
                result.scores.append(score)
                result.prediction = result.prediction or path
                self._write(journal, planned, score)
        events.write_table(folder, self.config.cell_id, [(r.planned, s) for r in self.by_stage for s in r.scores])
        if (prediction := self.by_stage[-1].prediction) is not None:
            copy_prediction(prediction, folder / "predictions" / "target_test.tif")
            keep_recorded(self.plan.task, self.plan.assembly.weak_labels()["points"], folder)
        with self._timed("panels"):
            self._draw(folder / "panels", test)

    def _write(self, journal: Journal, planned: PlannedStage, score: Score) -> None:
        self._observer.ended(planned.spec.name, "scored", {**score.metrics, "test_points": score.test_points})
        journal.append(events.scored(planned, score))

    def _regret(self, journal: Journal, test: TestSet, chosen: Candidate) -> None:
        """Score every candidate with the test labels: after the choice, apart from the result, never ranked."""
        found, last, share = self.plan.candidates, len(self.plan.stages) - 1, self.config.test_points[0]
        if len(found) > 1:
            scores = [self._score(last, candidate, test, share)[0].metrics for candidate in found]
            metric = self.plan.assembly.protocol(self.config.protocol).metrics[0]
            journal.append(regret(self.plan.stages[last].spec.name, metric, found, scores, chosen))

    def _score(self, index: int, candidate: Candidate, test: TestSet, share: float) -> tuple[Score, Path]:
        planned, update = self.plan.stages[index], candidate.update
        tiling = Tiling(planned.spec.crops.size, profile_named(self.config.inference))
        code = scoring_source(self._registry, self.plan.task, self.config.protocol)
        made = StagePredictions(planned.folder.path, tiling, self.stages.device, code, self._observer)
        snapshot = update if update in planned.snapshots else None
        cuts = self.plan.choice.thresholds if planned is self.plan.stages[-1] else (candidate.threshold,)
        work = planned.spec.name + (f" after {update}" if snapshot else "") + " test"
        with self._timed("predict"):
            predictor = partial(self.stages.predictor, index, update)
            paths = made.predict(predictor, test, share, self._observer.progress(work), cuts, snapshot)
        path = paths[cuts.index(candidate.threshold)]
        with self._timed("score"):
            protocol = self.plan.assembly.protocol(self.config.protocol)
            return score_prediction(path, test.split, share, self.config.protocol, protocol, made), path

    def _test_set(self) -> TestSet:
        split = self.plan.task.target_test
        weak = self.plan.assembly.weak_labels()["points"]
        points = prompts_at_test(self.plan.task, weak)
        resampling = self.plan.task.resampling(split)
        if resampling is not None:
            points = {share: _on_model_pixels(weak, answers, resampling) for share, answers in points.items()}
        return TestSet(split, self.plan.task.seen(split), points, resampling)

    def _draw(self, folder: Path, test: TestSet) -> None:
        """Overlays of all stages side by side (median, best and worst slice), and of the last one on fixed slices."""
        shown = [o for o in self.by_stage if o.prediction is not None]
        images = test.images if test.resampling is None else self.plan.task.unit(test.split)
        write_comparison(
            folder,
            images=images,
            labels=test.split.labels,
            predictions={o.title: o.prediction for o in shown if o.prediction is not None},
            scores={o.title: o.scores[0].rows for o in shown},
        )
        for last in shown[-1:]:
            assert last.prediction is not None
            write_slices(folder / "last", images, test.split.labels, last.prediction, last.scores[0].rows)


def _on_model_pixels(
    points: WeakLabel, answers: Mapping[int, PointAnswer], resampling: Resampling
) -> dict[int, PointAnswer]:
    return dict(zip(answers, points.resampled(list(answers.values()), resampling), strict=True))

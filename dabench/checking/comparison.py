"""A cell trained again, held against its record: bit for bit, else among the recorded seeds, else no verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dabench.checking.conditions import DATA, Difference
from dabench.checking.run_files import RunFiles
from dabench.errors import DabenchError
from dabench.files.workspace import Workspace
from dabench.runs.config import validate_config
from dabench.statistics.intervals import Interval
from dabench.statistics.prediction import prediction_interval
from dabench.tracking.record import RunRecord
from dabench.tracking.run_reader import read_runs
from dabench.tracking.scores import ScoreKey

SAME, DIFFERENT, NO_VERDICT = "same", "different", "no verdict"
#: Recorded seeds from which an interval is taken.
FEWEST = 3


@dataclass(frozen=True)
class Outcome:
    """What a rerun came to: the verdict, why, and the scores of both runs by metric."""

    verdict: str
    why: str
    scores: Mapping[str, tuple[float, float]]
    interval: Interval | None = None
    differences: tuple[Difference, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Everything, for a program."""
        found = {name: {"recorded": then, "here": now} for name, (then, now) in self.scores.items()}
        within = self.interval and {"low": self.interval.low, "high": self.interval.high, "seeds": self.interval.n}
        listed = [vars(difference) for difference in self.differences]
        return {
            "verdict": self.verdict, "why": self.why, "scores": found, "interval": within, "differences": listed,
        }  # fmt: skip


def compare(
    then: RunFiles, now: RunFiles, differences: Sequence[Difference], others: Workspace, *, on_cpu: bool
) -> Outcome:
    """Hold a run against its record.

    Equal bits are the same result, whatever differs. Where nothing differs and a CPU trained, other bits are another
    result. Else the score that ranks has to lie in the 95 % prediction interval of the recorded seeds of the same row.

    Args:
        then: the recorded run.
        now: the same cell, trained again.
        differences: of code, versions, data and machine.
        others: where other seeds lie.
        on_cpu: whether a CPU trained; other devices need not give the same bits twice.
    """
    scores, told = _scores(then.record, now.record), tuple(differences)
    changed = list(_bits(then, now))
    if not changed:
        return Outcome(SAME, "weights, prediction and scores are equal bit for bit", scores, None, told)
    if not told and on_cpu:
        return Outcome(DIFFERENT, f"the same code, data and machine gave different {', '.join(changed)}", scores)
    if data := [difference.what for difference in told if difference.kind == DATA]:
        return Outcome(
            NO_VERDICT, f"this machine has other data than the run used: {', '.join(data)}", scores, None, told
        )
    return _among_seeds(then, now, scores, told, others)


def _among_seeds(
    then: RunFiles,
    now: RunFiles,
    scores: Mapping[str, tuple[float, float]],
    told: tuple[Difference, ...],
    others: Workspace,
) -> Outcome:
    ranking = _ranking(then.record)
    if ranking is None or ranking not in now.record.cell_scores:
        return Outcome(NO_VERDICT, "the run has no score to compare", scores, None, told)
    seeds = _seeds(then.record, others, ranking)
    if len(seeds) < FEWEST:
        why = f"this row has {len(seeds)} recorded seeds; a prediction interval needs {FEWEST}"
        return Outcome(NO_VERDICT, why, scores, None, told)
    interval = prediction_interval(list(seeds.values()))
    value = now.record.cell_scores[ranking]
    inside = interval.low <= value <= interval.high
    where = f"the 95 % prediction interval of {len(seeds)} recorded seeds ({interval.low:.4f} to {interval.high:.4f})"
    why = f"{ranking.metric} {value:.4f} is {'in' if inside else 'outside'} {where}"
    return Outcome(SAME if inside else DIFFERENT, why, scores, interval, told)


def _bits(then: RunFiles, now: RunFiles) -> Iterator[str]:
    """What is not equal bit for bit."""
    stages = [{name: stage.weights for name, stage in run.receipt.stages.items()} for run in (then, now)]
    if stages[0] != stages[1]:
        yield "weights"
    made = [{n: d for n, d in run.receipt.outputs.items() if n.startswith("predictions/")} for run in (then, now)]
    if made[0] != made[1]:
        yield "prediction"
    if then.record.cell_scores != now.record.cell_scores:
        yield "scores"


def _scores(then: RunRecord, now: RunRecord) -> dict[str, tuple[float, float]]:
    """Scores that both have, the first share of test points without its name."""
    first = _ranking(then)
    found = {}
    for key, value in then.cell_scores.items():
        if key in now.cell_scores:
            at = "" if first is None or key.test_points == first.test_points else f" at {key.test_points:.0%} points"
            found[f"{key.metric}{at}"] = (value, now.cell_scores[key])
    return found


def _ranking(run: RunRecord) -> ScoreKey | None:
    """The score that ranks: the protocol's first metric at the first share of test points that was asked for."""
    share = float((run.params.get("test_points") or [0.0])[0])
    scored = [s for s in run.scores if s.stage == run.final and s.test_points == share]
    metrics = [metric for s in scored for metric in s.metrics]
    keys = (ScoreKey(share, metric) for metric in metrics)
    return next((key for key in keys if key in run.cell_scores), None)


def _seeds(run: RunRecord, others: Workspace, ranking: ScoreKey) -> dict[int, float]:
    """The scores of the recorded seeds of one row, this run's among them: same settings, data and origin."""
    found = {int(run.params.get("seed", 0)): run.cell_scores[ranking]}
    for other in read_runs(others.runs):
        if isinstance(other, RunRecord) and _row(other) == _row(run) and ranking in other.cell_scores:
            found.setdefault(int(other.params.get("seed", 0)), other.cell_scores[ranking])
    return found


def _row(run: RunRecord) -> tuple[str, str, str, dict[str, Any]]:
    """What one row of results has in common. Settings that an older run does not know have their defaults."""
    try:
        settings = validate_config(run.params).identity()
    except DabenchError:
        settings = dict(run.params)
    return run.status, run.origin, run.tags.get("data_digest", ""), {**settings, "seed": None}

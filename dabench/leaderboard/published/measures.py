"""What a metric of a paper's table is in a run's directory: scores, scores of slices, agreement of preferences."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from dabench.errors import DataError
from dabench.leaderboard.metric import Metric
from dabench.leaderboard.published.agreement import agreeing_patches, answers_of, read_answers
from dabench.tracking.record import RunRecord
from dabench.tracking.scores import ScoreKey


def reference(metric: Metric) -> Metric:
    """What the first row has in its place: prompts and stages are compared with its plain result."""
    return metric.plain if metric.test_points is not None or metric.stage else metric


def value_of(metric: Metric, run: RunRecord, first: RunRecord | None = None) -> float | None:
    """A metric's value in a run, a share of 1; None where the run has none.

    Args:
        metric: any of `Metric.parse`.
        run: the run.
        first: the run of the suite's first row with the same task and seed.
    """
    if metric.percentile is not None:
        return _percentile(run, metric.name, metric.percentile)
    if metric.patches is not None:
        return _agreement(run, first, *metric.patches)
    if metric.stage:
        return _after(run, metric.stage, metric.name)
    return run.cell_scores.get(ScoreKey(metric.test_points or 0.0, metric.name))


def _after(run: RunRecord, stage: str, metric: str) -> float | None:
    """A score of a stage without test points."""
    rows = (r for r in run.split_scores if (r.stage, r.split, r.metric, r.test_points) == (stage, "test", metric, 0.0))
    return next((row.value for row in rows if run.owns(row)), None)


def _percentile(run: RunRecord, metric: str, share: int) -> float | None:
    """Over the slices that count, last stage, no test points; interpolated linearly.

    Raises DataError for a table that is damaged, or has slices without this metric.
    """
    import numpy as np

    along = run.along_slices()
    if not along:
        return None
    if metric not in along:
        raise DataError(f"{run.path.name}: no scores per slice for {metric!r}.", "To find out why: dabench verify")
    values = along[metric][~np.isnan(along[metric])]
    return float(np.percentile(values, share)) if len(values) else None


def _agreement(run: RunRecord, first: RunRecord | None, least: int, most: int) -> float | None:
    if first is None or first.path == run.path or _before_last(run) != _before_last(first):
        return None
    whole, patches = (answers_of(r.path) for r in (first, run))
    if whole is None or patches is None:
        return None
    found = _agreeing(whole, patches)
    return sum(least <= count <= most for count in found) / len(found) if found else None


@lru_cache(maxsize=16)
def _agreeing(whole: Path, patches: Path) -> tuple[int, ...]:
    """Read once for all shares: a large training set has hundreds of megabytes of answers."""
    return tuple(agreeing_patches(read_answers(whole), read_answers(patches)))


def _before_last(run: RunRecord) -> list[str]:
    """Keys of what made the candidates. Only preferences among the same masks can agree."""
    return [stage.key for stage in run.stages[:-1]]

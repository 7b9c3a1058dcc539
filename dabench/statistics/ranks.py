"""Mean ranks over tasks with rank intervals, and Friedman's test."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dabench.statistics.cells import Table
from dabench.statistics.intervals import Interval, as_sample
from dabench.statistics.resampling import Array, Draws, Resampler
from dabench.statistics.slices import pooled_inflation
from dabench.statistics.spread import Level, slice_level, spread_of


def mean_ranks(
    resampler: Resampler, entries: Sequence[str], tasks: Sequence[str], level: float, tasks_are_a_sample: bool | None
) -> dict[str, Interval]:
    """Rank 1 is best. Entries are ranked on each task by their mean over seeds, ties share; then the mean over tasks.

    The interval holds the middle ``level`` of the mean ranks of resampled tables, whose deviations are widened for the
    few seeds and slices as those of means are. An entry with one seed on some task may lie anywhere there.
    """
    table = resampler.table
    points = np.array([[table.mean(entry, (task,)) for task in tasks] for entry in entries])
    seeds = [min(len(table.values(entry, task)) for task in tasks) for entry in entries]
    observed = ranks_of(points)
    mean = observed.mean(1)
    if as_sample(tasks, tasks_are_a_sample):
        resampled = _tasks_drawn(observed, resampler, level)
        unknown = np.full(len(entries), len(tasks) < 2)
    else:
        resampled = ranks_of(points[..., None] + _moves(resampler, entries, tasks, level)).mean(1)
        unknown = np.array(seeds) < 2
    low, high = np.percentile(resampled, [50 * (1 - level), 50 * (1 + level)], axis=1)
    low = np.where(unknown, 1, np.clip(low, 1, mean))
    high = np.where(unknown, len(entries), np.clip(high, mean, len(entries)))
    rows = zip(mean.tolist(), low.tolist(), high.tolist(), seeds, strict=True)
    return {entry: Interval(m, a, b, None, n) for entry, (m, a, b, n) in zip(entries, rows, strict=True)}


def ranks_of(scores: Array) -> Array:
    """Ranks along the first axis, 1 for the highest score; ties take their mean rank."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(-scores, axis=0), dtype=np.float64)


def friedman(
    table: Table, entries: Sequence[str], tasks: Sequence[str], tasks_are_a_sample: bool | None
) -> float | None:
    """P-value of Friedman's test that no entry differs from any other; None below three entries or two blocks.

    Blocks are the tasks where these are a sample, otherwise the (task, seed) pairs that all entries have.
    """
    if as_sample(tasks, tasks_are_a_sample):
        scores = [[table.mean(entry, (task,)) for task in tasks] for entry in entries]
    else:
        blocks = [(task, seed) for task in tasks for seed in common_seeds(table, entries, task)]
        scores = [[table.values(entry, task)[seed] for task, seed in blocks] for entry in entries]
    if len(scores) < 3 or len(scores[0]) < 2:
        return None
    if not np.ptp(scores, axis=0).any():
        return 1.0
    from scipy.stats import friedmanchisquare

    return float(friedmanchisquare(*scores).pvalue)


def common_seeds(table: Table, entries: Sequence[str], task: str) -> list[int]:
    """Seeds of a task that all ``entries`` have."""
    return sorted(set.intersection(*(set(table.values(entry, task)) for entry in entries)))


def _tasks_drawn(observed: Array, resampler: Resampler, level: float) -> Array:
    """Mean ranks (entries, resamples) when tasks are drawn, widened for the number of tasks."""
    weights = resampler.task_weights(observed.shape[1])
    mean = observed.mean(1, keepdims=True)
    wider = _widening(Level(1.0, max(observed.shape[1] - 1, 1)), level)
    return np.asarray(mean + wider * (observed @ weights.T - mean), dtype=np.float64)


def _moves(resampler: Resampler, entries: Sequence[str], tasks: Sequence[str], level: float) -> Array:
    """Deviations (entries, tasks, resamples) of entries from their means, less what all entries share."""
    moves = np.empty((len(entries), len(tasks), resampler.resamples))
    contrasts = [_contrasts(resampler, entries, task) for task in tasks]
    inflations = [pooled_inflation(resampler.contrasts(entries, task)) for task in tasks]
    for e, entry in enumerate(entries):
        known = [column[entry] for column in contrasts if entry in column]
        pooled = spread_of(known, [i for i, c in zip(inflations, contrasts, strict=True) if entry in c]).levels
        for t, (task, column) in enumerate(zip(tasks, contrasts, strict=True)):
            if entry in column:
                by_seed, by_slice = (_widening(part, level) for part in pooled)
                part = column[entry]
                slices = part.by_slice * _scale(slice_level(part, inflations[t]).variance, float(part.by_slice.var()))
                moves[e, t] = by_seed * part.by_seed + by_slice * slices
            else:
                moves[e, t] = resampler.uniform(entry, task) - resampler.table.mean(entry, (task,))
    return moves


def _contrasts(resampler: Resampler, entries: Sequence[str], task: str) -> dict[str, Draws]:
    """Each entry with several seeds less the mean of all such: ranks do not see what is shared."""
    draws = {e: resampler.draws(e, task) for e in entries if len(resampler.table.values(e, task)) > 1}
    centre = Draws.mean(list(draws.values())) if draws else None
    return {entry: part - centre for entry, part in draws.items() if centre is not None}


def _widening(part: Level, level: float) -> float:
    """The t-quantile of a level over the normal one."""
    from scipy.special import ndtri

    normal = float(ndtri(0.5 + level / 2))
    return part.width(1 - level) / math.sqrt(part.variance) / normal if part.variance > 0 else 1.0


def _scale(wanted: float, variance: float) -> float:
    return math.sqrt(wanted / variance) if variance > 0 else 1.0

"""Means with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dabench.errors import DabenchError
from dabench.statistics.cells import Cell, Table, spread_over_seeds
from dabench.statistics.resampling import Resampler
from dabench.statistics.spread import TASKS_ARE_A_SAMPLE, Spread, spread_of, spread_over_tasks


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval; ``sd`` is over seeds (None with one), ``n`` the number of seeds.

    Where tasks have different numbers of seeds ``n`` is the smallest. An interval as wide as the scale (scores: 0 to 1,
    differences: -1 to 1, ranks: first to last) says that nothing is known, as with a single seed.
    """

    mean: float
    low: float
    high: float
    sd: float | None = None
    n: int = 1


def mean_interval(
    cells: Sequence[Cell],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    tasks_are_a_sample: bool | None = None,
) -> Interval:
    """The mean of one entry's task means, with an interval by the hierarchical bootstrap.

    With one seed (and fewer than six tasks) nothing is known of how results vary: the interval is 0 to 1.

    Args:
        cells: of one entry; any number of tasks, seeds and slices.
        level: nominal coverage.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        tasks_are_a_sample: whether the interval is of the mean over all tasks like these (True) or over these tasks
            (False). By default: from six tasks on.

    Raises:
        DabenchError: no finite cell, cells of several entries, or two of one task and seed.
    """
    table = Table.of(cells)
    if len(table.entries) != 1 or not table.tasks:
        raise DabenchError(f"an interval needs finite cells of one entry, not of {len(table.entries)}")
    resampler = Resampler(table, resamples, seed)
    return entry_interval(resampler, table.entries[0], table.tasks, level, tasks_are_a_sample)


def summarise(
    cells: Sequence[Cell],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    tasks_are_a_sample: bool | None = None,
) -> dict[str, dict[str, Interval]]:
    """Every entry's interval on every task that it has run, and under "" over the tasks of the table.

    The tasks of the table are those on which at least two entries have a result. An entry that misses one of them has
    no "": its mean would be of other tasks than the others' means. Arguments as in `mean_interval`.
    """
    table = Table.of(cells)
    resampler = Resampler(table, resamples, seed)
    summary = {}
    for entry, tasks in table.rows.items():
        summary[entry] = {task: entry_interval(resampler, entry, (task,), level) for task in tasks}
        if table.tasks and not table.missing(entry, table.tasks):
            summary[entry][""] = entry_interval(resampler, entry, table.tasks, level, tasks_are_a_sample)
    return summary


def entry_interval(
    resampler: Resampler, entry: str, tasks: Sequence[str], level: float, tasks_are_a_sample: bool | None = None
) -> Interval:
    """One entry over ``tasks``, all of which it has run."""
    table = resampler.table
    values = [table.values(entry, task) for task in tasks]
    if as_sample(tasks, tasks_are_a_sample):
        points = [table.mean(entry, (task,)) for task in tasks]
        spread = spread_over_tasks(points, resampler.task_weights(len(tasks)))
    else:
        spread = spread_of([resampler.draws(entry, task) for task in tasks])
    mean = table.mean(entry, tasks)
    return bounded(mean, spread, level, 0.0, spread_over_seeds(values), min(len(v) for v in values))


def as_sample(tasks: Sequence[str], chosen: bool | None) -> bool:
    """Whether tasks are drawn too; ``chosen`` overrules their number and what they share.

    Tasks that have a volume in common are no independent sample: all ordered pairs of three volumes are three volumes.

    Example:
        >>> as_sample([f"a{n}2b{n}" for n in range(6)], None), as_sample([f"a2b{n}" for n in range(6)], None)
        (True, False)
    """
    if chosen is not None:
        return chosen
    volumes = [name for task in tasks for name in set(task.split("2")) if name]
    return len(tasks) >= TASKS_ARE_A_SAMPLE and len(volumes) == len(set(volumes))


def bounded(mean: float, spread: Spread, level: float, least: float, sd: float | None, seeds: int) -> Interval:
    """The interval of ``spread`` about ``mean``, cut to ``least`` (0 for scores, -1 for differences) and 1."""
    half = spread.half_width(1 - level) if spread.levels else math.inf
    return Interval(mean, max(mean - half, least), min(mean + half, 1.0), sd, seeds)

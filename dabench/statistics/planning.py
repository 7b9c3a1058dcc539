"""What a table of this size could have shown at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from dabench.errors import DabenchError
from dabench.statistics.cells import Cell, Table
from dabench.statistics.intervals import as_sample
from dabench.statistics.pairs import pairs_of
from dabench.statistics.resampling import Resampler
from dabench.statistics.spread import Spread

#: Seeds and tasks beyond which more of them are no plan.
MOST_SEEDS, MOST_TASKS = 50, 60


def minimum_detectable_difference(
    cells: Sequence[Cell],
    first: str,
    second: str,
    *,
    level: float = 0.95,
    power: float = 0.8,
    pairs: int = 1,
    seeds: int | None = None,
    resamples: int = 2000,
    seed: int = 0,
    tasks_are_a_sample: bool | None = None,
) -> float:
    """The true difference of two entries that would be called different with probability ``power``.

    Read off how the two vary in this table; infinite where that is not known (one seed).

    Args:
        cells: of both entries, compared on the tasks that both have; others help to see how slices resemble each other.
        first: entry.
        second: entry.
        level: of the comparison.
        power: wanted probability.
        pairs: how many pairs are tested at once; the tail is divided by it (what Holm's correction asks of the first).
        seeds: as if every task had this many seeds, at least 2, with the variation seen. The default is as it is.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        tasks_are_a_sample: as in `mean_interval`; ``seeds`` then changes nothing.

    Raises:
        DabenchError: an entry is not there, or they share no task.
    """
    table = Table.of(cells)
    tasks = [task for task in table.rows.get(first, {}) if task in table.rows.get(second, {})]
    if not tasks or first == second:
        raise DabenchError(f"{first!r} and {second!r} have no task in common on which they could be compared")
    sample = as_sample(tasks, tasks_are_a_sample)
    others = [entry for entry in table.entries if entry not in (first, second) and not table.missing(entry, tasks)]
    resampler = Resampler(table, resamples, seed)
    (pair,) = pairs_of(resampler, [first, second, *others], tasks, sample, [(first, second)])
    spread = pair.spread
    if not spread.levels:
        return math.inf
    if seeds is not None and not sample:
        spread = _with_seeds(spread, fewest=pair.seeds, seeds=seeds)
    return detectable(spread, (1 - level) / pairs, power)


def detectable(spread: Spread, tail: float, power: float) -> float:
    """The true difference that is found with probability ``power`` where ``tail`` is called different by chance."""
    return spread.half_width(tail) + spread.half_width(2 * (1 - power)) if spread.levels else math.inf


def seeds_needed(spread: Spread, difference: float, seeds: int, tail: float, power: float) -> int | None:
    """Seeds a task, of ``seeds`` that there are, with which a difference would be found; None: more seeds do not do it.

    Args:
        spread: of the difference as it was seen, over seeds and slices.
        difference: of any sign.
        seeds: that every task has; at least 2.
        tail: probability to call equal ones different.
        power: probability to find the difference, if it is true.
    """
    return next(
        (
            n
            for n in range(seeds, MOST_SEEDS + 1)
            if detectable(_with_seeds(spread, seeds, n), tail, power) <= abs(difference)
        ),
        None,
    )


def tasks_needed(spread: Spread, difference: float, tasks: int, tail: float, power: float) -> int | None:
    """Tasks, of ``tasks`` that there are, with which it would be found, if further ones were like these on average."""
    for n in range(tasks, MOST_TASKS + 1):
        more = [replace(part, variance=part.variance * tasks / n, df=part.df * n / tasks) for part in spread.levels]
        if detectable(Spread(tuple(more)), tail, power) <= abs(difference):
            return n
    return None


def _with_seeds(spread: Spread, fewest: int, seeds: int) -> Spread:
    """The spread if tasks had ``seeds`` seeds where they have ``fewest``."""
    if seeds < 2:
        raise DabenchError(f"seeds is {seeds}: how results vary over seeds takes at least 2")
    by_seed, by_slice = spread.levels
    more = replace(by_seed, variance=by_seed.variance * fewest / seeds, df=by_seed.df * (seeds - 1) / (fewest - 1))
    return Spread((more, by_slice))

"""Pairs of entries, matched by task, seed and slice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from dabench.statistics.cells import Table, spread_over_seeds
from dabench.statistics.groups import holm
from dabench.statistics.intervals import Interval, bounded
from dabench.statistics.resampling import Draws, Resampler
from dabench.statistics.slices import pooled_inflation
from dabench.statistics.spread import Spread, p_values, spread_of, spread_over_tasks


@dataclass(frozen=True)
class PairTest:
    """Two entries: ``difference`` is the mean of the first less that of the second.

    ``p`` is of the hierarchical paired test over tasks, seeds and slices, and agrees with the interval of
    ``difference``. ``p_holm`` is corrected for all pairs that have several seeds, and is what groups go by.
    """

    first: str
    second: str
    difference: Interval
    p: float
    p_holm: float


@dataclass(frozen=True)
class Pair:
    """The difference of two entries: mean over tasks, by task and seed (those that both have), and its spread."""

    first: str
    second: str
    mean: float
    by_seed: tuple[Mapping[int, float], ...]
    spread: Spread

    @property
    def seeds(self) -> int:
        """Seeds in common on the task that has the fewest."""
        return min(len(found) for found in self.by_seed)


def pairs_of(
    resampler: Resampler,
    entries: Sequence[str],
    tasks: Sequence[str],
    sample: bool,
    chosen: Sequence[tuple[str, str]] | None = None,
) -> list[Pair]:
    """Pairs of ``entries``, which all have ``tasks``.

    Args:
        resampler: of the table.
        entries: every pair in this order, and all that is looked at to see how slices resemble each other.
        tasks: to compare on.
        sample: whether tasks are drawn.
        chosen: these pairs instead of all.
    """
    table = resampler.table
    weights = resampler.task_weights(len(tasks))
    inflations = [1.0 if sample else pooled_inflation(resampler.contrasts(entries, task)) for task in tasks]
    pairs = []
    for first, second in combinations(entries, 2) if chosen is None else chosen:
        by_seed = tuple(paired(table, first, second, task) for task in tasks)
        # Where two share no seed nothing is paired: the difference of their means, and no spread is known.
        points = [
            fmean(found.values()) if found else table.mean(first, (task,)) - table.mean(second, (task,))
            for task, found in zip(tasks, by_seed, strict=True)
        ]
        if sample:
            spread = spread_over_tasks(points, weights)
        elif all(by_seed):
            drawn = [_difference(resampler, first, second, t, s) for t, s in zip(tasks, by_seed, strict=True)]
            spread = spread_of(drawn, inflations)
        else:
            spread = Spread(())
        pairs.append(Pair(first, second, fmean(points), by_seed, spread))
    return pairs


def pair_tests(pairs: Sequence[Pair], level: float) -> tuple[PairTest, ...]:
    """Test every pair. Holm's correction is for all pairs of which anything can be known, whatever the outcome."""
    plain = p_values([pair.spread for pair in pairs], [pair.mean for pair in pairs])
    testable = [index for index, pair in enumerate(pairs) if pair.spread.levels]
    corrected = dict(zip(testable, holm([plain[index] for index in testable]), strict=True))
    tests = []
    for index, (pair, p) in enumerate(zip(pairs, plain, strict=True)):
        interval = bounded(pair.mean, pair.spread, level, -1.0, spread_over_seeds(pair.by_seed), pair.seeds)
        tests.append(PairTest(pair.first, pair.second, interval, p, corrected.get(index, 1.0)))
    return tuple(tests)


def paired(table: Table, first: str, second: str, task: str) -> dict[int, float]:
    """Differences of headline numbers by seed, of the seeds that both have."""
    a, b = table.values(first, task), table.values(second, task)
    return {seed: a[seed] - b[seed] for seed in a if seed in b}


def _difference(resampler: Resampler, first: str, second: str, task: str, seeds: Iterable[int]) -> Draws:
    """Both with the same seeds and slices drawn."""
    chosen = tuple(seeds)
    return resampler.draws(first, task, chosen) - resampler.draws(second, task, chosen)

"""Differences that were named before any number was seen: tested together, with what would be needed for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dabench.statistics.cells import Cell, Table
from dabench.statistics.pairs import Pair, PairTest, pair_tests, pairs_of
from dabench.statistics.planning import detectable, seeds_needed, tasks_needed
from dabench.statistics.resampling import Resampler


@dataclass(frozen=True)
class Contrast:
    """The first entry less the second, on the tasks that both have; only these tasks are spoken of.

    Attributes:
        test: difference with interval, p, and p corrected for all contrasts that could be tested (Holm).
        tasks: that both have.
        detectable: the true difference that this table would have shown with the wanted power, infinite with one seed.
        seeds_needed: seeds a task with which the difference as seen would be shown; None: not by seeds alone.
        tasks_needed: tasks that would show it, if further ones were like these; None: more than is sensible.
    """

    test: PairTest
    tasks: tuple[str, ...]
    detectable: float
    seeds_needed: int | None
    tasks_needed: int | None


def contrasts(
    cells: Sequence[Cell],
    chosen: Sequence[tuple[str, str]],
    *,
    level: float = 0.95,
    power: float = 0.8,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[Contrast, ...]:
    """Test the chosen pairs, corrected among themselves. Tasks are fixed: seeds and slices are drawn again.

    Args:
        cells: of all entries; others than the chosen help to see how slices resemble each other.
        chosen: (first, second) entries. A pair of which one has no result on any common task is left out.
        level: of intervals; a contrast is told apart where ``p_holm`` is below 1 - level.
        power: of `Contrast.detectable` and of what is needed; each at the level that Holm asks of the first contrast.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        DabenchError: an entry has two cells of one task and seed.

    Example:
        >>> cells = [Cell(e, "a2b", s, v + s / 100) for e, v in (("x", 0.8), ("y", 0.7)) for s in range(3)]
        >>> (found,) = contrasts(cells, [("x", "y")])
        >>> round(found.test.difference.mean, 3), found.tasks
        (0.1, ('a2b',))
    """
    table = Table.of(cells)
    resampler = Resampler(table, resamples, seed)
    pairs, tasks = list[Pair](), list[tuple[str, ...]]()
    for first, second in chosen:
        both = table.rows.get(second, {})
        common = tuple(task for task, found in table.rows.get(first, {}).items() if found and both.get(task))
        if common:
            others = [e for e in table.entries if e not in (first, second) and not table.missing(e, common)]
            pairs += pairs_of(resampler, [first, second, *others], common, False, [(first, second)])
            tasks.append(common)
    tests = pair_tests(pairs, level)
    tail = (1 - level) / max(1, sum(bool(pair.spread.levels) for pair in pairs))
    return tuple(_contrast(*found, tail, power) for found in zip(tests, pairs, tasks, strict=True))


def _contrast(test: PairTest, pair: Pair, tasks: tuple[str, ...], tail: float, power: float) -> Contrast:
    if not pair.spread.levels:
        return Contrast(test, tasks, float("inf"), None, None)
    return Contrast(
        test,
        tasks,
        detectable(pair.spread, tail, power),
        seeds_needed(pair.spread, pair.mean, pair.seeds, tail, power),
        tasks_needed(pair.spread, pair.mean, len(tasks), tail, power),
    )

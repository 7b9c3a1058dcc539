"""Entries against each other: paired tests with Holm's correction, ranks, groups that cannot be told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dabench.statistics.cells import Cell, Table
from dabench.statistics.groups import compact_letters
from dabench.statistics.intervals import Interval, as_sample
from dabench.statistics.pairs import PairTest, pair_tests, pairs_of
from dabench.statistics.ranks import friedman, mean_ranks
from dabench.statistics.resampling import Resampler


@dataclass(frozen=True)
class Comparison:
    """What can be said of entries against each other.

    ``entries`` by mean rank, best first; ``tasks`` those compared on; ``pairs`` every pair, better ranked entry first;
    ``ranks`` the mean rank over tasks with its interval; ``groups`` letters, entries that share one cannot be told
    apart; ``friedman_p`` None where it cannot be computed; ``left_out`` entry -> why it is not ranked.
    """

    entries: tuple[str, ...]
    tasks: tuple[str, ...]
    pairs: tuple[PairTest, ...]
    ranks: Mapping[str, Interval]
    groups: Mapping[str, str]
    friedman_p: float | None
    left_out: Mapping[str, str]
    level: float = 0.95


def compare(
    cells: Sequence[Cell],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    tasks: Sequence[str] | None = None,
    tasks_are_a_sample: bool | None = None,
) -> Comparison:
    """Compare all entries that have a result on every task (docs/statistics.md says how).

    Args:
        cells: of several entries.
        level: of intervals; pairs differ where ``p_holm`` is below 1 - level.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        tasks: to compare on; by default those on which at least two entries have a result.
        tasks_are_a_sample: as in `mean_interval`.

    Raises:
        DabenchError: an entry has two cells of one task and seed.
    """
    table = Table.of(cells)
    chosen = table.tasks if tasks is None else tuple(tasks)
    missing = {entry: table.missing(entry, chosen) for entry in table.entries}
    left_out = {entry: f"no result on {', '.join(names)}" for entry, names in missing.items() if names}
    if not chosen:
        left_out = {entry: "shares no task with another entry" for entry in table.entries}
    complete = [entry for entry in table.entries if entry not in left_out]
    if not complete:
        return Comparison((), chosen, (), {}, {}, None, left_out, level)
    resampler = Resampler(table, resamples, seed)
    ranks = mean_ranks(resampler, complete, chosen, level, tasks_are_a_sample)
    ordered = tuple(sorted(complete, key=lambda e: (ranks[e].mean, -table.mean(e, chosen), e)))
    tests = pair_tests(pairs_of(resampler, ordered, chosen, as_sample(chosen, tasks_are_a_sample)), level)
    different = [(test.first, test.second) for test in tests if test.p_holm < 1 - level]
    return Comparison(
        ordered,
        chosen,
        tests,
        {entry: ranks[entry] for entry in ordered},
        compact_letters(ordered, different),
        friedman(table, ordered, chosen, tasks_are_a_sample),
        left_out,
        level,
    )

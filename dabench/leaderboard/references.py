"""What entries are measured by: the brackets of their network, or an entry that the reader names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dabench.leaderboard.board import LOWER, UPPER, Standing
from dabench.leaderboard.entries import Entry
from dabench.statistics import Cell, Interval, PairTest, gap_closed, holm
from dabench.statistics.cells import Table


def references_of(entries: Sequence[Entry], cells: Sequence[Cell], chosen: str = "") -> dict[str, str]:
    """Entry -> what it is compared with: the chosen entry, or the lower bracket that it starts from.

    Args:
        entries: of the board.
        cells: their means.
        chosen: label of an entry; on a board without it the brackets count.
    """
    table = Table.of(cells)
    chosen = chosen if chosen in table.entries else ""
    found = {entry.label: chosen or _bracket(entry, entries, table, LOWER) for entry in entries}
    return {label: reference for label, reference in found.items() if reference and reference != label}


def with_differences(
    standings: Sequence[Standing], references: Mapping[str, str], pairs: Sequence[PairTest]
) -> list[Standing]:
    """Each standing with its paired difference to its reference; without one where the two were not compared.

    Whether it is better than its reference is asked once for each entry: p is corrected for these pairs alone (Holm).
    """
    tests = {(pair.first, pair.second): (pair.difference, pair.p) for pair in pairs}
    tests |= {(pair.second, pair.first): (_negative(pair.difference), pair.p) for pair in pairs}
    asked = [(entry, reference) for entry, reference in references.items() if (entry, reference) in tests]
    corrected = dict(zip(asked, holm([tests[pair][1] for pair in asked]), strict=True))

    def compared(standing: Standing) -> Standing:
        pair = standing.entry, references.get(standing.entry, "")
        if pair not in corrected:
            return standing
        return replace(standing, reference=pair[1], difference=tests[pair][0], p=corrected[pair])

    return [compared(standing) for standing in standings]


def _negative(interval: Interval) -> Interval:
    return replace(interval, mean=-interval.mean, low=-interval.high, high=-interval.low)


def with_gaps(standings: Sequence[Standing], entries: Sequence[Entry], cells: Sequence[Cell]) -> list[Standing]:
    """Each standing with the share that it closes of the gap between its brackets, over all tasks of the board."""
    groups: dict[tuple[str, str], list[str]] = {}
    table = Table.of(cells)
    for entry in entries:
        lower, upper = (_bracket(entry, entries, table, kind) for kind in (LOWER, UPPER))
        if lower and upper and not entry.bracket:
            groups.setdefault((lower, upper), []).append(entry.label)
    found: dict[str, float] = {}
    for pair, labels in groups.items():
        shares = gap_closed(cells, *pair)
        found |= {label: shares[label][""] for label in labels if "" in shares.get(label, {})}
    return [replace(standing, gap_closed=found.get(standing.entry)) for standing in standings]


def _bracket(entry: Entry, entries: Sequence[Entry], table: Table, kind: str) -> str:
    """The bracket that an entry is measured by: of those with its network, or of the only network, the best one.

    "" where there are brackets of several networks, and none with the entry's.
    """
    brackets = [one for one in entries if one.bracket == kind]
    same = [one for one in brackets if _network(one) == _network(entry)]
    if not same and len({_network(one) for one in brackets}) == 1:
        same = brackets
    return max((one.label for one in same), key=lambda label: _strength(table, label), default="")


def _strength(table: Table, label: str) -> tuple[int, float]:
    """Tasks with a result, and the mean over them."""
    tasks = tuple(table.rows.get(label, {}))
    return len(tasks), table.mean(label, tasks) if tasks else 0.0


def _network(entry: Entry) -> str:
    return entry.tags.get("network", "")

"""Quality against what it costs, and between what is possible without and with labels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from dabench.statistics.cells import Cell, Table


def gap_closed(cells: Sequence[Cell], lower: str, upper: str) -> dict[str, dict[str, float]]:
    """The share of the gap between two entries that each entry closes: 0 is ``lower``, 1 is ``upper``.

    By task, from means over seeds; under "" the mean of the tasks' shares, only where no task of the table is missing
    for the entry or for the brackets. A task on which a bracket has no result, or ``upper`` is not above ``lower``, has
    no share. Shares below 0 and above 1 are left as they are.

    Args:
        cells: of all entries, the brackets among them.
        lower: entry without target labels (source-only).
        upper: entry with all of them (the supervised one).
    """
    table = Table.of(cells)
    gaps: dict[str, tuple[float, float]] = {}
    for task in sorted({t for tasks in table.rows.values() for t in tasks}):
        if all(bracket in table.rows and task in table.rows[bracket] for bracket in (lower, upper)):
            low, high = (table.mean(bracket, (task,)) for bracket in (lower, upper))
            if high > low:
                gaps[task] = low, high - low
    shares: dict[str, dict[str, float]] = {}
    for entry, tasks in table.rows.items():
        found = {t: (table.mean(entry, (t,)) - gaps[t][0]) / gaps[t][1] for t in tasks if t in gaps}
        if table.tasks and all(task in found for task in table.tasks):
            found[""] = fmean(found[task] for task in table.tasks)
        shares[entry] = found
    return shares


def pareto(points: Mapping[str, tuple[float, float]]) -> tuple[str, ...]:
    """Names that no other beats: no other is at least as good for at most the cost and better in one of the two.

    Args:
        points: name -> (cost, quality); low cost and high quality are good. Points that are not finite are left out.

    Returns:
        Names, cheapest first; equal points are all kept, in the order of their names.
    """
    finite = {name: p for name, p in points.items() if all(math.isfinite(x) for x in p)}
    front: list[str] = []
    best = -math.inf
    for name in sorted(finite, key=lambda n: (finite[n][0], -finite[n][1], n)):
        cost, quality = finite[name]
        if quality > best or (front and (cost, quality) == finite[front[-1]]):
            front.append(name)
            best = quality
    return tuple(front)

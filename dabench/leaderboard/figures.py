"""The diagrams of a board, as SVG texts by title."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dabench.leaderboard.board import Standing
from dabench.statistics import Comparison, critical_difference_svg, pareto, scatter_svg

#: Name of a cost -> title, label of the axis, and the cost of a standing on it.
COSTS: Mapping[str, tuple[str, str, Callable[[Standing], float | None]]] = {
    "annotation": (
        "Quality against annotation",
        "annotation of a task, minutes",
        lambda s: _minutes(s.annotation_seconds),
    ),
    "training": (
        "Quality against training time",
        "training of a cell, minutes",
        lambda s: _minutes(s.train_seconds),
    ),
}


def figures(comparison: Comparison, standings: Sequence[Standing], metric: str) -> dict[str, str]:
    """Critical differences of the ranked, and quality against both costs; upper brackets are never on the front."""
    found = {"Critical differences": critical_difference_svg(comparison)} if len(comparison.entries) > 1 else {}
    for name, (title, label, _) in COSTS.items():
        points, front = quality_and_cost(standings, name)
        if len({x for x, _ in points.values()}) > 1:
            found[title] = scatter_svg(points, front, label, f"{metric}, per cent, mean over tasks")
    return found


def quality_and_cost(
    standings: Sequence[Standing], cost: str
) -> tuple[dict[str, tuple[float, float]], tuple[str, ...]]:
    """(cost, quality in per cent) of every entry that has both, and which of them are on the front, cheapest first.

    Upper brackets are never on it.
    """
    of = COSTS[cost][2]
    points = {s.entry: (c, 100 * s.overall.mean) for s in standings if s.overall and (c := of(s)) is not None}
    return points, pareto({s.entry: points[s.entry] for s in standings if not s.is_apart and s.entry in points})


def _minutes(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 60

"""The diagrams of a board, as SVG texts by title."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dabench.leaderboard.board import Standing
from dabench.statistics import Comparison, critical_difference_svg, pareto, scatter_svg

#: Title, label of the axis, and the cost of a standing on it.
_COSTS: tuple[tuple[str, str, Callable[[Standing], float | None]], ...] = (
    ("Quality against annotation", "annotation of a task, minutes", lambda s: _minutes(s.annotation_seconds)),
    ("Quality against training time", "training of a cell, minutes", lambda s: _minutes(s.train_seconds)),
)


def figures(comparison: Comparison, standings: Sequence[Standing], metric: str) -> dict[str, str]:
    """Critical differences of the ranked, and quality against both costs; upper brackets are never on the front."""
    found = {"Critical differences": critical_difference_svg(comparison)} if len(comparison.entries) > 1 else {}
    shown = [s for s in standings if s.overall is not None]
    for title, label, cost in _COSTS:
        points = {s.entry: (c, 100 * s.overall.mean) for s in shown if s.overall and (c := cost(s)) is not None}
        if len({x for x, _ in points.values()}) > 1:
            front = pareto({s.entry: points[s.entry] for s in shown if not s.is_apart and s.entry in points})
            found[title] = scatter_svg(points, front, label, f"{metric}, per cent, mean over tasks")
    return found


def _minutes(seconds: float | None) -> float | None:
    return None if seconds is None else seconds / 60

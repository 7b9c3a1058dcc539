"""Curves over what was varied, a line for each method, and quality against cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from statistics import fmean, stdev
from typing import TYPE_CHECKING, NamedTuple

from dabench.errors import ConfigError, UnknownNameError
from dabench.leaderboard.figures import COSTS, quality_and_cost
from dabench.leaderboard.metric import Metric
from dabench.statistics.diagrams import scatter

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dabench.leaderboard.gather import Leaderboard
    from dabench.leaderboard.rows import Row

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#4d4d4d")
_MARKERS = "osD^vP*"


class Point(NamedTuple):
    """One entry on one task: what was varied, and the mean over seeds with its standard deviation (None of one)."""

    x: float
    mean: float
    sd: float | None


def _error_rate(row: Row) -> float:
    """``simulated:0.1`` is 0.1; where no one was asked there is no rate."""
    return float(row.tags.get("rater", "").partition(":")[2].partition(" ")[0])


def _minutes(row: Row) -> float:
    return float("nan") if row.costs.annotation_seconds is None else row.costs.annotation_seconds / 60


def _hours(row: Row) -> float:
    return float("nan") if row.costs.train_seconds is None else row.costs.train_seconds / 3600


#: What a curve may run over: the label of its axis, and the value of a cell; ValueError where a cell has none.
AXES: Mapping[str, tuple[str, Callable[[Row], float]]] = {
    "points": ("given points, % of all objects", lambda row: 100 * float(row.tags.get("points", ""))),
    "patches": ("answered patches, % of all", lambda row: 100 * float(row.tags.get("patches", ""))),
    "rater-error": ("wrong answers, %", lambda row: 100 * _error_rate(row)),
    "minutes": ("annotation, minutes", _minutes),
    "core-hours": ("training of a cell, hours", _hours),
}


def curves(found: Leaderboard, x: str, metric: Metric) -> Figure:
    """A panel per task; a line joins the entries of one method with the mean and standard deviation over seeds.

    Args:
        found: finished cells.
        x: one of `AXES`.
        metric: the score.

    Raises:
        UnknownNameError: no such axis.
        ConfigError: no cell has the score and a place on the axis.
    """
    if x not in AXES:
        raise UnknownNameError("axis", x, AXES)
    lines = _lines(found, AXES[x][1], metric)
    if not lines:
        raise ConfigError(f"no finished run has {metric.title} and a place on the axis {x!r}.")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.2 + 4.0 * len(lines), 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    names = sorted({name for of_task in lines.values() for name in of_task})
    panels = figure.subplots(1, len(lines), squeeze=False, sharey=True)[0]
    for axes, (task, of_task) in zip(panels, sorted(lines.items()), strict=True):
        for name, points in of_task.items():
            _draw(axes, name, sorted(points), names.index(name))
        axes.set_title(task, fontsize=10)
        axes.set_xlabel(AXES[x][0], fontsize=9)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel(f"{metric.title}, %, mean ± sd over seeds", fontsize=9)
    panels[-1].legend(fontsize=8, frameon=False)
    return figure


def _draw(axes: Axes, name: str, points: list[Point], place: int) -> None:
    colour, marker = _COLOURS[place % len(_COLOURS)], _MARKERS[place % len(_MARKERS)]
    bars = [point.sd or 0.0 for point in points]
    xs, ys = [point.x for point in points], [point.mean for point in points]
    axes.errorbar(xs, ys, bars, label=name, color=colour, marker=marker, ms=4, lw=1.2, capsize=2)


def _lines(found: Leaderboard, place: Callable[[Row], float], metric: Metric) -> dict[str, dict[str, list[Point]]]:
    """Task, then method with its variant, then the points of its entries."""
    lines: dict[str, dict[str, list[Point]]] = {}
    for entry in (entry for board in found.board_entries for entry in board.entries):
        by_task: dict[str, list[tuple[float, float]]] = {}
        for row in entry.scored(metric):
            with suppress(ValueError):
                x = place(row)
                if x == x:
                    by_task.setdefault(row.tags["task"], []).append((x, 100 * row.scores[metric]))
        for task, seen in by_task.items():
            xs, ys = zip(*seen, strict=True)
            point = Point(fmean(xs), fmean(ys), stdev(ys) if len(ys) > 1 else None)
            lines.setdefault(task, {}).setdefault(_name(entry.rows[0]), []).append(point)
    return lines


def _name(row: Row) -> str:
    variant = row.tags.get("variant", "none")
    return row.tags["method"] if variant == "none" else f"{row.tags['method']} {variant}"


def quality_against_cost(found: Leaderboard, cost: str) -> Figure:
    """Entries of one board by mean over tasks and by cost; a line joins those that no other beats in both.

    Args:
        found: cells of one board.
        cost: ``annotation`` or ``training``.

    Raises:
        UnknownNameError: another cost.
        ConfigError: several boards, or no entry has both numbers.
    """
    if cost not in COSTS:
        raise UnknownNameError("cost", cost, COSTS)
    boards = found.boards(shown=False)
    if len(boards) != 1:
        raise ConfigError(
            f"{len(boards)} boards match, but only one can be drawn.", "Choose: --suite NAME, --filter preset=small"
        )
    points, front = quality_and_cost(boards[0].standings, cost)
    if not points:
        raise ConfigError(
            "no entry has results on all tasks and a cost.", "To see what is missing: dabench leaderboard"
        )
    return scatter(points, front, COSTS[cost][1], f"{boards[0].metric.title}, per cent, mean over tasks")

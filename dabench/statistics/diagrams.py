"""Diagrams as SVG texts: critical differences, and quality against cost. No fonts or files from outside are needed."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dabench.statistics.comparison import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NO_METADATA = {"Date": None, "Creator": None}
INK, GREY, FRONT = "#222222", "#9a9a9a", "#0072b2"


def critical_difference_svg(comparison: Comparison) -> str:
    """Mean ranks on a line, best on the left; a bar joins entries that cannot be told apart (Demsar 2006).

    Bars go by ``p_holm`` of the comparison, not by one critical difference: who is told apart depends on the pair. So a
    bar may pass over an entry that is not of its group; its own have a dot, and all have their groups' letters.
    """
    entries = comparison.entries
    if len(entries) < 2:
        return _sentence("Fewer than two entries to rank.")
    import pandas as pd
    from matplotlib.figure import Figure
    from scikit_posthocs import critical_difference_diagram

    label = {entry: f"{entry} ({comparison.groups[entry]})" for entry in entries}
    p_values = pd.DataFrame(1.0, index=list(label.values()), columns=list(label.values()))
    for pair in comparison.pairs:
        first, second = label[pair.first], label[pair.second]
        p_values.loc[first, second] = p_values.loc[second, first] = pair.p_holm
    figure = Figure(figsize=(8.4, 1.2 + 0.24 * len(entries)))
    axes = figure.add_axes((0.3, 0.03, 0.4, 0.85))
    drawn = critical_difference_diagram(
        {label[entry]: comparison.ranks[entry].mean for entry in entries},
        p_values,
        alpha=1 - comparison.level,
        ax=axes,
        label_fmt_left="{label}  {rank:.1f} ",
        label_fmt_right=" {rank:.1f}  {label}",
        label_props={"fontsize": 9},
        elbow_props={"color": INK, "linewidth": 0.6},  # names take the colour of their line
        marker_props={"color": INK, "s": 14},
        crossbar_props={"color": INK, "marker": "o", "markersize": 4},  # a bar may pass over others: dots mark its own
        text_h_margin=0.02 * len(entries),
    )
    axes.set_xlim(1, len(entries))
    axes.set_xticks(range(1, len(entries) + 1))
    axes.tick_params(labelsize=8, colors=GREY)
    for artist in [a for lines in (drawn["elbows"], drawn["markers"], *drawn["crossbars"]) for a in lines]:
        artist.set_clip_on(False)
    return _svg(figure, "critical-difference")


def scatter_svg(points: Mapping[str, tuple[float, float]], front: Sequence[str], x_label: str, y_label: str) -> str:
    """`scatter` as an ``<svg>`` element for an HTML page."""
    return _svg(scatter(points, front, x_label, y_label), "quality-cost") if points else _sentence("Nothing to draw.")


def scatter(points: Mapping[str, tuple[float, float]], front: Sequence[str], x_label: str, y_label: str) -> Figure:
    """Quality against cost, names in a column on the right, the Pareto front as a step line.

    Args:
        points: name -> (cost, quality), finite; at least one.
        front: names on the front, cheapest first (`pareto`).
        x_label: what the cost is, with its unit.
        y_label: what the quality is.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, max(3.6, 0.8 + 0.2 * len(points))))
    axes = figure.add_axes((0.09, 0.14, 0.56, 0.82))
    costs, qualities = zip(*points.values(), strict=True)
    colours = [FRONT if name in front else GREY for name in points]
    axes.scatter(costs, qualities, c=colours, s=26, zorder=3)
    axes.step(*_front_line(points, front, max(costs)), where="post", color=FRONT, linewidth=1.2, zorder=2)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.margins(0.06, 0.08)
    axes.spines[["top", "right"]].set_visible(False)
    _name_points(axes, points, set(front))
    return figure


def _front_line(
    points: Mapping[str, tuple[float, float]], front: Sequence[str], end: float
) -> tuple[list[float], list[float]]:
    """Corners of the front: the best quality that a cost buys, up to the dearest point."""
    on_front = [points[name] for name in front if name in points]
    costs = [cost for cost, _ in on_front] + ([end] if on_front else [])
    qualities = [quality for _, quality in on_front] + [quality for _, quality in on_front[-1:]]
    return costs, qualities


def _name_points(axes: Axes, points: Mapping[str, tuple[float, float]], front: set[str]) -> None:
    """Names right of the axes, by quality and apart from each other, each with a thin line to its point."""
    from scipy.optimize import isotonic_regression

    low, high = axes.get_ylim()
    names = sorted(points, key=lambda name: (points[name][1], name))
    # As near to their points as a least distance allows: what is left after taking that distance off must not fall.
    step = min(0.05, 1 / len(names))
    wanted = [(points[name][1] - low) / (high - low) - index * step for index, name in enumerate(names)]
    near = isotonic_regression(wanted).x.clip(0, 1 - (len(names) - 1) * step)
    heights = [height + index * step for index, height in enumerate(near)]
    for name, height in zip(names, heights, strict=True):
        colour = FRONT if name in front else INK
        line = {"arrowstyle": "-", "color": GREY, "linewidth": 0.4, "shrinkB": 3, "relpos": (0, 0.5)}
        axes.annotate(
            name, points[name], (1.04, height), "data", "axes fraction", line, va="center", fontsize=8.5, color=colour
        )


def _sentence(text: str) -> str:
    """A picture that only says something."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 0.6))
    figure.text(0.02, 0.4, text, color=INK)
    return _svg(figure, "sentence")


def _svg(figure: Figure, salt: str) -> str:
    """The figure as an ``<svg>`` element for an HTML page: letters as outlines, the same bytes every time."""
    import matplotlib as mpl

    stream = io.StringIO()
    # The salt keeps names of clip paths apart when several diagrams share a page.
    with mpl.rc_context({"svg.hashsalt": salt, "svg.fonttype": "path"}):
        figure.savefig(stream, format="svg", metadata=NO_METADATA, transparent=True, bbox_inches="tight")
    text = stream.getvalue()
    return text[text.index("<svg") :]

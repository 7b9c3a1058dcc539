"""Pictures that papers print: runs side by side on the same slices, and box plots of their scores along slices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dabench.errors import ConfigError, MissingDataError
from dabench.evaluation.panels import LEGEND, grid_of, pick_slices
from dabench.leaderboard.metric import Metric
from dabench.leaderboard.openness import domains_of
from dabench.ops.pictures import GREEN, draw_contours, overlay
from dabench.types import Array, Window

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dabench.interfaces import Domain
    from dabench.leaderboard.gather import Leaderboard
    from dabench.leaderboard.rows import Row
    from dabench.volumes.viewer.view_data import ViewData

#: Names of slices that stand for a number, in the order in which they are shown.
NAMED = ("best", "median", "worst")


@dataclass(frozen=True)
class Entry:
    """A row of the leaderboard that is shown, under its entry's name."""

    name: str
    row: Row


def compare_slices(
    found: Leaderboard,
    open_run: Callable[[str], ViewData],
    *,
    slices: Sequence[str | int] = NAMED,
    window: Window | None = None,
    crop: int | None = None,
) -> Figure:
    """One line per slice: image with the truth's contour, then every entry's errors with its Dice.

    Args:
        found: rows of one task; of several seeds of an entry the lowest is shown.
        open_run: gives a run directory's images, truth and prediction.
        slices: slice numbers from 0, or ``best``, ``median``, ``worst`` by the mean Dice of all entries: no single
            method picks what is shown.
        window: the part of every slice that is shown, in pixels.
        crop: side in pixels instead: of each slice the square that holds most foreground by the labels.

    Raises:
        ConfigError: nothing to show, several tasks, a slice or window outside.
        MissingDataError: the target has no labels, or a run no stored prediction.
    """
    entries = _one_seed(_entries(found, stored=True))
    dice = {entry.name: _along(entry.row, Metric("dice")) for entry in entries}
    views = {entry.name: open_run(entry.row.path) for entry in entries}
    first = next(iter(views.values()))
    if first.truth is None:
        raise MissingDataError(f"{entries[0].row.tags['task']}: the target's test split has no labels to compare with.")
    lines = []
    for z, why in _numbers(slices, dice, first.images.shape[0]):
        image, truth = first.images.read(z), first.truth.read(z)
        part = _part(window, crop, truth).slices
        line = [(draw_contours(image[part], {GREEN: truth[part] == 1}, 2), f"slice {z}{why}: image and truth")]
        for name, view in views.items():
            if view.prediction is None:
                raise MissingDataError(f"{name}: the run stored no prediction.")
            caption = f"{name}  (Dice {100 * dice[name][z]:.1f})" if z in dice[name] else name
            line.append((overlay(image[part], view.prediction.read(z)[part], truth[part]), caption))
        lines.append(line)
    seed = entries[0].row.tags["seed"]
    return grid_of(lines, f"{entries[0].row.tags['task']}, seed {seed}; Dice of the whole slice", LEGEND)


def box_plots(found: Leaderboard, metric: Metric) -> Figure:
    """One panel per task: for each entry the box plot of its scores over test slices and seeds.

    Boxes span the quartiles, whiskers 1.5 times their distance, circles lie beyond; the line is the median.

    Raises:
        ConfigError: no row has scores of slices by this metric.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    scores: dict[str, dict[str, list[float]]] = {}
    for entry in _entries(found):
        values = [100 * v for v in _along(entry.row, metric).values()]
        if values:
            scores.setdefault(entry.row.tags["task"], {}).setdefault(entry.name, []).extend(values)
    if not scores:
        raise ConfigError(
            f"no run here has scores per slice for {str(metric)!r}.", "To list the runs: dabench leaderboard"
        )
    tallest = max(map(len, scores.values()))
    figure = Figure(figsize=(1.6 + 4.2 * len(scores), 1.4 + 0.36 * tallest), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (task, by_entry) in zip(figure.subplots(1, len(scores), squeeze=False)[0], scores.items(), strict=True):
        names = list(by_entry)[::-1]  # the first entry on top
        axes.boxplot([by_entry[n] for n in names], orientation="horizontal", tick_labels=names, flierprops={"ms": 3})
        axes.set_title(task, fontsize=10)
        axes.set_xlabel(f"{metric.title} per slice, %", fontsize=9)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def check_terms(found: Leaderboard, domains: Mapping[str, Domain], *, publish: bool) -> list[str]:
    """What the terms of use say of pictures of these runs: a line for each target.

    Raises:
        ConfigError: the picture is to be published, and the card of a target does not allow to hand its images on.
    """
    lines = []
    for name in sorted({domains_of(row)[1] for row in found.rows if row.status == "ok"}):
        domain = domains.get(name)
        if domain is None or not domain.redistribution:
            told = f"images of {name} may not be shared ({domain.licence if domain else 'its card is not here'})"
            if publish:
                raise ConfigError(
                    f"--publish: {told}.", "Leave out this target, ask its owner, or do not use --publish."
                )
            lines.append(f"not for publication: {told}")
        else:
            lines.append(f"images of {name}: {domain.licence}")
    return lines


# ------------------------------------------------------------------------------------------------------------- entries
def _entries(found: Leaderboard, *, stored: bool = False) -> list[Entry]:
    """Finished runs in the order of the boards' entries, those of an entry by seed; ``stored``: with files here."""
    ok = [
        Entry(entry.label, row)
        for board in found.board_entries
        for entry in board.entries
        for row in sorted(entry.rows, key=lambda row: int(row.tags["seed"]))
        if row.status == "ok" and (row.path or not stored)
    ]
    if not ok:
        raise ConfigError("there is no finished run to show.", "To list the runs: dabench results ls")
    return ok


def _one_seed(entries: Iterable[Entry]) -> list[Entry]:
    """The first run of every entry. Raises ConfigError for runs of several tasks."""
    first: dict[str, Entry] = {}
    for entry in entries:
        first.setdefault(entry.name, entry)
    tasks = sorted({entry.row.tags["task"] for entry in first.values()})
    if len(tasks) > 1:
        raise ConfigError(f"runs of {len(tasks)} tasks: {', '.join(tasks)}.", f"Choose one: --filter task={tasks[0]}")
    return list(first.values())


def _along(row: Row, metric: Metric) -> dict[int, float]:
    """Score by slice; slices that the protocol leaves out are not there."""
    return {z: float(v) for z, v in enumerate(row.slices.get(metric, ())) if np.isfinite(v)}


def _numbers(wanted: Sequence[str | int], dice: Mapping[str, Mapping[int, float]], depth: int) -> list[tuple[int, str]]:
    """Slice numbers, each with why it is shown: "", or `` (best)``."""
    common = set.intersection(*(set(along) for along in dice.values()))
    means = [{"slice": z, "dice": float(np.mean([along[z] for along in dice.values()]))} for z in sorted(common)]
    named, numbers = pick_slices(means), []
    for one in wanted:
        if isinstance(one, int):
            if not 0 <= one < depth:
                raise ConfigError(f"--slices {one}: the test split has slices 0 to {depth - 1}.")
            numbers.append((one, ""))
        elif one in named:
            numbers.append((named[one], f" ({one})"))
    if not numbers:
        raise ConfigError("no slice has a Dice in every run.", "Give numbers: --slices 3,7")
    return numbers


def _part(window: Window | None, crop: int | None, truth: Array) -> Window:
    height, width = truth.shape
    if crop is not None:
        return fullest_window(truth == 1, min(crop, height), min(crop, width))
    if window is None:
        return Window(0, 0, height, width)
    if window.y + window.height > height or window.x + window.width > width:
        raise ConfigError(f"--window: slices have {height} x {width} pixels.")
    return window


def fullest_window(mask: Array, height: int, width: int) -> Window:
    """The window of a size that holds most of a mask ``(H, W)`` bool; the first of equals.

    Example:
        >>> fullest_window(np.eye(4, dtype=bool)[:, ::-1], 2, 2)
        Window(y=0, x=2, height=2, width=2)
    """
    sums = np.pad(mask.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    y, x = np.unravel_index(int(inside.argmax()), inside.shape)
    return Window(int(y), int(x), height, width)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure, atomically. Raises ConfigError for an ending that names no picture (.png, .pdf, .svg)."""
    from dabench.files.atomic import write_with

    kind = path.suffix.lstrip(".").lower()
    if kind not in ("png", "pdf", "svg"):
        raise ConfigError(f"--output {path}: a picture's name ends in .png, .pdf or .svg.")
    write_with(path, lambda part: figure.savefig(part, format=kind, dpi=150))

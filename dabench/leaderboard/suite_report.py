"""What a suite shows, in Markdown: its table, the contrasts that it names beforehand, failures, cost."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from dabench.errors import ConfigError, DataError
from dabench.files.tables import Column, Table, escaped, percent
from dabench.files.workspace import Workspace
from dabench.interfaces.observer import Observer
from dabench.leaderboard.below_start import below_start
from dabench.leaderboard.board import Board
from dabench.leaderboard.gather import load
from dabench.leaderboard.metric import Metric
from dabench.leaderboard.tables import text_table
from dabench.statistics.contrasts import Contrast, contrasts
from dabench.suites.finished import suite_runs
from dabench.suites.run_choice import records_of
from dabench.suites.spec import Suite, Variant, expand
from dabench.tracking.events import Phase
from dabench.tracking.record import RunRecord
from dabench.tracking.recorded import read_recorded
from dabench.tracking.scores import ScoreKey
from dabench.tracking.summary import cell_of

_LEVEL = 0.95
#: Data whose slices are made by a program.
_PHANTOM = "phantom"


@dataclass(frozen=True)
class Found:
    """A suite with the runs of its cells, each with the tag ``row``, and the boards of the rows that are shown."""

    suite: Suite
    runs: Sequence[RunRecord]
    boards: Sequence[Board]
    metric: Metric
    #: Names of the rows that are shown, () for all. Contrasts are corrected for all that the suite names.
    rows: frozenset[str] = frozenset()

    @property
    def key(self) -> ScoreKey:
        """The score that is looked at."""
        return ScoreKey(self.metric.test_points or 0.0, self.metric.name)

    @property
    def shown(self) -> list[RunRecord]:
        """Runs of rows that are shown."""
        return [run for run in self.runs if not self.rows or run.tags["row"] in self.rows]

    @property
    def scored(self) -> list[RunRecord]:
        """Finished runs of rows that are shown, with the score."""
        return self.having_score(self.shown)

    def having_score(self, runs: Sequence[RunRecord]) -> list[RunRecord]:
        """Those of some runs that are finished and have the score."""
        return [run for run in runs if run.status == "ok" and self.key in run.cell_scores]


def gather_suite(
    suite: Suite,
    workspace: Workspace,
    source: Path | None = None,
    by: str = "dice",
    observer: Observer | None = None,
) -> Found:
    """The finished runs of a suite: of a workspace, or of a file of recorded results. Its chosen rows are shown.

    Raises:
        UnknownNameError: nothing of the suite has run, or no run has this score.
        DataError: the file is missing or damaged.
    """
    rows = frozenset({cell.row for cell in expand(suite)} | set(suite.unavailable) if suite.is_narrowed else ())
    uri = None if source is None else str(source)
    leaderboard = load(workspace, by=by, suite=suite.name, suite_rows=rows, uri=uri, observer=observer)
    boards = leaderboard.boards(shown=False, observer=observer)
    if source is not None:
        runs = [run for run in read_recorded(source) if run.suite == suite.name and "row" in run.tags]
    else:
        runs = records_of(workspace, suite_runs(workspace, suite.name).finished, suite.name)
    return Found(suite, runs, boards, Metric.parse(by), rows)


def read_plan(path: Path) -> dict[str, Any]:
    """What ``dabench suite plan --json`` printed. Raises DataError for another file."""
    try:
        plan: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {"estimated_core_hours_by_stage": dict(plan["estimated_core_hours_by_stage"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: not a plan of a suite ({error}).", "To make one: dabench suite plan FILE --json"
        ) from None


def as_markdown(found: Found, planned: Mapping[str, Any] | None = None, level: int = 3) -> str:
    """The whole report under a heading of this level.

    Args:
        found: the suite and its runs.
        planned: what ``dabench suite plan --json`` said before; its core hours are set beside those spent.
        level: of the first heading.

    Raises:
        ConfigError: no cell of the suite has a result.
    """
    if not found.scored:
        raise ConfigError(
            f"suite {found.suite.name}: no finished cell has a score for {found.metric.title}.", "Run it first."
        )
    below = "#" * (level + 1)
    parts = [f"{'#' * level} {found.suite.title or found.suite.name}", _progress(found)]
    parts += [text_table(board).to_markdown(level + 1).rstrip() for board in found.boards]
    sections = {
        "Contrasts named beforehand": _contrasts(found),
        "Scores without some slices": _variants(found, level),
        "Rows below their start": _listed(below_start(found.scored, found.key)),
        "Cost": _costs(found, planned, level),
    }
    for title, text in sections.items():
        parts += [f"{below} {title}", text] if text else []
    return "\n\n".join(parts) + "\n"


def volumes_of(runs: Sequence[RunRecord]) -> str:
    """The volumes of some runs in words: what claims about them are about."""
    names = sorted({run.tags[side] for run in runs for side in ("source", "target") if side in run.tags})
    kind = "phantoms" if all(run.tags.get("data") == _PHANTOM for run in runs) else "volumes"
    return f"these {len(names)} {kind} ({', '.join(names)})"


def _progress(found: Found) -> str:
    """How much of the suite is there, by seed."""
    there = {run.cell_id for run in found.scored}
    cells = [cell for cell in expand(found.suite) if not cell.excluded]
    planned = Counter(cell.config.seed for cell in cells)
    done = Counter(cell.config.seed for cell in cells if cell.config.cell_id in there)
    told = ", ".join(f"seed {seed}: {done[seed]} of {count}" for seed, count in sorted(planned.items()))
    return f"{sum(done.values())} of {len(cells)} cells are recorded ({told})."


# ----------------------------------------------------------------------------------------------------------- contrasts
def _contrasts(found: Found) -> str:
    asked = [pair for pair in found.suite.contrasts if not found.rows or found.rows >= set(pair)]
    if not asked:
        return ""
    runs = found.having_score(found.runs)
    every = contrasts([cell_of(run, found.key) for run in runs], found.suite.contrasts, level=_LEVEL)
    seen = {(one.test.first, one.test.second): one for one in every}
    tests = [seen[pair] for pair in asked if pair in seen]
    absent = [f"{a} minus {b}" for a, b in asked if (a, b) not in seen]
    columns = [Column("contrast", "text"), *map(Column, ("tasks", "difference", "95 %", "p, corrected", "detectable"))]
    table = Table.of(columns, [_line(one) for one in tests]).to_markdown().strip()
    volumes = volumes_of(runs)
    parts = [
        f"Points of {found.metric.title}, first row minus second, for {volumes}. The suite named these contrasts "
        f"before it ran; p is corrected for the {len(every)} of them that have results (Holm). Tasks are fixed: only "
        "seeds and slices are resampled, so the results do not extend to other volumes. Detectable: the true "
        "difference that this design detects with a probability of 80 %. All other comparisons here are descriptive.",
        table,
        "\n".join(f"- {_claim(one, volumes, found.metric)}" for one in tests),
    ]
    if absent:
        parts.append(f"Not recorded yet: {'; '.join(absent)}.")
    return "\n\n".join(part for part in parts if part)


def _line(one: Contrast) -> tuple[str, ...]:
    low, high = one.test.difference.low, one.test.difference.high
    known = math.isfinite(one.detectable)
    return (
        f"{one.test.first} - {one.test.second}",
        str(len(one.tasks)),
        _points(one.test.difference.mean),
        f"{_points(low)} to {_points(high)}" if known else "unknown",
        f"{one.test.p_holm:.2g}" if known else "-",
        f"{100 * one.detectable:.1f}" if known else "-",
    )


def _claim(one: Contrast, volumes: str, metric: Metric) -> str:
    """What may be said, with the volumes that it may be said of."""
    first, second, mean = one.test.first, one.test.second, one.test.difference.mean
    if not math.isfinite(one.detectable):
        return f"{first} and {second}: no test before every task has two seeds of both."
    if one.test.p_holm < 1 - _LEVEL:
        better, worse = (first, second) if mean > 0 else (second, first)
        return f"On {volumes}, {better} is {100 * abs(mean):.1f} points of {metric.title} above {worse}."
    need = [f"{one.seeds_needed} seeds per task" if one.seeds_needed else "", _more_tasks(one)]
    told = " or ".join(part for part in need if part) or "neither more seeds nor a reasonable number of tasks"
    return f"On {volumes}, {first} and {second} cannot be told apart. To detect the observed difference: {told}."


def _more_tasks(one: Contrast) -> str:
    return f"{one.tasks_needed} tasks like these with as many seeds" if one.tasks_needed else ""


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


# ------------------------------------------------------------------------------------------------------------ variants
def _variants(found: Found, level: int) -> str:
    texts = [_variant(found, name, variant, level) for name, variant in found.suite.variants.items()]
    return "\n\n".join(text for text in texts if text)


def _variant(found: Found, name: str, variant: Variant, level: int) -> str:
    """Every row's mean over the variant's tasks, with all slices and without some."""
    scores: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for run in found.scored:
        along = run.along_slices(found.key.test_points).get(found.key.metric)
        if run.tags["task"] in variant.tasks and along is not None:
            kept = np.delete(along, [z for z in variant.without if z < len(along)])
            pair = float(np.nanmean(along)), float(np.nanmean(kept))
            scores.setdefault(run.tags["row"], {}).setdefault(run.tags["task"], []).append(pair)
    if not scores:
        return ""
    rows = []
    for row, tasks in scores.items():
        every, without = (fmean(fmean(pair[i] for pair in found) for found in tasks.values()) for i in (0, 1))
        rows.append((every, (row, str(len(tasks)), percent(every), percent(without), _points(without - every))))
    rows.sort(key=lambda found: -found[0])
    columns = [Column("row", "text"), *map(Column, ("tasks", "all slices", "without", "difference"))]
    title = f"{name} ({found.metric.title}, {', '.join(variant.tasks)})"
    return Table.of(columns, [line for _, line in rows], title).to_markdown(level + 2).rstrip()


# ---------------------------------------------------------------------------------------------------------------- cost
def _costs(found: Found, planned: Mapping[str, Any] | None, level: int) -> str:
    """Core hours by stage, each stage once however many cells share it, and those of the cells themselves."""
    stages = {stage.key: stage for run in found.shown for stage in run.stages}
    spent: dict[str, float] = {}
    for stage in stages.values():
        spent[stage.stage] = spent.get(stage.stage, 0.0) + stage.seconds / 3600
    phases = [event for run in found.shown for event in run.events if isinstance(event, Phase)]
    rest = sum(event.seconds for event in phases if event.name != "train") / 3600
    if not spent and not rest:
        return ""
    plan = dict((planned or {}).get("estimated_core_hours_by_stage", {}))
    names = [*spent, *(name for name in plan if name not in spent)]
    lines = [(name, plan.get(name), spent.get(name)) for name in names]
    lines.append(("prediction, scores and pictures", None, rest))
    lines.append(("all", sum(plan.values()) or None, sum(spent.values()) + rest))
    columns = [Column("stage", "text"), Column("planned"), Column("spent")]
    rows = [(name, _hours(planned_hours), _hours(used)) for name, planned_hours, used in lines]
    table = Table.of(columns, rows, "hours of one core, each stage once")
    return (table if plan else table.without(1)).to_markdown(level + 2).rstrip()


def _hours(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def _listed(lines: Iterator[str]) -> str:
    return "\n".join(f"- {escaped(line) if '|' in line else line}" for line in lines)

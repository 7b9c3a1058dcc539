"""The comparison as an object: per task and metric ours and theirs, gains over the first row, and what is missing.

Pure: from a suite, its cells and their runs. All numbers are per cent. Nothing here mixes data, presets, protocols or
inference profiles: cells that differ in one of them are another table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from dabench.errors import ConfigError, DataError
from dabench.files.digests import digest_of
from dabench.files.workspace import Workspace
from dabench.leaderboard.board import BoardKey
from dabench.leaderboard.metric import Metric, by_metric
from dabench.leaderboard.published.measures import reference, value_of
from dabench.runs.config import RunConfig, validate_config
from dabench.suites.schedule import SuiteReport
from dabench.suites.spec import Published, Suite, SuiteCell, expand, row_name
from dabench.tracking.record import RunRecord
from dabench.tracking.run_reader import read_run
from dabench.tracking.scores import percent

#: A recorded run of the same models stands for the cell, and was not scored at all shares of test points.
PARTIAL = "partial"
#: Statuses of cells that have a result. A stale one was made by other code or on other data than there are now.
SCORED = ("ok", "stale", PARTIAL)

#: What a paper prints, by row and task, then metric.
Printed = Mapping[tuple[str, str], Mapping[Metric, float]]


@dataclass(frozen=True)
class Result:
    """A cell of the suite, how it stands, and its run where that has a result."""

    cell: SuiteCell
    status: str
    reason: str = ""
    run: RunRecord | None = None


@dataclass(frozen=True)
class Figure:
    """A mean over seeds with its standard deviation (None of one seed)."""

    mean: float
    sd: float | None
    n: int


@dataclass(frozen=True)
class Line:
    """One row's one metric on one task. A gain is what the row has more than the first row, which itself has none."""

    row: str
    task: str
    metric: Metric
    ours: Figure | None
    theirs: float | None
    ours_gain: Figure | None
    theirs_gain: float | None

    @property
    def difference(self) -> float | None:
        """Ours less theirs."""
        return None if self.ours is None or self.theirs is None else self.ours.mean - self.theirs


@dataclass(frozen=True)
class MeanGain:
    """A row's gain over the first row, averaged over tasks: what compares even where tasks or presets differ."""

    row: str
    metric: Metric
    ours: float | None
    ours_tasks: int
    theirs: float | None
    theirs_tasks: int


@dataclass(frozen=True)
class Comparison:
    """One table: ours of one setting beside theirs.

    ``theirs_setting`` is what the suite's file says, the paper's as far as it is known. ``theirs_tasks`` are those that
    their mean gain is taken over: the asked ones where the paper has them all, else all of the paper's.
    """

    suite: str
    title: str
    source: str
    note: str
    setting: BoardKey
    theirs_setting: BoardKey
    first: str
    tasks: tuple[str, ...]
    theirs_tasks: tuple[str, ...]
    metrics: tuple[Metric, ...]
    seeds: tuple[int, ...]
    lines: tuple[Line, ...]
    gains: tuple[MeanGain, ...]
    missing: tuple[Result, ...]
    stale: tuple[Result, ...]
    unavailable: Mapping[str, str]

    @property
    def comparable(self) -> bool:
        """Whether ours were made as theirs were, as far as the paper says."""
        return self.setting == self.theirs_setting


def gather(report: SuiteReport, workspace: Workspace) -> list[Result]:
    """The cells of a report with their runs, read from the workspace."""
    found = []
    for status in report.cells:
        result = Result(status.node.cell, status.status, status.reason)
        if status.status in SCORED:
            try:
                result = replace(result, run=read_run(workspace.runs / status.cell_id))
            except DataError as error:
                result = replace(result, status="damaged", reason=error.message)
        found.append(result)
    return found


def recorded(suite: Suite, runs: Sequence[RunRecord]) -> list[Result]:
    """The cells of a suite with their recorded runs; those that are not among them count as not run.

    A run that differs in nothing but its further shares of test points stands for a cell: so tables share runs. Of two
    runs of a cell the first counts.
    """
    found = {run.cell_id: run for run in reversed(runs)}
    alike = {key: run for run in reversed(runs) if run.status in SCORED and (key := _recorded_key(run))}
    return [
        _recorded(cell, found[cell.config.cell_id])
        if cell.config.cell_id in found
        else _standing_in(cell, alike.get(_key(cell.config)))
        for cell in expand(suite)
    ]


def _standing_in(cell: SuiteCell, run: RunRecord | None) -> Result:
    """The same of a run of other shares of test points: those that it lacks make it a part of the cell."""
    result = _recorded(cell, run)
    if result.run is None or result.status != "ok":
        return result
    absent = set(cell.config.test_points) - {key.test_points for key in result.run.cell_scores}
    shares = ", ".join(f"{percent(share)} %" for share in sorted(absent))
    return replace(result, status=PARTIAL, reason=f"not scored with {shares} of the test points") if absent else result


def _key(config: RunConfig) -> str:
    """What decides a run's models and plain scores: all that names a cell but its further test points."""
    return digest_of({**config.identity(), "test_points": config.test_points[:1]})


def _recorded_key(run: RunRecord) -> str:
    """The same of a run; "" where its settings are not those of this version."""
    with suppress(ConfigError):
        return _key(validate_config(run.params))
    return ""


def _recorded(cell: SuiteCell, run: RunRecord | None) -> Result:
    if run is None or cell.excluded:
        return Result(cell, "excluded" if cell.excluded else "new", cell.excluded)
    return Result(cell, run.status, run.reason, run if run.status in SCORED else None)


def published(suite: Suite) -> Published:
    """What a paper prints for a suite. Raises ConfigError where there is nothing."""
    if suite.published is None:
        raise ConfigError(
            f"suite {suite.name} has no published numbers to compare with.",
            f"dabench suite run {suite.name} runs it, dabench leaderboard --suite {suite.name} ranks it.",
        )
    return suite.published


def compare(suite: Suite, results: Sequence[Result], original: Suite) -> list[Comparison]:
    """Tables of a suite's results, one a setting.

    Args:
        suite: what ran, changed as asked.
        results: its cells.
        original: the suite as its file has it: the paper's tasks, data and preset.
    """
    settings = list(dict.fromkeys(setting_of(r.cell.config) for r in results))
    theirs = setting_of(expand(original)[0].config)
    return [
        _compare(suite, [r for r in results if setting_of(r.cell.config) == setting], setting, theirs)
        for setting in settings or [theirs]
    ]


def setting_of(config: RunConfig) -> BoardKey:
    """What may not be mixed in a table."""
    pixels = "native" if config.pixel_size == "auto" else config.pixel_size  # what papers' domains come to
    return BoardKey(config.data, config.preset, config.protocol, config.inference, pixels)


def _compare(suite: Suite, results: Sequence[Result], setting: BoardKey, theirs_setting: BoardKey) -> Comparison:
    paper = published(suite)
    rows = _rows(suite, results)
    first = next((row for row in rows if row not in suite.unavailable), "")
    tasks = tuple(dict.fromkeys(r.cell.config.task for r in results))
    printed = tuple(dict.fromkeys(task for row in paper.values.values() for task in row))
    asked = set(tasks) <= set(printed)
    theirs_tasks = tuple(task for task in printed if task in tasks or not asked)
    theirs = {(row, task): by_metric(v) for row, values in paper.values.items() for task, v in values.items()}
    named = [*map(Metric.parse, paper.metrics), *(metric for found in theirs.values() for metric in found)]
    metrics = tuple(dict.fromkeys(named))
    runs = _Runs(results, first)
    lines = [_line(row, task, metric, runs, theirs) for task in tasks for metric in metrics for row in rows]
    seen = [line for line in lines if line.ours or line.theirs is not None]
    far = [_line(row, task, metric, runs, theirs) for task in theirs_tasks for metric in metrics for row in rows]
    return Comparison(
        suite=suite.name,
        title=suite.title,
        source=paper.source,
        note=paper.note,
        setting=setting,
        theirs_setting=theirs_setting,
        first=first,
        tasks=tasks,
        theirs_tasks=theirs_tasks,
        metrics=metrics,
        seeds=tuple(sorted({r.cell.config.seed for r in results})),
        lines=tuple(seen),
        gains=tuple(_mean_gains(rows, metrics, lines, far)),
        missing=tuple(r for r in results if r.status not in SCORED or r.status == PARTIAL),
        stale=tuple(r for r in results if r.status == "stale"),
        unavailable=suite.unavailable,
    )


def _rows(suite: Suite, results: Sequence[Result]) -> list[str]:
    """Names of all rows in the suite's order, those without cells too."""
    found: dict[str, None] = {}
    for row in suite.chosen or {"": {}}:
        if row in suite.unavailable:
            found[row] = None
            continue
        cells = (r.cell for r in results)
        found |= dict.fromkeys(c.row for c in cells if c.row == (row_name(row, c.place) or c.config.method))
    return list(found)


class _Runs:
    """Runs by row, task and seed, and what they measured in per cent."""

    def __init__(self, results: Sequence[Result], first: str) -> None:
        self._found: dict[tuple[str, str], dict[int, RunRecord]] = {}
        self.first = first
        for result in results:
            if result.run is not None:
                config = result.cell.config
                self._found.setdefault((result.cell.row, config.task), {})[config.seed] = result.run

    def values(self, row: str, task: str, metric: Metric) -> dict[int, float]:
        """By seed."""
        base = self._found.get((self.first, task), {})
        seen = {s: value_of(metric, run, base.get(s)) for s, run in self._found.get((row, task), {}).items()}
        return {seed: 100 * value for seed, value in seen.items() if value is not None}


def _line(row: str, task: str, metric: Metric, runs: _Runs, printed: Printed) -> Line:
    compared = reference(metric)
    ours = runs.values(row, task, metric)
    # The first row has no gain over itself, but its prompted results have one over its plain result.
    first = "" if (row, metric) == (runs.first, compared) else runs.first
    base = runs.values(first, task, compared)
    theirs = printed.get((row, task), {}).get(metric)
    their_base = printed.get((first, task), {}).get(compared)
    return Line(
        row=row,
        task=task,
        metric=metric,
        ours=_figure(list(ours.values())),
        theirs=theirs,
        ours_gain=_figure([ours[seed] - base[seed] for seed in ours if seed in base]),
        theirs_gain=None if theirs is None or their_base is None else theirs - their_base,
    )


def _figure(values: Sequence[float]) -> Figure | None:
    if not values:
        return None
    return Figure(fmean(values), stdev(values) if len(values) > 1 else None, len(values))


def _mean_gains(
    rows: Sequence[str], metrics: Sequence[Metric], ours: Sequence[Line], theirs: Sequence[Line]
) -> list[MeanGain]:
    found = []
    for metric in metrics:
        for row in rows:
            here = [g.mean for line in ours if (line.row, line.metric) == (row, metric) and (g := line.ours_gain)]
            there = [line.theirs_gain for line in theirs if (line.row, line.metric) == (row, metric)]
            printed = [gain for gain in there if gain is not None]
            if here or printed:
                found.append(MeanGain(row, metric, _mean(here), len(here), _mean(printed), len(printed)))
    return found


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None

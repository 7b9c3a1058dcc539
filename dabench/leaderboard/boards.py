"""Entries of one setting become a board: means with intervals, ranks, groups, what each cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from dabench.leaderboard.board import Board, BoardKey, CellLink, PublishedRow, Standing
from dabench.leaderboard.board_statistics import BoardStatistics, RankStatistics, Summary
from dabench.leaderboard.checked import weakest
from dabench.leaderboard.entries import Entry, seed_of
from dabench.leaderboard.figures import figures
from dabench.leaderboard.metric import Metric
from dabench.leaderboard.notes import notes
from dabench.leaderboard.references import references_of, with_differences, with_gaps
from dabench.leaderboard.results_cache import ResultsCache
from dabench.leaderboard.rows import Row
from dabench.statistics import pareto
from dabench.tracking.record import Costs


@dataclass(frozen=True)
class BoardEntries:
    """All entries of one setting, before anything is computed; ``planned`` are a suite's tasks, () without one."""

    setting: BoardKey
    entries: tuple[Entry, ...]
    suite: str = ""
    planned: tuple[str, ...] = ()
    published: tuple[PublishedRow, ...] = ()
    results: ResultsCache = field(default_factory=ResultsCache, compare=False, repr=False)
    #: The entry that all are compared with; "": each with the lower bracket of its network.
    reference: str = ""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Every metric that any cell has, Dice first."""
        found = {metric for entry in self.entries for row in entry.rows for metric in row.scores}
        return tuple(sorted(found, key=lambda metric: metric.order))

    def board(self, metric: Metric, shown: Sequence[Metric], *, with_figures: bool = False) -> Board:
        """The board by one metric.

        Args:
            metric: what ranks.
            shown: metrics of which scores are given by task; ``metric`` is among them.
            with_figures: draw the diagrams.
        """
        tasks = ranked_tasks(self.entries, metric, self.planned)
        numbers = BoardStatistics(self.entries, self.results)
        summaries = {name: numbers.summary(name, tasks) for name in shown}
        means = numbers.means(metric, tasks)
        references = references_of(self.entries, means, self.reference)
        ranking = numbers.ranking(metric, tasks, tuple(references.values()))
        standings = [_standing(entry, tasks, metric, summaries, ranking) for entry in self.entries]
        standings = with_gaps(standings, self.entries, means)
        standings = with_differences(standings, references, ranking.comparison.pairs)
        standings = _with_front(_ordered(standings, ranking))
        by_slice = numbers.has_slices(metric, tasks)
        return Board(
            setting=self.setting,
            metric=metric,
            metrics=tuple(shown),
            tasks=tasks,
            standings=tuple(standings),
            published=self.published,
            differences=ranking.comparison.pairs,
            figures=figures(ranking.comparison, standings, metric.title) if with_figures else {},
            notes=notes(self.entries, standings, tasks, metric, ranking, by_slice=by_slice),
            suite=self.suite,
        )


def ranked_tasks(entries: Sequence[Entry], metric: Metric, planned: Sequence[str] = ()) -> tuple[str, ...]:
    """The tasks of a board.

    Only a task on which two entries have a result compares anything. Of these a suite's board has all that the suite
    asks for. Without a suite, they are the ones that rank the most: the product of tasks and of entries that have them
    all; so one entry's further tasks do not make everybody else incomplete.
    """
    having = {entry.label: {row.tags["task"] for row in entry.scored(metric)} for entry in entries}
    having = {label: tasks for label, tasks in having.items() if tasks}
    known = sorted(set().union(*having.values()) if having else planned or _known_tasks(entries))
    shared = [task for task in known if sum(task in tasks for tasks in having.values()) > 1]
    if len(having) < 2 or not shared:
        return tuple(known)
    if planned:
        return tuple(task for task in shared if task in planned)
    rankable = [having[e.label] for e in entries if e.label in having and not e.is_apart] or list(having.values())
    shared.sort(key=lambda task: (-sum(task in tasks for tasks in rankable), task))
    sizes = [(k * sum(tasks.issuperset(shared[:k]) for tasks in rankable), k) for k in range(1, len(shared) + 1)]
    return tuple(sorted(shared[: max(sizes)[1]]))


def _known_tasks(entries: Iterable[Entry]) -> set[str]:
    return {row.tags["task"] for entry in entries for row in entry.rows}


# ---------------------------------------------------------------------------------------------------------- standings
def _standing(
    entry: Entry,
    tasks: Sequence[str],
    metric: Metric,
    summaries: Mapping[Metric, Summary],
    ranking: RankStatistics,
) -> Standing:
    rows = [row for row in entry.scored(metric) if row.tags["task"] in tasks]
    found = {name: summary.get(entry.label, {}) for name, summary in summaries.items()}
    scores = {t: {name: by_task[t] for name, by_task in found.items() if t in by_task} for t in tasks}
    memory = [row.costs.peak_memory_bytes for row in rows if row.costs.peak_memory_bytes is not None]
    return Standing(
        entry=entry.label,
        scores={task: by_metric for task, by_metric in scores.items() if by_metric},
        overall=found[metric].get(""),
        rank=ranking.ranks.get(entry.label),
        groups=ranking.comparison.groups.get(entry.label, ""),
        bracket=entry.bracket,
        annotation_seconds=_mean_cost(rows, lambda costs: costs.annotation_seconds),
        train_seconds=_mean_cost(rows, lambda costs: costs.train_seconds),
        peak_memory_bytes=max(memory, default=None),
        checked=weakest([row.checked for row in entry.rows if row.status == "ok"]),
        missing=entry.missing(tasks, metric),
        tags=entry.tags,
        cells=tuple(_link(row) for row in entry.rows),
    )


def _mean_cost(rows: Iterable[Row], cost: Callable[[Costs], float | None]) -> float | None:
    """Mean over tasks of the means over seeds, as scores are averaged."""
    by_task: dict[str, list[float]] = {}
    for row in rows:
        if (value := cost(row.costs)) is not None:
            by_task.setdefault(row.tags["task"], []).append(value)
    return fmean(fmean(values) for values in by_task.values()) if by_task else None


def _link(row: Row) -> CellLink:
    about = (row.cell_id, row.tags["task"], seed_of(row), row.status, row.reason, row.path, row.origin, row.panels)
    return CellLink(*about, *((row.checked, row.doubt) if row.status == "ok" else ()))


def _ordered(standings: Iterable[Standing], ranking: RankStatistics) -> list[Standing]:
    """Ranked ones best first, then upper brackets from below, then incomplete ones."""
    place = {entry: number for number, entry in enumerate(ranking.ranks)}

    def key(standing: Standing) -> tuple[int, float, str]:
        if standing.is_apart:
            return 1, standing.overall.mean if standing.overall else math.inf, standing.entry
        return (0 if standing.rank else 2), place.get(standing.entry, 0), standing.entry

    return sorted(standings, key=key)


def _with_front(standings: Sequence[Standing]) -> list[Standing]:
    """Mark entries that no other beats in both quality and annotation; none, if annotation costs all the same."""
    points = {
        s.entry: (s.annotation_seconds, s.overall.mean)
        for s in standings
        if s.rank and s.overall and s.annotation_seconds is not None
    }
    front = pareto(points) if len({cost for cost, _ in points.values()}) > 1 else ()
    return [replace(s, pareto=s.entry in front) for s in standings]

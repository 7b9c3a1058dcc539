"""The statistics of a board, computed once for the same cells by the same code."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean

import numpy as np
from pydantic import TypeAdapter

from dabench.files.source import source_digest
from dabench.leaderboard.entries import Entry, seed_of
from dabench.leaderboard.metric import Metric
from dabench.leaderboard.results_cache import ResultsCache
from dabench.leaderboard.rows import Row
from dabench.statistics import Cell, Comparison, Interval, compare, minimum_detectable_difference, summarise
from dabench.statistics.cells import Table
from dabench.statistics.ranks import mean_ranks
from dabench.statistics.resampling import Resampler

#: Entries of which every pair is tested. With more, the correction for so many pairs leaves nothing to be told apart,
#: and pairs and groups grow without bound.
MOST_COMPARED = 60

#: By entry, then task ("" is over all tasks).
Summary = Mapping[str, Mapping[str, Interval]]


@dataclass(frozen=True)
class RankStatistics:
    """Entries against each other: ranks of all, best first; pairs and groups of the best `MOST_COMPARED`.

    ``least`` is by how much the first two would have to differ to be told apart; infinite where that is not known.
    """

    ranks: Mapping[str, Interval]
    comparison: Comparison
    least: float


#: Both from what ``asdict`` makes of them, after a way through JSON.
_SUMMARY, _RANKS = TypeAdapter(dict[str, dict[str, Interval]]), TypeAdapter(RankStatistics)


class BoardStatistics:
    """The statistics of some entries, remembered from call to call."""

    def __init__(self, entries: Sequence[Entry], results: ResultsCache) -> None:
        """Nothing is computed yet."""
        self._entries, self._results = entries, results

    def means(self, metric: Metric, tasks: Sequence[str]) -> list[Cell]:
        """The finished cells of some tasks without their slices: for what goes by means alone."""
        return [_cell(label, row, metric) for label, row in self._rows(metric, tasks)]

    def has_slices(self, metric: Metric, tasks: Sequence[str]) -> bool:
        """Whether every cell has scores by slice."""
        return all(metric in row.slices for _, row in self._rows(metric, tasks))

    def summary(self, metric: Metric, tasks: Sequence[str]) -> Summary:
        """Intervals of every entry on each task and over all."""
        key = self._key("summary", metric, tasks)
        values = self._results.recall(key)
        if values is None:
            values = {
                entry: {task: asdict(found) for task, found in by_task.items()}
                for entry, by_task in summarise(self._cells(metric, tasks)).items()
            }
            self._results.keep(key, values)
        return _SUMMARY.validate_python(values)

    def ranking(self, metric: Metric, tasks: Sequence[str], always: Sequence[str] = ()) -> RankStatistics:
        """The comparison of all entries but upper brackets."""
        key = self._key(f"ranks {sorted(always)}", metric, tasks)
        values = self._results.recall(key)
        if values is None:
            cells = [cell for cell in self._cells(metric, tasks) if cell.entry not in self._apart()]
            values = asdict(_ranking(cells, tasks, always))
            self._results.keep(key, values)
        return _RANKS.validate_python(values)

    # --------------------------------------------------------------------------------------------------------- cells
    def _rows(self, metric: Metric, tasks: Sequence[str]) -> Iterator[tuple[str, Row]]:
        wanted = set(tasks)
        for entry in self._entries:
            yield from ((entry.label, row) for row in entry.scored(metric) if row.tags["task"] in wanted)

    def _cells(self, metric: Metric, tasks: Sequence[str]) -> list[Cell]:
        return [_cell(label, row, metric, _slices(row, metric)) for label, row in self._rows(metric, tasks)]

    def _apart(self) -> set[str]:
        return {entry.label for entry in self._entries if entry.is_apart}

    def _key(self, what: str, metric: Metric, tasks: Sequence[str]) -> str:
        """Digest of everything that decides the numbers: cells, what is not ranked, and the code."""
        code = source_digest(__name__), np.__version__
        digest = hashlib.sha256(repr((what, MOST_COMPARED, *code, tuple(tasks))).encode())
        digest.update(repr(sorted(self._apart())).encode())
        for label, row in sorted(self._rows(metric, tasks), key=lambda found: (found[0], found[1].cell_id)):
            digest.update(repr((label, row.tags["task"], seed_of(row), row.scores[metric])).encode())
            digest.update(row.slices[metric].tobytes() if metric in row.slices else b"")
        return digest.hexdigest()


def _cell(label: str, row: Row, metric: Metric, slices: Mapping[int, float] | None = None) -> Cell:
    return Cell(label, row.tags["task"], seed_of(row), row.scores[metric], slices or {})


def _slices(row: Row, metric: Metric) -> dict[int, float]:
    """Scores by number of the slice, without slices that the protocol left out."""
    if metric not in row.slices:
        return {}
    along = row.slices[metric]
    counted = np.flatnonzero(~np.isnan(along))
    return dict(zip(counted.tolist(), along[counted].tolist(), strict=True))


# ------------------------------------------------------------------------------------------------------- computations
def _ranking(cells: Sequence[Cell], tasks: Sequence[str], always: Sequence[str]) -> RankStatistics:
    best = _best(cells, tasks, always)
    comparison = compare([cell for cell in cells if cell.entry in best] if best else cells, tasks=tasks)
    ranks = comparison.ranks
    if best:
        table = Table.of(cells)
        complete = [entry for entry in table.entries if not table.missing(entry, tasks)]
        ranks = mean_ranks(Resampler(table, 2000, 0), complete, tasks, comparison.level, None)
    ordered = sorted(ranks, key=lambda entry: (ranks[entry].mean, _place(comparison, entry), entry))
    least = float("inf")
    if len(comparison.entries) > 1:
        first, second = comparison.entries[:2]
        both = [cell for cell in cells if cell.entry in (first, second) and cell.task in tasks]
        least = minimum_detectable_difference(both, first, second, pairs=len(comparison.pairs))
    return RankStatistics({entry: ranks[entry] for entry in ordered}, comparison, least)


def _best(cells: Sequence[Cell], tasks: Sequence[str], always: Sequence[str]) -> set[str]:
    """The entries that are compared in pairs where there are too many for all; empty where there are not.

    Those of ``always`` take part however good they are.
    """
    values: dict[str, dict[str, list[float]]] = {}
    for cell in cells:
        values.setdefault(cell.entry, {}).setdefault(cell.task, []).append(cell.value)
    means = {e: fmean(fmean(v) for v in found.values()) for e, found in values.items() if set(found) >= set(tasks)}
    best = sorted(means, key=lambda entry: (-means[entry], entry))
    wanted = set(always) & set(means)
    return wanted | set(best[: MOST_COMPARED - len(wanted)]) if len(best) > MOST_COMPARED else set()


def _place(comparison: Comparison, entry: str) -> int:
    """Among equal ranks those that were compared come first, in their order."""
    return comparison.entries.index(entry) if entry in comparison.entries else len(comparison.entries)

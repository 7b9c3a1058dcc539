"""Finished cells as a table: which entry has which seeds of which task."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev

from dabench.errors import DabenchError


@dataclass(frozen=True)
class Cell:
    """The headline number of one finished cell, 0 to 1.

    ``value`` is the protocol's mean over counted slices (or its pooled number). ``slices`` holds the scores of counted
    slices by slice number z; it may be empty, then nothing is known about how slices vary. A cell that failed or was
    skipped is no Cell: it is missing, never 0.
    """

    entry: str
    task: str
    seed: int
    value: float
    slices: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """Cells by entry, task and seed, all sorted. Values that are not finite are missing."""

    rows: Mapping[str, Mapping[str, Mapping[int, Cell]]]

    @classmethod
    def of(cls, cells: Iterable[Cell]) -> Table:
        """Sort cells in. Raises `DabenchError` where an entry has two of one task and seed."""
        rows: dict[str, dict[str, dict[int, Cell]]] = {}
        for cell in sorted(cells, key=lambda c: (c.entry, c.task, c.seed)):
            seeds = rows.setdefault(cell.entry, {}).setdefault(cell.task, {})
            if cell.seed in seeds:
                raise DabenchError(
                    f"two results of {cell.entry!r} on task {cell.task!r} with seed {cell.seed}: "
                    f"{seeds[cell.seed].value:.4f} and {cell.value:.4f}",
                    "Give them different entry names, or leave one out.",
                )
            if math.isfinite(cell.value):
                seeds[cell.seed] = replace(cell, slices={z: v for z, v in cell.slices.items() if math.isfinite(v)})
        return cls({e: {t: s for t, s in tasks.items() if s} for e, tasks in rows.items()})

    @property
    def entries(self) -> tuple[str, ...]:
        """All entries, those without any finite cell too."""
        return tuple(self.rows)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks on which at least two entries have a result; with one entry, all of its tasks.

        A task that a single entry has run compares nothing, and must not make everybody else incomplete.
        """
        found = sorted({task for tasks in self.rows.values() for task in tasks})
        shared = [t for t in found if sum(t in tasks for tasks in self.rows.values()) > 1]
        return tuple(found if len(self.rows) == 1 else shared)

    def missing(self, entry: str, tasks: Sequence[str]) -> tuple[str, ...]:
        """Those of ``tasks`` on which an entry has no result at all."""
        return tuple(task for task in tasks if task not in self.rows[entry])

    def values(self, entry: str, task: str) -> dict[int, float]:
        """Headline numbers by seed; empty where there is none."""
        return {seed: cell.value for seed, cell in self.rows[entry].get(task, {}).items()}

    def mean(self, entry: str, tasks: Sequence[str]) -> float:
        """Mean over tasks of the means over seeds."""
        return fmean(fmean(self.values(entry, task).values()) for task in tasks)

    def slices(self, task: str) -> tuple[int, ...]:
        """All slices of a task that any cell counts, in order."""
        rows = (tasks.get(task, {}) for tasks in self.rows.values())
        return tuple(sorted({z for seeds in rows for cell in seeds.values() for z in cell.slices}))


def spread_over_seeds(values: Sequence[Mapping[int, float]]) -> float | None:
    """Standard deviation over seeds of the mean over tasks, from the seeds that all tasks share; None below two.

    Args:
        values: by task, numbers by seed.
    """
    common = set.intersection(*(set(v) for v in values)) if values else set()
    means = [fmean(v[seed] for v in values) for seed in sorted(common)]
    return stdev(means) if len(means) > 1 else None

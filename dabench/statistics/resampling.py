"""The hierarchical bootstrap: seeds within a task, slices of a task's volume, and tasks where they are a sample.

Every draw is shared: of one task, all entries and all seeds see the same slices drawn, and entries with the same seeds
see the same seeds drawn, so that what they have in common cancels in differences and ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from dabench.statistics.cells import Table

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Draws:
    """What resampling does to the mean of one task (of an entry, or of a difference of entries).

    ``by_seed`` and ``by_slice`` are deviations from ``point``, (resamples,). ``series`` is the score along the slices,
    mean over seeds, (slices,) with NaN where a slice is not counted; empty where slices are not known.
    """

    point: float
    seeds: int
    by_seed: Array
    by_slice: Array
    series: Array

    def __sub__(self, other: Draws) -> Draws:
        known = bool(self.series.size and other.series.size)
        return Draws(
            self.point - other.point,
            min(self.seeds, other.seeds),
            self.by_seed - other.by_seed,
            self.by_slice - other.by_slice if known else np.zeros_like(self.by_slice),
            self.series - other.series if known else np.empty(0),
        )

    @classmethod
    def mean(cls, parts: Sequence[Draws]) -> Draws:
        """The mean of several entries' draws of the same task."""
        known = all(part.series.size for part in parts)
        return cls(
            float(np.mean([p.point for p in parts])),
            min(p.seeds for p in parts),
            np.mean([p.by_seed for p in parts], axis=0),
            np.mean([p.by_slice for p in parts], axis=0) if known else np.zeros_like(parts[0].by_slice),
            np.mean([p.series for p in parts], axis=0) if known else np.empty(0),
        )


def multinomial_weights(rng: np.random.Generator, n: int, draws: int, resamples: int) -> Array:
    """Weights (resamples, n), rows summing to 1, of ``draws`` draws with replacement out of n."""
    return rng.multinomial(draws, np.full(n, 1 / n), size=resamples) / draws


class Resampler:
    """Draws of a table. The same table, number of resamples and seed give the same numbers.

    Args:
        table: the cells.
        resamples: how many times everything is drawn again.
        seed: of the draws; each task's draws depend on its name, not on what else is in the table.
    """

    def __init__(self, table: Table, resamples: int, seed: int) -> None:
        self.table = table
        self.resamples = resamples
        self._seed = seed
        # Caches of this object alone: pairs ask for the same draws over and over.
        self._draws = lru_cache(None)(self._draw_task)
        self._slices = lru_cache(None)(table.slices)
        self._scores = lru_cache(None)(self._scores_along)
        self._slice_weights = lru_cache(None)(self._draw_slices)
        self._seed_weights = lru_cache(None)(self._draw_seeds)
        self._by_slice = lru_cache(None)(self._cell_deviations)

    def draws(self, entry: str, task: str, seeds: Sequence[int] | None = None) -> Draws:
        """Resample one entry's task; ``seeds`` restricts it to some of its seeds (the default is all)."""
        cells = self.table.rows[entry][task]
        return self._draws(entry, task, tuple(cells if seeds is None else seeds))

    def contrasts(self, entries: Sequence[str], task: str) -> list[Array]:
        """Scores along the slices of each entry that has them, less the mean of all such: what they do not share."""
        series = [self.draws(entry, task).series for entry in entries]
        known = np.array([along for along in series if along.size])
        return list(known - _mean_of_counted(known)) if known.size else []

    def task_weights(self, n: int) -> Array:
        """Weights (resamples, n) of n tasks drawn as a sample."""
        return multinomial_weights(self._rng("tasks"), n, max(n - 1, 1), self.resamples)

    def uniform(self, entry: str, task: str) -> Array:
        """(resamples,) numbers between 0 and 1: where an entry may lie of which nothing is known."""
        return self._rng("anywhere", entry, task).uniform(size=self.resamples)

    def _rng(self, *names: object) -> np.random.Generator:
        return np.random.default_rng([self._seed, crc32(repr(names).encode())])

    def _draw_task(self, entry: str, task: str, chosen: tuple[int, ...]) -> Draws:
        cells = self.table.rows[entry][task]
        values = np.array([cells[seed].value for seed in chosen])
        known = all(cells[seed].slices for seed in chosen)
        along = [self._scores(entry, task, seed) for seed in chosen] if known else []
        deviations = [self._by_slice(entry, task, seed) for seed in chosen] if known else [np.zeros(self.resamples)]
        return Draws(
            float(values.mean()),
            len(chosen),
            self._seed_weights(task, chosen) @ (values - values.mean()),
            np.mean(deviations, axis=0),
            _mean_of_counted(np.array(along)) if known else np.empty(0),
        )

    def _draw_slices(self, task: str) -> Array:
        n = len(self._slices(task))
        return multinomial_weights(self._rng("slices", task), n, n, self.resamples)

    def _draw_seeds(self, task: str, seeds: tuple[int, ...]) -> Array:
        # n - 1 draws out of n: the variance of the mean is then unbiased, which matters at n = 3 (Rao and Wu 1988).
        return multinomial_weights(self._rng("seeds", task, seeds), len(seeds), max(len(seeds) - 1, 1), self.resamples)

    def _scores_along(self, entry: str, task: str, seed: int) -> Array:
        """Scores of a cell along the task's slices, NaN where it counts none."""
        cell = self.table.rows[entry][task][seed]
        return np.array([cell.slices.get(z, np.nan) for z in self._slices(task)], dtype=np.float64)

    def _cell_deviations(self, entry: str, task: str, seed: int) -> Array:
        """Mean over the drawn slices that the cell counts, less the mean over all that it counts."""
        scores = self._scores(entry, task, seed)
        counted = np.isfinite(scores)
        weights = self._slice_weights(task)
        if counted.all():  # nearly always: then the weights of a draw sum to 1
            return np.asarray(weights @ (scores - scores.mean()), dtype=np.float64)
        scores = np.where(counted, scores - np.nanmean(scores), 0.0)
        total = weights @ counted
        return np.divide(weights @ scores, total, out=np.zeros_like(total), where=total > 0)


def _mean_of_counted(scores: Array) -> Array:
    """Mean over the first axis of what is counted; NaN where nothing is."""
    counted = np.isfinite(scores)
    n = counted.sum(0)
    return np.where(n > 0, np.where(counted, scores, 0).sum(0) / np.maximum(n, 1), np.nan)

"""The usual tests of the literature, for comparison: Wilcoxon's signed-rank test over slices, and over cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from dabench.statistics.cells import Cell, Table
from dabench.statistics.pairs import paired


@dataclass(frozen=True)
class SignedRank:
    """Two-sided p-values of Wilcoxon's signed-rank test; None where there is nothing to test.

    ``over_slices`` takes slices as independent and seeds as no source of variation: it speaks of these trained models
    on these slices, and calls methods different that are not. ``over_cells`` has (task, seed) pairs as units; with
    2 tasks x 3 seeds it cannot go below 0.03. Neither is corrected for the number of pairs, and groups use neither.
    """

    over_slices: float | None
    over_cells: float | None


def signed_rank(cells: Sequence[Cell], first: str, second: str) -> SignedRank:
    """Both tests for two entries, on the (task, seed) pairs and slices that both have.

    Differences of a slice are averaged over seeds first. Raises `DabenchError` for two cells of one task and seed.
    """
    table = Table.of(cell for cell in cells if cell.entry in (first, second))
    by_cell: list[float] = []
    by_slice: list[float] = []
    for task in table.rows.get(first, {}):
        differences = paired(table, first, second, task) if second in table.rows else {}
        by_cell += differences.values()
        of_slice: dict[int, list[float]] = {}
        for seed in differences:
            a, b = (table.rows[entry][task][seed].slices for entry in (first, second))
            for z in a.keys() & b.keys():
                of_slice.setdefault(z, []).append(a[z] - b[z])
        by_slice += [fmean(found) for found in of_slice.values()]
    return SignedRank(_p_value(by_slice), _p_value(by_cell))


def _p_value(differences: Sequence[float]) -> float | None:
    from scipy.stats import wilcoxon

    if not differences:
        return None
    return float(wilcoxon(differences).pvalue) if any(differences) else 1.0

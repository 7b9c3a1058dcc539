"""Cells whose numbers are chosen by a test, and the generator of benchmarks/statistics_coverage.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

from dabench.statistics import Cell
from tests.benchmark_script import load

ROOT = Path(__file__).parents[2]


def cells_of(values: Mapping[str, Mapping[str, Sequence[float]]]) -> list[Cell]:
    """``{entry: {task: [value of seed 0, of seed 1, ...]}}`` without slices."""
    return [
        Cell(entry, task, seed, value)
        for entry, tasks in values.items()
        for task, row in tasks.items()
        for seed, value in enumerate(row)
    ]


def cell_of(entry: str, task: str, seed: int, scores: Sequence[float]) -> Cell:
    """A cell whose value is the mean of its slices' scores."""
    return Cell(entry, task, seed, sum(scores) / len(scores), dict(enumerate(scores)))


def coverage() -> ModuleType:
    """The benchmark script as a module."""
    return load("statistics_coverage")

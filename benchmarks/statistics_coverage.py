"""Whether intervals hold what they promise, and ties are called ties: synthetic tables whose truth is known.

A score is: entry + task + entry x task + seed + slice (shared by entries) + entry x slice + rest. Neighbouring slices
resemble each other. Four entries are equal, one is better by ``GAIN``, one by twice that.

    python benchmarks/statistics_coverage.py --tables 400
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean

import numpy as np

from dabench.files.tables import Column, Table, percent
from dabench.statistics import Cell, compare, signed_rank, summarise

EQUAL = ("e0", "e1", "e2", "e3")
GAIN = 0.05
TRUTH = dict.fromkeys(EQUAL, 0.6) | {"e4": 0.6 + GAIN, "e5": 0.6 + 2 * GAIN}


@dataclass(frozen=True)
class Setting:
    """Sizes of a table and standard deviations of what its scores are made of."""

    tasks: int = 2
    seeds: int = 3
    slices: int = 20
    correlation: float = 0.5
    seed_sd: float = 0.02
    slice_sd: float = 0.05
    entry_slice_sd: float = 0.03
    entry_task_sd: float = 0.0
    rest_sd: float = 0.02

    def __str__(self) -> str:
        effects = f", entry x task {self.entry_task_sd}" if self.entry_task_sd else ""
        return (
            f"{self.tasks} task{'s' * (self.tasks > 1)}, {self.seeds} seeds of sd {self.seed_sd}, "
            + (f"{self.slices} slices, correlation {self.correlation}" if self.slices else "no slices")
            + effects
        )


SETTINGS = (
    Setting(),
    Setting(seed_sd=0.003),
    Setting(seed_sd=0.06),
    Setting(slices=8, correlation=0.0),
    Setting(slices=33, correlation=0.8),
    Setting(slices=100),
    Setting(seeds=5),
    Setting(seeds=2),
    Setting(slices=0),
    Setting(tasks=1),
    Setting(tasks=1, seed_sd=0.06, slices=100),
    Setting(tasks=3),
    Setting(tasks=4),
    Setting(tasks=4, slices=8, correlation=0.0),
    Setting(tasks=8, entry_task_sd=0.03),
    Setting(seed_sd=0.003, slices=100, correlation=0.9),
)


def along_slices(rng: np.random.Generator, shape: tuple[int, ...], correlation: float) -> np.ndarray:
    """Standard normal numbers whose neighbours on the last axis are correlated (first order)."""
    x = rng.normal(size=shape)
    for z in range(1, shape[-1]):
        x[..., z] = correlation * x[..., z - 1] + np.sqrt(1 - correlation**2) * x[..., z]
    return x


def synthetic(rng: np.random.Generator, s: Setting) -> list[Cell]:
    """One table. Tasks differ too; the truth of an entry's mean over tasks is `TRUTH` all the same."""
    n = len(TRUTH)
    if s.entry_task_sd:  # tasks are a sample of tasks
        tasks = 0.06 * rng.normal(size=s.tasks)
    else:
        tasks = np.linspace(-0.1, 0.1, s.tasks) if s.tasks > 1 else np.zeros(1)
    scores = np.array(list(TRUTH.values()))[:, None, None, None] + tasks[None, :, None, None]
    scores = scores + s.entry_task_sd * rng.normal(size=(n, s.tasks, 1, 1))
    scores = scores + s.seed_sd * rng.normal(size=(n, s.tasks, s.seeds, 1))
    if not s.slices:  # headline numbers alone
        return [
            Cell(entry, f"task{t}", k, float(scores[e, t, k, 0]))
            for e, entry in enumerate(TRUTH)
            for t in range(s.tasks)
            for k in range(s.seeds)
        ]
    scores = scores + s.slice_sd * along_slices(rng, (1, s.tasks, 1, s.slices), s.correlation)
    scores = scores + s.entry_slice_sd * along_slices(rng, (n, s.tasks, 1, s.slices), s.correlation)
    scores = scores + s.rest_sd * rng.normal(size=(n, s.tasks, s.seeds, s.slices))
    return [
        Cell(entry, f"task{t}", k, float(row.mean()), dict(enumerate(row.tolist())))
        for e, entry in enumerate(TRUTH)
        for t in range(s.tasks)
        for k, row in enumerate(scores[e, t])
    ]


def naive(rng: np.random.Generator, cells: list[Cell], resamples: int) -> tuple[float, float]:
    """What is often done: seeds, then slices within each, drawn with replacement; the middle 95 % of the means."""
    means = []
    for task in {c.task for c in cells}:
        scores = np.array([list(c.slices.values()) or [c.value] for c in cells if c.task == task])
        n, z = scores.shape
        drawn = rng.integers(n, size=(resamples, n))
        slices = rng.integers(z, size=(resamples, n, z))
        means.append(scores[drawn[..., None], slices].mean((1, 2)))
    low, high = np.percentile(np.mean(means, axis=0), [2.5, 97.5])
    return float(low), float(high)


def true_ranks() -> dict[str, float]:
    """Mean ranks when every entry is at its truth: the equal ones share theirs."""
    return {
        e: 1 + sum(v > TRUTH[e] for v in TRUTH.values()) + (list(TRUTH.values()).count(TRUTH[e]) - 1) / 2 for e in TRUTH
    }


def one_table(rng: np.random.Generator, setting: Setting, resamples: int) -> dict[str, float]:
    """Shares of one table: of intervals that cover, of ties called different, of true differences found."""
    cells = synthetic(rng, setting)
    summary = summarise(cells, resamples=resamples)
    found = compare(cells, resamples=resamples)
    pairs = {frozenset((p.first, p.second)): p for p in found.pairs}
    ties = [pairs[frozenset(pair)] for pair in combinations(EQUAL, 2)]
    usual = [signed_rank(cells, *pair).over_slices for pair in combinations(EQUAL, 2)]
    plain = [naive(rng, [c for c in cells if c.entry == e], resamples) for e in TRUTH]
    ranks = true_ranks()
    shares = {
        "mean, 95 % interval covers": fmean(s[""].low <= TRUTH[e] <= s[""].high for e, s in summary.items()),
        "mean, naive percentile bootstrap covers": fmean(
            a <= TRUTH[e] <= b for e, (a, b) in zip(TRUTH, plain, strict=True)
        ),
        "difference, 95 % interval covers": fmean(
            p.difference.low <= TRUTH[p.first] - TRUTH[p.second] <= p.difference.high for p in found.pairs
        ),
        "ties with p below 5 %": fmean(p.p < 0.05 for p in ties),
        "ties with Wilcoxon over slices below 5 %": fmean((p if p is not None else 1) < 0.05 for p in usual),
        "tables with any tie called different (Holm)": float(any(p.p_holm < 0.05 for p in ties)),
        f"differences of {GAIN} found (p)": fmean(pairs[frozenset((e, "e4"))].p < 0.05 for e in EQUAL),
        f"differences of {2 * GAIN} found (Holm)": fmean(pairs[frozenset((e, "e5"))].p_holm < 0.05 for e in EQUAL),
        "half width of the mean": fmean((s[""].high - s[""].low) / 2 for s in summary.values()),
    }
    if not setting.slices:
        del shares["ties with Wilcoxon over slices below 5 %"]
    if not setting.entry_task_sd:  # otherwise entries truly differ on each task
        shares["mean rank, 95 % interval covers"] = fmean(i.low <= ranks[e] <= i.high for e, i in found.ranks.items())
    return shares


def measure(setting: Setting, tables: int, resamples: int, seed: int = 0) -> dict[str, float]:
    """Mean of `one_table` over many."""
    rng = np.random.default_rng(seed)
    total: dict[str, list[float]] = defaultdict(list)
    for _ in range(tables):
        for name, share in one_table(rng, setting, resamples).items():
            total[name].append(share)
    return {name: round(fmean(shares), 4) for name, shares in total.items()}


def markdown(rows: list[dict[str, object]]) -> str:
    """The table of docs/statistics.md."""
    columns = list(rows[0]["measured"])  # type: ignore[call-overload]
    cells = []
    for row in rows:
        measured: dict[str, float] = row["measured"]  # type: ignore[assignment]
        cells.append((str(row["table"]), *(percent(measured.get(column)) for column in columns)))
    return Table.of([Column("table", "text"), *map(Column, columns)], cells).to_markdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=400)
    parser.add_argument("--resamples", type=int, default=500)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/statistics-coverage.json"))
    args = parser.parse_args()
    rows: list[dict[str, object]] = []
    for setting in SETTINGS:
        rows.append(
            {
                "table": str(setting),
                "setting": asdict(setting),
                "measured": measure(setting, args.tables, args.resamples),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    command = f"python benchmarks/statistics_coverage.py --tables {args.tables} --resamples {args.resamples}"
    args.output.write_text(json.dumps({"command": command, "tables": args.tables, "rows": rows}, indent=1) + "\n")
    print(markdown(rows))


if __name__ == "__main__":
    main()

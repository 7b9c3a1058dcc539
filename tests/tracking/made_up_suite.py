"""A made-up suite: rows that are apart by known amounts, and alike in what makes a slice hard.

Also by hand: ``python -m tests.tracking.made_up_suite WORKSPACE`` writes its runs and its suite record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dabench.files.atomic import write_json, write_text
from dabench.tracking import CellFinished, CellStarted, Cost, CurveLog, Journal, Scored, StageFinished

#: Row -> method, optimizer, mean Dice, seconds of annotation.
ROWS: Mapping[str, tuple[str, str, float, float]] = {
    "source only": ("source-only", "none", 0.61, 0.0),
    "points": ("prompt-das", "none", 0.74, 60.0),
    "points + preferences": ("prefer-das", "slpo", 0.79, 260.0),
    "all labels": ("oracle", "none", 0.86, 900.0),
}
TASKS = {"human2stem": 0.0, "lucchi2vnc": -0.06}
SLICES = 40


def cell_id(row: str, task: str, seed: int) -> str:
    return f"{row.replace(' ', '-')}-{task}-s{seed}"


def write_cell(runs: Path, row: str, task: str, seed: int, *, status: str = "ok", suite: str = "made-up") -> str:
    """Write one run and return its cell id."""
    method, po, dice, seconds = ROWS[row]
    place = list(TASKS).index(task)
    rng = np.random.default_rng([list(ROWS).index(row), place, seed])
    hard = np.random.default_rng(place).normal(0, 0.04, SLICES)
    along = np.clip(dice + TASKS[task] + hard + rng.normal(0, 0.012) + rng.normal(0, 0.01, SLICES), 0, 1)
    name = cell_id(row, task, seed)
    source, target = task.split("2")
    tags = {"suite": suite, "task": task, "source": source, "target": target, "method": method, "po": po, "seed": seed}
    tags |= {"data": "phantom", "preset": "tiny", "protocol": "das-2d@1", "inference": "fast"}
    journal = Journal(runs / name)
    journal.append(CellStarted(name, tags, {"method": method, "po": po, "task": task, "seed": seed}, (), ("only",)))
    with CurveLog(runs / name / "curves" / "only.jsonl") as curve:
        for step in range(40):
            curve.append(step, {"loss": float(np.exp(-step / 15) + rng.normal(0, 0.02))})
    journal.append(StageFinished("only", f"key-{name}", False, 40, 90.0))
    journal.append(Cost(seconds + 4.0 * seed if seconds else 0.0))
    if status == "ok":
        metrics = {"dice": along, "aji": along - 0.14, "pq": along - 0.22}
        _per_slice(runs / name / "per_slice" / "only-das-2d@1-points0.csv", metrics)
        means = {name: float(values.mean()) for name, values in metrics.items()}
        journal.append(Scored("only", "test", "das-2d@1", "fast", 0.0, means, SLICES))
    reason = "" if status == "ok" else "the loss is not finite at update 7"
    journal.append(CellFinished(status, reason, 90.0 + seed, 400_000_000))
    return name


def _per_slice(path: Path, metrics: Mapping[str, Sequence[float] | np.ndarray]) -> None:
    lines = [f"{z}," + ",".join(str(float(values[z])) for values in metrics.values()) + "," for z in range(SLICES)]
    write_text(path, "\n".join(["slice," + ",".join(metrics) + ",left_out", *lines]) + "\n")


def write_suite(
    runs: Path, rows: Sequence[str] = tuple(ROWS), tasks: Sequence[str] = tuple(TASKS), seeds: int = 3
) -> dict[str, str]:
    """Write all cells; the row of each, as `dabench.suites.suite_record.cell_rows` gives it."""
    return {write_cell(runs, row, task, s): row for row in rows for task in tasks for s in range(seeds)}


if __name__ == "__main__":
    import sys

    workspace = Path(sys.argv[1])
    cells = [{"cell_id": c, "row": row, "excluded": ""} for c, row in write_suite(workspace / "runs").items()]
    write_json(workspace / "suites" / "made-up" / "manifest.json", {"name": "made-up", "cells": cells})

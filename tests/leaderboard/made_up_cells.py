"""Made-up cells with the scores that a test wants, as runs leave them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dabench.evaluation.scoring import write_rows
from dabench.files.atomic import write_json, write_text
from dabench.leaderboard.metric import Metric
from dabench.tracking import CellFinished, CellStarted, Cost, Journal, Scored, StageFinished

DICE, AJI, PQ = map(Metric, ("dice", "aji", "pq"))

USUAL = {
    "suite": "adhoc",
    "data": "phantom",
    "po": "none",
    "bracket": "none",
    "network": "promptable",
    "backbone": "tiny-conv",
    "preset": "tiny",
    "options": "none",
    "weak_labels": "none",
    "points": 0.0,
    "patches": 0.0,
    "rater": "none",
    "protocol": "das-2d@1",
    "inference": "fast",
    "intensity": "volume",
    "source_labels": "raw",
    "source_checkpoint": "none",
    "source_free": "false",
    "status": "running",
    "data_digest": "aaaa+bbbb+cccc",
    "device": "cpu",
}


def write_cell(
    runs: Path,
    method: str,
    task: str = "human2stem",
    seed: int = 0,
    slices: tuple[float, ...] = (0.8,),
    *,
    status: str = "ok",
    reason: str = "",
    cost: float = 0.0,
    seconds: float = 10.0,
    cell_id: str = "",
    test_points: tuple[float, ...] = (0.0,),
    origin: str = "",
    **tags: object,
) -> Path:
    """Write a cell whose slices have these Dice (AJI 0.1 less, PQ 0.2 less); 5 points more at each further share."""
    cell_id = cell_id or "-".join([method, *map(str, tags.values()), task, f"s{seed}"])
    run = runs / cell_id
    source, _, target = task.partition("2")
    named = {"method": method, "task": task, "source": source, "target": target, "seed": seed, "cell_id": cell_id}
    journal = Journal(run)
    params = {"test_points": list(test_points), "budget": {"seed": 0}}
    journal.append(CellStarted(cell_id, {**USUAL, **named, **tags}, params, (), ("only",)))
    if status == "ok":
        journal.append(StageFinished("only", "key", False, 10, seconds, 2**30))
        journal.append(Cost(cost))
        for number, share in enumerate(test_points):
            rows = [_slice(z, dice + 0.05 * number) for z, dice in enumerate(slices)]
            means = {name: float(np.mean([row[name] for row in rows])) for name in ("dice", "aji", "pq")}
            protocol = str(tags.get("protocol", USUAL["protocol"]))
            journal.append(Scored("only", "test", protocol, "fast", share, means, len(rows)))
            write_rows(run / "per_slice" / f"only-{protocol}-points{round(100 * share)}.csv", rows)
        write_text(run / "panels" / "slice-0000-median.png", "not really a picture")
    journal.append(CellFinished(status, reason, seconds, 2**30))
    if origin:
        write_json(run / "origin.json", {"origin": origin})
    return run


def three_seeds(runs: Path, method: str, task: str, level: float, **tags: object) -> None:
    """Seeds 0 to 2 with means of ``level`` less 0.02, ``level``, and more 0.02; four slices each."""
    for seed in range(3):
        mean = level + 0.02 * (seed - 1)
        write_cell(runs, method, task, seed, (mean - 0.02, mean - 0.01, mean + 0.01, mean + 0.02), **tags)


def _slice(z: int, dice: float) -> dict[str, object]:
    return {"slice": z, "dice": dice, "aji": dice - 0.1, "pq": dice - 0.2, "left_out": ""}

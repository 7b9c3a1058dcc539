"""A small suite with published numbers, and run directories for its cells as a run would leave them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dabench.files.atomic import write_text
from dabench.files.workspace import Workspace
from dabench.leaderboard.published.table import Result
from dabench.suites.spec import Suite, SuiteCell, expand
from dabench.tracking import CellFinished, CellStarted, Journal, Scored, StageFinished
from dabench.tracking.record import RunRecord
from dabench.tracking.run_reader import read_run

#: Theirs: paper preset on real data. Two tasks, a row that cannot run, one that is the first, one that is better.
CONTENT: dict[str, Any] = {
    "name": "toy",
    "title": "A toy table",
    "settings": {"data": "real", "preset": "paper", "inference": "paper"},
    "axes": {"task": ["human2stem", "rat2human"], "seed": [0, 1, 2]},
    "rows": {
        "outside": {"unavailable": "no plugin"},
        "start": {"method": "source-only", "test_points": [0, 1]},
        "better": {"method": "oracle", "test_points": [0, 1]},
    },
    "published": {
        "source": "Nobody, Table 1",
        "metrics": ["dice", "points_100/dice"],
        "note": "Made up.",
        "values": {
            "outside": {"human2stem": [10.0, 40.0]},
            "start": {"human2stem": [70.0, 72.0], "rat2human": [60.0, None]},
            "better": {"human2stem": [80.0, 81.0], "rat2human": [75.0, None]},
        },
    },
}
#: What ours is: tiny on phantoms.
CHANGES = {"data": "phantom", "preset": "tiny", "inference": "fast"}


def toy(**changes: Any) -> Suite:
    """The suite, keys of the file replaced."""
    return Suite.model_validate({**json.loads(json.dumps(CONTENT)), **changes})


def write_cell(
    runs: Path,
    cell: SuiteCell,
    dice: float | None,
    *,
    prompted: float | None = None,
    stages: tuple[tuple[str, str], ...] = (("only", "key"),),
    slices: tuple[float, ...] = (),
    answers: list[dict[str, Any]] | None = None,
) -> RunRecord:
    """A finished run of a cell. ``stages`` are names and keys; every stage but the last scores half of the last."""
    config = cell.config
    run = runs / config.cell_id
    journal = Journal(run)
    tags = {"task": config.task, "seed": config.seed, "protocol": config.protocol, "inference": config.inference}
    journal.append(CellStarted(config.cell_id, tags, {}, stages=tuple(name for name, _ in stages)))
    for name, key in stages:
        journal.append(StageFinished(name, key, False, 1, 1.0, 1))
        score = dice if name == stages[-1][0] else dice and dice / 2
        if score is not None:
            journal.append(Scored(name, "test", config.protocol, config.inference, 0.0, {"dice": score}, 4))
    if prompted is not None:
        journal.append(Scored(stages[-1][0], "test", config.protocol, config.inference, 1.0, {"dice": prompted}, 4))
    journal.append(CellFinished("ok", "", 1.0))
    if slices:
        body = "".join(f"{z},{value},\n" for z, value in enumerate(slices))
        name = f"{stages[-1][0]}-{config.protocol}-points0.csv"
        write_text(run / "per_slice" / name, f"slice,dice,left_out\n{body}{len(slices)},,empty on both sides\n")
    if answers is not None:
        lines = "".join(json.dumps(answer) + "\n" for answer in answers)
        write_text(run / "annotation" / "preferences.jsonl", lines)
    return read_run(run)


def results(suite: Suite, workspace: Workspace, dice: dict[str, list[float]]) -> list[Result]:
    """Results of a suite: ``dice`` by row, a value a seed, on every task; rows that are not there have not run."""
    found = []
    for cell in expand(suite):
        values = dice.get(cell.row, [])
        if cell.config.seed >= len(values):
            found.append(Result(cell, "new"))
            continue
        value = values[cell.config.seed]
        run = write_cell(workspace.runs, cell, value, prompted=value + 0.01)
        found.append(Result(cell, "ok", run=run))
    return found

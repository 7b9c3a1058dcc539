"""How long a leaderboard of 10,000 cells takes: the index from nothing, a refresh without change, the whole command.

The first command computes the statistics, later ones find them in the index until a cell changes.

python benchmarks/leaderboard.py --output benchmarks/results/leaderboard.json
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dabench.files.workspace import Workspace
from dabench.leaderboard.gather import load
from dabench.leaderboard.index import Index
from dabench.tracking.environment import capture
from dabench.tracking.events import CellFinished, CellStarted, Cost, Scored, StageFinished, to_line

SLICES = 50
#: Made-up benchmarks; the product is the number of cells.
LAYOUTS = {
    "10 settings": {"settings": 10, "entries": 25, "tasks": 8, "seeds": 5},
    "1 setting": {"settings": 1, "entries": 250, "tasks": 8, "seeds": 5},
}
_METRICS = (("dice", 0.0), ("aji", 0.1), ("pq", 0.2))


def write_cell(runs: Path, place: tuple[int, int, int, int]) -> None:
    """One run folder, with the files and about the size of a real one's small files."""
    setting, entry, task, seed = place
    rng = random.Random(repr(place))
    level = 0.5 + 0.4 * entry / 250 + random.Random(f"{entry} {task}").gauss(0, 0.03) + rng.gauss(0, 0.02)
    rows = [min(max(level + rng.gauss(0, 0.05), 0.0), 1.0) for _ in range(SLICES)]
    name = f"method-{entry:03}-domain{task}2target-p{setting}-s{seed}"
    tags = {
        "cell_id": name,
        "suite": "made-up",
        "task": f"domain{task}2target",
        "data": "phantom",
        "method": f"method-{entry:03}",
        "po": "none",
        "bracket": "lower" if entry == 0 else "none",
        "network": "promptable",
        "backbone": "conv-small",
        "preset": f"p{setting}",
        "points": 0.15 if entry % 2 else 0.0,
        "patches": 0.0,
        "rater": "simulated:0" if entry % 2 else "none",
        "seed": seed,
        "protocol": "das-2d@1",
        "inference": "fast",
        "data_digest": "aaaaaaaa+bbbbbbbb+cccccccc",
        "device": "cpu",
    }
    means = {metric: statistics.fmean(r - less for r in rows) for metric, less in _METRICS}
    events = [
        CellStarted(name, tags, {"test_points": [0.0], "budget": {"seed": 0}}, (), ("one", "two")),
        *(StageFinished(stage, f"{name}-{stage}", False, 1000, 300.0, 2**30) for stage in ("one", "two")),
        Cost(200.0 if entry % 2 else 0.0, 30),
        *(Scored(stage, "test", "das-2d@1", "fast", 0.0, means, SLICES) for stage in ("one", "two")),
        CellFinished("ok", "", 600.0 + entry, 2**30),
    ]
    folder = runs / name
    (folder / "per_slice").mkdir(parents=True)
    (folder / "panels").mkdir()
    (folder / "journal.jsonl").write_text("".join(to_line(event) + "\n" for event in events))
    lines = [f"{z},{','.join(str(r - less) for _, less in _METRICS)},\n" for z, r in enumerate(rows)]
    (folder / "per_slice" / "two-das-2d@1-points0.csv").write_text("slice,dice,aji,pq,left_out\n" + "".join(lines))
    for why in ("best", "median", "worst"):
        (folder / "panels" / f"slice-0000-{why}.png").touch()


def places(shape: dict[str, int]) -> list[tuple[int, int, int, int]]:
    counts = (range(shape[name]) for name in ("settings", "entries", "tasks", "seeds"))
    settings, entries, tasks, seeds = counts
    return [(p, e, t, s) for p in settings for e in entries for t in tasks for s in seeds]


def seconds_of(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(root: Path, shape: dict[str, int], repeats: int) -> dict[str, Any]:
    """Seconds of each step for one layout of run folders below ``root``."""
    workspace = Workspace(root)
    cells = places(shape)
    for place in cells:
        write_cell(workspace.runs, place)
    found: dict[str, Any] = {"cells": len(cells)}
    with Index(workspace) as index:
        found["index from nothing"] = seconds_of(index.refresh)
        found["index size, MB"] = (root / "index.db").stat().st_size / 1e6
        found["refresh, nothing changed"] = statistics.median(seconds_of(index.refresh) for _ in range(repeats))
        found["rows out of the index"] = statistics.median(seconds_of(index.rows) for _ in range(repeats))
    found["dabench leaderboard"] = {"first": command(root, []), "again": command(root, [], repeats)}
    found["dabench leaderboard --csv"] = {"again": command(root, ["--csv"], repeats)}
    found["pairs compared"] = sum(len(board.differences) for board in load(workspace).boards(shown=False))
    return found


def command(root: Path, options: list[str], repeats: int = 1) -> dict[str, float]:
    """Wall and processor seconds of a command, start of Python and all: on a busy machine the two differ."""
    arguments = [sys.executable, "-m", "dabench.cli.main", "--workspace", str(root), "leaderboard", *options]
    wall, processor = [], []
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        wall.append(
            seconds_of(lambda: subprocess.run(arguments, stdout=subprocess.DEVNULL, check=True, env=os.environ))
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processor.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {"wall": statistics.median(wall), "processor": statistics.median(processor)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--layout", choices=list(LAYOUTS), action="append")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/leaderboard.json"))
    args = parser.parse_args()
    environment = capture()
    layouts = {}
    for name in args.layout or LAYOUTS:
        with tempfile.TemporaryDirectory() as folder:
            layouts[name] = measure(Path(folder), LAYOUTS[name], args.repeats)
    content = {
        "what": "seconds of wall time, medians",
        "machine": {k: environment[k] for k in ("cpu", "cores", "torch")},
        "git": environment["git"],
        "load of the machine meanwhile": os.getloadavg()[1],
        "slices": SLICES,
        "layouts": layouts,
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(content, indent=1) + "\n")
    print(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()

"""The recorded table: every method on real tasks, several seeds.

Runs every cell through the command line (finished stages are reused, so it can be stopped and started again), then
writes mean, standard deviation, the share of the source-to-oracle gap that each row closes, training time and memory.
A cell that fails is named and left out; the rest goes on. `--keep` takes the cells that are not run now from an earlier
table; every cell names its commit.

    python benchmarks/real_tasks.py --tasks vnc2lucchi lucchi2vnc --seeds 0 1 2

Phantoms, never in one table with the others:

    python benchmarks/real_tasks.py --tasks human2stem rat2human --seeds 0 --preset tiny \\
        --output benchmarks/results/phantom-tiny.json -- --data phantom
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

METRICS = ("dice", "aji", "pq")
#: Training time as a multiple of source-only's of the same task, seed and run; bytes.
COSTS = ("relative_time", "peak_memory_bytes")
#: row -> arguments of the cell, in the order in which they are run: what others build on comes first.
ROWS: dict[str, list[str]] = {
    "source-only": ["--method", "source-only"],
    "prompt-das 0 %": ["--method", "prompt-das", "--points", "0"],
    "prompt-das 15 %": ["--method", "prompt-das"],
    "prefer-das upo 0 %": ["--method", "prefer-das", "--po", "upo", "--points", "0"],
    "prefer-das upo": ["--method", "prefer-das", "--po", "upo"],
    "prefer-das gpo": ["--method", "prefer-das", "--po", "gpo"],
    "prefer-das slpo": ["--method", "prefer-das", "--po", "slpo"],
    "prefer-das lpo": ["--method", "prefer-das", "--po", "lpo", "--test-points", "0,1"],
    "oracle": ["--method", "oracle"],
    "source-pairs": ["--method", "source-pairs"],
    "adaptsegnet": ["--method", "adaptsegnet"],
    "damt-net": ["--method", "damt-net"],
    "sac": ["--method", "sac"],
    "ualr": ["--method", "ualr"],
    "da-isc": ["--method", "da-isc"],
    "cafa": ["--method", "cafa"],
    "wda-net 0 %": ["--method", "wda-net", "--points", "0"],
    "wda-net 15 %": ["--method", "wda-net"],
    "ipl 0 %": ["--method", "ipl", "--points", "0"],
    "ipl 15 %": ["--method", "ipl"],
}


def run_cell(row: str, task: str, seed: int, preset: str, extra: list[str]) -> dict[str, Any] | None:
    """One cell through ``dabench run --json``; None, and the reason on the terminal, when it fails."""
    command = [sys.executable, "-m", "dabench.cli.main", "run", "--task", task, "--seed", str(seed), "--preset", preset]
    command += [*ROWS[row], "--json", *extra]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={"OMP_NUM_THREADS": "1", **os.environ}
    )
    if done.returncode:
        print(f"{row}, {task}, seed {seed} failed:\n{done.stderr[-2000:]}", file=sys.stderr, flush=True)
        return None
    cell: dict[str, Any] = json.loads(done.stdout)
    metrics = cell["metrics"]
    if cell["status"] != "ok":
        print(f"{row}, {task}, seed {seed}: {cell['status']}, {cell['reason']}", file=sys.stderr, flush=True)
        return None
    print(f"{task} s{seed} {row:<20} dice {metrics['target_test/dice']:.4f}", flush=True)
    return {
        "row": row,
        "task": task,
        "seed": seed,
        "cell_id": cell["cell_id"],
        **{m: metrics[f"target_test/{m}"] for m in METRICS},
        **{
            f"{m}_points_100": metrics[f"target_test/points_100/{m}"]
            for m in METRICS
            if f"target_test/points_100/{m}" in metrics
        },
        "annotation_seconds": metrics["cost/annotation_seconds"],
        "train_seconds": metrics["cost/train_seconds"],
        "peak_memory_bytes": metrics["cost/peak_memory_bytes"],
        "git_commit": cell["tags"]["git_commit"],
    }


def add_relative_times(cells: list[dict[str, Any]]) -> None:
    """Writes ``relative_time`` into cells of one run; machines and their other load differ from run to run.

    A cell without a source-only cell of its task and seed in the same run has none.
    """
    base = {(c["task"], c["seed"]): c["train_seconds"] for c in cells if c["row"] == "source-only"}
    for cell in cells:
        if (cell["task"], cell["seed"]) in base:
            cell["relative_time"] = cell["train_seconds"] / base[cell["task"], cell["seed"]]


def summarise(cells: list[dict[str, Any]], tasks: list[str]) -> list[dict[str, Any]]:
    """Per row: mean and sd over seeds a task, and the share of the Dice gap closed, a task and over the tasks."""
    rows = []
    names = [(row, "") for row in ROWS] + [("prefer-das lpo", "_points_100")]
    brackets = {t: [_mean(cells, t, r, "dice") for r in ("source-only", "oracle")] for t in tasks}
    for row, suffix in names:
        entry: dict[str, Any] = {"row": row + (" + all test points" if suffix else ""), "tasks": {}}
        shares = []
        for task in tasks:
            source, oracle = brackets[task]
            found = {m: _values(cells, task, row, m + suffix) for m in METRICS}
            stats = {
                m: {"mean": statistics.fmean(v), "sd": statistics.stdev(v) if len(v) > 1 else 0.0}
                for m, v in found.items()
                if v
            }
            if not stats:
                continue
            share = (stats["dice"]["mean"] - source) / (oracle - source)
            spent = {c: statistics.fmean(v) for c in COSTS if (v := _values(cells, task, row, c))}
            entry["tasks"][task] = {**stats, **spent, "gap_closed": share, "n": len(found["dice"])}
            shares.append(share)
        entry["gap_closed"] = statistics.fmean(shares) if shares else None
        rows.append(entry)
    return rows


def _name(cell: dict[str, Any]) -> tuple[str, str, int]:
    return cell["row"], cell["task"], cell["seed"]


def _values(cells: list[dict[str, Any]], task: str, row: str, key: str) -> list[float]:
    return [c[key] for c in cells if c["task"] == task and c["row"] == row and key in c]


def _mean(cells: list[dict[str, Any]], task: str, row: str, key: str) -> float:
    return statistics.fmean(_values(cells, task, row, key))


def markdown(rows: list[dict[str, Any]], tasks: list[str]) -> str:
    """The summary as a table: Dice / AJI / PQ in percent, mean ± sd; a row with fewer seeds than others says so."""
    columns = ("Dice", "AJI", "PQ", "gap", "time", "GiB")
    head = ["row", *[f"{t} {column}" for t in tasks for column in columns], "gap, mean"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    most = max((found["n"] for row in rows for found in row["tasks"].values()), default=0)
    for row in rows:
        if not row["tasks"]:
            continue
        counts = {found["n"] for found in row["tasks"].values()}
        line = [row["row"] if counts == {most} else f"{row['row']} (seeds: {', '.join(map(str, sorted(counts)))})"]
        for task in tasks:
            found = row["tasks"].get(task)
            if found is None:
                line += [""] * len(columns)
                continue
            line += [_percent(found[m], found["n"]) for m in METRICS]
            line.append(f"{100 * found['gap_closed']:.0f} %")
            line.append(f"x{found['relative_time']:.1f}" if "relative_time" in found else "")
            line.append(f"{found['peak_memory_bytes'] / 2**30:.1f}")
        line.append("" if row["gap_closed"] is None else f"{100 * row['gap_closed']:.0f} %")
        lines.append("| " + " | ".join(line) + " |")
    return "\n".join(lines) + "\n"


def _percent(found: dict[str, float], n: int) -> str:
    """Mean ± sd in percent; of one seed there is no sd."""
    mean, sd = 100 * found["mean"], 100 * found["sd"]
    return f"{mean:.1f} ± {sd:.1f}" if n > 1 else f"{mean:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", default=["vnc2lucchi", "lucchi2vnc"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--preset", default="small")
    parser.add_argument("--rows", nargs="*", default=list(ROWS), help="none: summarise what --keep has")
    parser.add_argument("--keep", type=Path, help="an earlier table: cells of rows that are not run now")
    parser.add_argument("--jobs", type=int, default=2, help="tasks run side by side")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/real-small.json"))
    parser.add_argument("extra", nargs="*", help="further arguments of dabench run, after --")
    args = parser.parse_args()

    def lane(task: str) -> list[dict[str, Any] | None]:
        return [run_cell(row, task, seed, args.preset, args.extra) for seed in args.seeds for row in args.rows]

    kept = json.loads(args.keep.read_text()) if args.keep else {"preset": args.preset, "cells": []}
    if kept["preset"] != args.preset:
        raise SystemExit(f"{args.keep} has preset {kept['preset']}, not {args.preset}: they share no table.")
    with ThreadPoolExecutor(args.jobs) as pool:
        found = [cell for cells in pool.map(lane, args.tasks) for cell in cells]
    missing = sum(cell is None for cell in found)
    add_relative_times([cell for cell in found if cell is not None])
    new = [cell for cell in found if cell is not None]
    done = {_name(cell) for cell in new}
    cells = [cell for cell in kept["cells"] if _name(cell) not in done] + new
    rows = summarise(cells, args.tasks)
    content = {
        "command": " ".join(["python", *sys.argv]),
        "preset": args.preset,
        "tasks": args.tasks,
        "cells": cells,
        "summary": rows,
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(content, indent=1) + "\n")
    args.output.with_suffix(".md").write_text(markdown(rows, args.tasks))
    print(markdown(rows, args.tasks))
    if missing:
        raise SystemExit(f"{missing} cells failed; see above")


if __name__ == "__main__":
    main()

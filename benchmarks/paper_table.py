"""Record a paper's table: ours beside theirs, every cell, what sharing stages saved, and who cannot be told apart.

Runs `dabench reproduce` (what is done is not done again), then writes down what it, the leaderboard and the plan say.
Run it in the workspace and with the code that the cells were run with, or they are stale.

    python benchmarks/paper_table.py prefer-das/table-2 --output benchmarks/results/prefer-das-table-2.json \\
        --diagram docs/images/prefer-das-table-2.svg -- \\
        --preset small --tasks vnc2lucchi,lucchi2vnc --seeds 0,1,2 --set inference=fast
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from dabench.files.workspace import Workspace
from dabench.leaderboard.gather import load
from dabench.tracking.environment import capture

KEPT = ("cell_id", "task", "seed", "status", "git_commit", "snapshots")
NUMBERS = (
    "target_test/dice",
    "target_test/aji",
    "target_test/pq",
    "cost/annotation_seconds",
    "cost/train_seconds",
    "cost/peak_memory_bytes",
)


def dabench(*arguments: str) -> str:
    """What a command prints. Stops where it fails."""
    command = [sys.executable, "-m", "dabench.cli.main", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def cells(name: str) -> list[dict[str, Any]]:
    """Every cell of the suite: its row, what it is, its numbers."""
    rows = csv.DictReader(io.StringIO(dabench("leaderboard", "--suite", name, "--csv")))
    return [
        {
            "row": row["entry"],
            **{key: row[key] for key in KEPT},
            **{key: float(row[key]) if row[key] else None for key in NUMBERS},
        }
        for row in rows
    ]


def board(name: str) -> dict[str, Any]:
    """Ranks, groups and paired differences by Dice."""
    (found,) = json.loads(dabench("leaderboard", "--suite", name, "--json"))["boards"]
    standings = [
        {key: row[key] for key in ("entry", "overall", "rank", "groups", "annotation_seconds", "train_seconds")}
        for row in found["standings"]
    ]
    return {"standings": standings, "differences": found["differences"], "notes": found["notes"]}


def savings(name: str, options: list[str]) -> dict[str, Any]:
    """Updates and measured seconds of training, with common stages once and of all cells run alone."""
    updates = json.loads(dabench("reproduce", name, *options, "--dry-run", "--json"))["updates"]
    seconds = json.loads(dabench("suite", "status", name, *options, "--json"))["training_seconds"]
    return {"updates": updates, "training_seconds": seconds}


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """What is ours, and after ``--`` what `dabench reproduce` is asked with."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at], arguments[at + 1 :]


def main() -> None:
    """Record one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="A suite with published numbers.")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--diagram", type=Path, help="Where the critical-difference diagram goes (SVG).")
    own, options = split(sys.argv[1:])
    given = parser.parse_args(own)
    asked = ["reproduce", given.name, *options]
    tables = json.loads(dabench(*asked, "--json"))
    report = {
        "command": " ".join(["dabench", *asked]),
        "environment": capture(),
        "savings": savings(given.name, options),
        "tables": tables,
        "markdown": dabench(*asked, "--no-run", "--markdown"),
        "board": board(given.name),
        "cells": cells(given.name),
    }
    given.output.write_text(json.dumps(report, indent=1) + "\n")
    if given.diagram:
        (shown,) = load(Workspace.find(), by="dice", suite=given.name).boards(with_figures=True)
        given.diagram.write_text(shown.figures["Critical differences"])


if __name__ == "__main__":
    main()

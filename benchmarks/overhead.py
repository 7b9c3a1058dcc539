"""What dabench itself costs: start of the command line, and the runner's share of a cell.

python benchmarks/overhead.py --output benchmarks/results/overhead.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from dabench.components.registry import Registry
from dabench.files.workspace import Workspace
from dabench.runs.config import validate_config
from dabench.runs.runner import run_cell
from dabench.tracking.environment import capture
from dabench.tracking.mlflow_writer import MlflowWriter

CELL = {
    "method": "prefer-das",
    "po": "slpo",
    "task": "human2stem",
    "data": "phantom",
    "preset": "tiny",
    "options": {
        "source-only": {"iterations": 20, "crop": 96},
        "prompt-das": {"iterations": 20, "recalibrate": 2},
        "prefer-das": {"iterations": 20},
    },
}


def command_seconds(arguments: list[str], repeats: int) -> float:
    """Median wall seconds of a command, after one warm-up."""
    seconds = []
    for n in range(repeats + 1):
        started = time.perf_counter()
        command = [sys.executable, "-m", "dabench.cli.main", *arguments]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=os.environ)
        if n:
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def cell_seconds(root: Path) -> dict[str, float]:
    """A small cell from nothing, the same cell with everything reused, and writing it to MLflow."""
    config, registry, workspace = validate_config(CELL), Registry.load(), Workspace(root)
    found: dict[str, float] = {}
    for name in ("from nothing", "all reused"):
        started = time.perf_counter()
        record = run_cell(config, registry, workspace)
        found[name] = time.perf_counter() - started
        if name == "from nothing":
            found["of which updates"] = record.metrics["cost/train_seconds"]
            found |= {
                f"of which {k.removeprefix('time/')}": v for k, v in record.metrics.items() if k.startswith("time/")
            }
    writer = MlflowWriter(workspace.tracking_uri, workspace.artifacts)
    for name in ("MLflow, first run (makes the store)", "MLflow, unchanged run"):
        started = time.perf_counter()
        writer.write(record)
        found[name] = time.perf_counter() - started
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/overhead.json"))
    args = parser.parse_args()
    environment = capture()
    commands: dict[str, Any] = {
        " ".join(["dabench", *c]): command_seconds(c, args.repeats) for c in (["--help"], ["run", "--help"], ["ls"])
    }
    with tempfile.TemporaryDirectory() as folder:
        cell = cell_seconds(Path(folder))
    content = {
        "what": "seconds of wall time",
        "machine": {k: environment[k] for k in ("cpu", "cores", "torch")},
        "git": environment["git"],
        "commands": commands,
        "cell of 3 stages x 20 updates": cell,
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(content, indent=1) + "\n")
    print(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()

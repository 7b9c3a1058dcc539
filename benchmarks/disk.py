"""What tiny cells take on disk, by part: python benchmarks/disk.py WORKSPACE [--json]

Runs a suite of three methods (one, two and three stages) on one phantom task where it was not run yet, then adds up
files. A file with several names counts once, for the run directory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

SUITE = """
name: disk
settings: {data: phantom, preset: tiny, task: human2stem}
axes: {seed: [0]}
rows:
  source-only: {method: source-only}
  prompt-das: {method: prompt-das}
  slpo: {method: prefer-das, po: slpo}
"""


def size(paths: Iterable[Path], seen: set[int]) -> int:
    total = 0
    for path in (p for p in paths if p.is_file()):
        stat = path.stat()
        if stat.st_ino not in seen:
            seen.add(stat.st_ino)
            total += stat.st_size
    return total


def parts(root: Path) -> dict[str, int]:
    """Bytes by part, each file once."""
    seen: set[int] = set()
    runs, stages = root / "runs", root / "stages"
    found = {
        "panels": size(runs.glob("*/panels/**/*"), seen),
        "predictions": size(runs.glob("*/predictions/*"), seen),
        "rest of the run directory": size(runs.rglob("*"), seen),
        "MLflow: own files": size((root / "mlartifacts").rglob("*"), seen),
        "MLflow: database": size(root.glob("mlflow.db*"), seen),
        "stages: predictions": size(stages.glob("*/predictions/*"), seen),
        "stages: memory": size(stages.glob("*/memory/**/*"), seen),
    }
    return found | {"stages: weights": size(stages.rglob("*"), seen), "rest": size(root.rglob("*"), seen)}


def main() -> None:
    root = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "disk.yaml"
        file.write_text(SUITE)
        command = [sys.executable, "-m", "dabench.cli.main", "--workspace", str(root), "suite", "run", str(file)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found, cells = parts(root), len(list((root / "runs").glob("*/journal.jsonl")))
    beside = sum(count for name, count in found.items() if not name.startswith(("stages", "MLflow: database")))
    result = {
        "cells": cells,
        "bytes": found,
        "beside_stages_a_cell": beside / cells,
        "all_a_cell": sum(found.values()) / cells,
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

"""What dabench itself costs: start of the command line, and the runner's share of a cell.

python benchmarks/overhead.py --output benchmarks/results/overhead.json
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dabench.components.registry import Registry
from dabench.files.digests import write_digests
from dabench.files.workspace import Workspace
from dabench.runs.config import validate_config
from dabench.runs.runner import run_cell
from dabench.tracking.environment import capture
from dabench.tracking.mlflow_writer import MlflowWriter
from dabench.training.store import StageFolder

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
DABENCH = ("-m", "dabench.cli.main")
STARTS = {
    "python -c pass": ("-c", "pass"),
    "import dabench": ("-c", "import dabench"),
    "dabench --help": (*DABENCH, "--help"),
    "dabench run --help": (*DABENCH, "run", "--help"),
    "dabench ls": (*DABENCH, "ls"),
}
#: What a first start lacks -> the variable that names the folder where it would lie, and the starts that it matters to.
CACHES = {
    "no bytecode": ("PYTHONPYCACHEPREFIX", ("python -c pass", "import dabench", "dabench --help")),
    "no listing": ("DABENCH_CACHE", ("dabench ls",)),
}


def start_seconds(arguments: tuple[str, ...], repeats: int, without: str = "") -> dict[str, float]:
    """Median seconds of a Python process: of wall time, and of its own CPU time, which hardly depends on the load.

    Args:
        arguments: of Python.
        repeats: starts that count; one more warms up.
        without: the variable that names a cache: every start gets an empty one.
    """
    wall, cpu = [], []
    for _ in range(repeats + 1):
        with tempfile.TemporaryDirectory() as empty:
            environment = {**os.environ, **({without: empty} if without else {})}
            started, before = time.perf_counter(), _cpu_seconds()
            subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True, env=environment)
            wall.append(time.perf_counter() - started)
            cpu.append(_cpu_seconds() - before)
    return {"wall": statistics.median(wall[1:]), "cpu": statistics.median(cpu[1:])}


def _cpu_seconds() -> float:
    """Of all processes that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def all_starts(root: Path, repeats: int) -> dict[str, dict[str, dict[str, float]]]:
    """Seconds of each start with everything cached, and without what a first start lacks."""
    del root
    found = {name: {"cached": start_seconds(arguments, repeats)} for name, arguments in STARTS.items()}
    for lacks, (variable, names) in CACHES.items():
        for name in names:
            found[name][lacks] = start_seconds(STARTS[name], repeats, variable)
    return found


def cell_seconds(root: Path, repeats: int) -> dict[str, float]:
    """A cell of 3 stages x 20 updates from nothing, the same cell with all reused, writing it to MLflow; each once."""
    del repeats
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


def check_seconds(root: Path, repeats: int) -> dict[str, float]:
    """Median seconds of checking the digests of a cached stage before it is reused, by size of its weights."""
    found = {}
    for megabytes in (1, 10, 100):
        folder, seconds = StageFolder(root, str(megabytes)), []
        folder.path.mkdir()
        folder.weights.write_bytes(os.urandom(megabytes * 1_000_000))
        write_digests(folder.path / "SHA256SUMS", [folder.weights])
        for _ in range(repeats):
            started = time.perf_counter()
            assert not folder.altered()
            seconds.append(time.perf_counter() - started)
        found[f"weights of {megabytes} MB"] = statistics.median(seconds)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="others keep what is recorded")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/overhead.json"))
    args = parser.parse_args()
    content = json.loads(args.output.read_text()) if args.output.is_file() else {}
    environment = capture()
    for part in args.parts:
        load = os.getloadavg()[0]
        with tempfile.TemporaryDirectory() as folder:
            seconds = PARTS[part](Path(folder), args.repeats)
        machine = {k: environment[k] for k in ("cpu", "cores", "torch")} | {"load before, one minute": load}
        content[part] = {"seconds": seconds, "machine": machine, "git": environment["git"]}
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(content, indent=1) + "\n")
    print(json.dumps(content, indent=1))


#: What is measured, in a folder of its own and so many times: medians, of wall time unless they say cpu.
PARTS: dict[str, Callable[[Path, int], Mapping[str, Any]]] = {
    "starts": all_starts,
    "cell": cell_seconds,
    "checks": check_seconds,
}

if __name__ == "__main__":
    main()

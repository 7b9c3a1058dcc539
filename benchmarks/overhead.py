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
from pathlib import Path

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


def all_starts(repeats: int) -> dict[str, dict[str, dict[str, float]]]:
    """Seconds of each start with everything cached, and without what a first start lacks."""
    found = {name: {"cached": start_seconds(arguments, repeats)} for name, arguments in STARTS.items()}
    for lacks, (variable, names) in CACHES.items():
        for name in names:
            found[name][lacks] = start_seconds(STARTS[name], repeats, variable)
    return found


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


def check_seconds(root: Path, repeats: int) -> dict[str, dict[str, float]]:
    """Median seconds that checking cached files takes before they are reused: of the cell's stages, and of 100 MB."""
    large = StageFolder(root / "large", "stage")
    large.path.mkdir(parents=True)
    large.weights.write_bytes(os.urandom(100_000_000))
    write_digests(large.path / "SHA256SUMS", [large.weights])
    stages = [StageFolder(path.parent, path.name) for path in Workspace(root).stages.iterdir() if path.is_dir()]
    found = {}
    for name, folders in {"stages of the cell": stages, "weights of 100 MB": [large]}.items():
        seconds = []
        for _ in range(repeats):
            started = time.perf_counter()
            assert not any(folder.altered() for folder in folders)
            seconds.append(time.perf_counter() - started)
        size = sum(folder.weights.stat().st_size for folder in folders)
        found[name] = {"MB of weights": size / 1e6, "seconds": statistics.median(seconds)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/overhead.json"))
    args = parser.parse_args()
    environment, load = capture(), {"before": os.getloadavg()[0]}
    starts = all_starts(args.repeats)
    with tempfile.TemporaryDirectory() as folder:
        cell = cell_seconds(Path(folder))
        checks = check_seconds(Path(folder), args.repeats)
    load["after"] = os.getloadavg()[0]  # its own processes are in it
    content = {
        "what": "seconds, medians; of wall time unless it says cpu",
        "machine": {**{k: environment[k] for k in ("cpu", "cores", "torch")}, "load of one minute": load},
        "git": environment["git"],
        "starts": starts,
        "cell of 3 stages x 20 updates": cell,
        "check of cached files": checks,
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(content, indent=1) + "\n")
    print(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()

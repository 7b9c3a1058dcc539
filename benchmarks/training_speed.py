"""Seconds an update of a method's last stage, of this code and of an earlier checkout, update by update in turn.

Each side is a process of one thread that waits while the other works, so both see the same load of the machine. The
stage is that of the preset, on an untrained parent and a synthetic volume. CPU seconds are what counts where the
machine is shared.

    git worktree add /tmp/before COMMIT
    python benchmarks/training_speed.py --before /tmp/before
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
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]


class Side:
    """A process that makes one update whenever it is asked to."""

    def __init__(self, checkout: Path, precision: str, method: str, preset: str) -> None:
        path = os.pathsep.join([str(checkout), str(checkout / "plugins")])
        command = [sys.executable, __file__, "--one", method, "--precision", precision, "--preset", preset]
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)

    def update(self) -> tuple[float, float]:
        """Wall and CPU seconds of one update."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        wall, cpu = json.loads(self._process.stdout.readline())
        return wall, cpu

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def answer(method: str, preset: str, precision: str) -> None:
    """One update for every line of standard input; its seconds on standard output."""
    from methods import SIDE, SLICES, stages_of

    from dabench.annotation.desk import AnnotationDesk
    from dabench.components.assembly import Assembly
    from dabench.components.registry import Registry
    from dabench.runs.config import RunConfig
    from dabench.runs.weights import WeightsStore
    from dabench.testing.fixtures import discs
    from dabench.testing.trial_run import Truth
    from dabench.training.loop import LoopOptions
    from dabench.training.sampling import LabelledSlices
    from dabench.training.train_stage import StageInputs, train_stage

    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("high")  # as runs do
    config = RunConfig(method=method, task="human2stem", data="phantom", preset=preset)
    assembly = Assembly(Registry.load(), config, WeightsStore(Path("none")))
    *_, (spec, stage, budget) = stages_of(assembly, method, 0.15)
    (source, labels), (target, truth) = discs(2, SLICES, SIDE), discs(1, SLICES, SIDE)
    desk = AnnotationDesk(Truth(truth), truth.shape, budget, assembly.weak_labels()).for_stage(spec.asks)
    with tempfile.TemporaryDirectory() as folder:
        inputs = StageInputs(0, desk, LabelledSlices(source, labels), target, kept=Path(folder) / "kept")
        options = LoopOptions(torch.device("cpu"), precision == "bfloat16", Path(folder) / "checkpoint.pt", 10**9)
        updates = train_stage(stage, replace(spec, iterations=10**6), inputs, options)
        for _ in sys.stdin:
            begun = time.perf_counter(), time.process_time()
            next(updates)
            print(json.dumps([time.perf_counter() - begun[0], time.process_time() - begun[1]]), flush=True)


def compare(method: str, args: argparse.Namespace) -> dict[str, Any]:
    """Medians of both sides over the same updates, and how many times faster the second is."""
    sides = {
        "before": Side(args.before, "float32", method, args.preset),
        "now": Side(ROOT, args.precision, method, args.preset),
    }
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    load = os.getloadavg()
    for number in range(args.warm_up + args.updates):
        for name, side in sides.items():
            spent = side.update()
            if number >= args.warm_up:
                seconds[name].append(spent)
    for side in sides.values():
        side.end()
    row: dict[str, Any] = {"method": method, "load": [load[0], os.getloadavg()[0]]}
    for place, clock in enumerate(("wall", "cpu")):
        medians = {name: statistics.median(s[place] for s in spent) for name, spent in seconds.items()}
        row[clock] = {**medians, "times": medians["before"] / medians["now"]}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", metavar="METHOD", help=argparse.SUPPRESS)
    parser.add_argument("--before", type=Path, help="checkout to compare with, in float32")
    parser.add_argument("--precision", default="bfloat16", choices=["float32", "bfloat16"], help="of this code")
    parser.add_argument("--methods", nargs="+", default=["prompt-das", "prefer-das"])
    parser.add_argument("--preset", default="small")
    parser.add_argument("--warm-up", type=int, default=10)
    parser.add_argument("--updates", type=int, default=30)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "training-speed.json")
    args = parser.parse_args()
    if args.one:
        answer(args.one, args.preset, args.precision)
        return
    if args.before is None:
        parser.error("--before CHECKOUT is what to compare with")
    from dabench.tracking.environment import capture, git_state

    rows = [compare(method, args) for method in args.methods]
    environment = capture()
    content = {
        "what": f"{args.preset}, last stage, one thread, {args.updates} updates after {args.warm_up}, in turn: "
        f"float32 before, {args.precision} now",
        "machine": {k: environment[k] for k in ("cpu", "cores", "torch")},
        "git": {"before": git_state(args.before), "now": environment["git"]},
        "rows": rows,
    }
    args.output.write_text(json.dumps(content, indent=1) + "\n")
    for row in rows:
        cpu = row["cpu"]
        print(f"{row['method']:<12} {cpu['before']:.3f} -> {cpu['now']:.3f} CPU s an update, {cpu['times']:.2f} times")


if __name__ == "__main__":
    main()

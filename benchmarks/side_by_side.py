"""The benchmarks of docs/benchmarks.md in two checkouts of dabench, in turn: did a change cost speed or memory?

Each benchmark is shortened, for only the ratio counts. Each round runs it once in both, the first alternating, so that
other load meets both. Processor seconds and memory are of all processes together.

python benchmarks/side_by_side.py BEFORE AFTER --rounds 3 --output benchmarks/results/side-by-side.json
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from statistics import median

from processes import adopt_orphans, commit, python

from dabench.tracking.environment import capture

BENCHMARKS: dict[str, tuple[str, ...]] = {
    "metrics": (),
    "network": ("--repeats", "1"),
    "methods": ("--updates", "2"),
    "inference": ("--side", "1024", "--rounds", "1", "--threads", "1"),
    "volumes": ("--slices", "16", "--factors", "1"),
    "leaderboard": ("--repeats", "1"),
    "annotation": ("--questions", "200"),
    "statistics_coverage": ("--tables", "20", "--resamples", "100"),
    "overhead": ("--repeats", "1"),
}
MEASURED = ("wall", "cpu", "memory")


def measure(name: str, checkouts: tuple[Path, Path], rounds: int) -> dict[str, list[dict[str, float]]]:
    """One benchmark: what it used, each round, before and after."""
    found: dict[str, list[dict[str, float]]] = {"before": [], "after": []}
    out = "--out" if name == "metrics" else "--output"
    for turn in range(rounds):
        for side, checkout in sorted(zip(found, checkouts, strict=True), reverse=turn % 2 == 0):
            with tempfile.TemporaryDirectory() as folder:
                ask = (f"benchmarks/{name}.py", *BENCHMARKS[name], out, f"{folder}/found.json")
                found[side].append(python(checkout, *ask, workspace=Path(folder)))
    return found


def main() -> None:
    """Measure, print and write after each benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--benchmarks", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    adopt_orphans()
    checkouts = (given.before.absolute(), given.after.absolute())
    record = {"before": commit(checkouts[0]), "after": commit(checkouts[1]), "rounds": given.rounds}
    record |= {"environment": capture(), "benchmarks": {}}
    for name in given.benchmarks:
        rounds = measure(name, checkouts, given.rounds)
        middle = {side: {m: median(one[m] for one in used) for m in MEASURED} for side, used in rounds.items()}
        ratio = {m: round(middle["after"][m] / middle["before"][m], 3) for m in MEASURED}
        record["benchmarks"][name] = {"median": middle, "ratio": ratio, "rounds": rounds, "load": os.getloadavg()}
        print(name, ratio, flush=True)
        if given.output:
            given.output.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

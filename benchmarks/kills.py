"""What a kill costs: a cell is killed (SIGKILL) at random moments and started again, until it was killed often enough.

python benchmarks/kills.py --kills 40 --output benchmarks/results/kills.json

Each time that it comes to its end it is compared with a run that nobody killed, and begun anew in another workspace.
Processes are forked from one that has imported everything, so that kills hit work and not imports.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch

from dabench.components.registry import Registry
from dabench.errors import DataError
from dabench.files.digests import digest_file
from dabench.files.workspace import Workspace
from dabench.runs.config import RunConfig, validate_config
from dabench.runs.runner import run_cell
from dabench.tracking.environment import capture
from dabench.tracking.run_reader import read_run

CELL = {
    "method": "prefer-das",
    "po": "slpo",
    "task": "human2stem",
    "data": "phantom",
    "preset": "tiny",
    "checkpoint_every": 2,
    "options": {
        "source-only": {"iterations": 8, "crop": 64, "batch": 2},
        "prompt-das": {"iterations": 6, "recalibrate": 2},
        "prefer-das": {"iterations": 6, "batch": 2, "source_batch": 1},
    },
}
#: Kills come after a random share of the time that a whole run takes, between these.
EARLIEST, LATEST = 0.02, 0.9
#: Files that say when and how fast; all others have to be the same byte for byte.
TIMED = ("receipt.json", "journal.jsonl", "environment.json")


def begin(config: RunConfig, registry: Registry, place: Path) -> int:
    """A process that runs the cell; its id."""
    child = os.fork()
    if child:
        return child
    try:
        run_cell(config, registry, Workspace(place))
        os._exit(0)
    except BaseException as error:
        (place / "failed.txt").write_text(f"{type(error).__name__}: {error}")
        os._exit(1)


def outcome(place: Path) -> dict[str, str]:
    """Digests of the final weights by stage, and of every file of the run but pictures and those that tell times."""
    stages = {json.loads(p.read_text())["name"]: p.parent for p in place.glob("stages/*/stage.json")}
    found = {f"weights {name}": digest_file(folder / "model.safetensors") for name, folder in stages.items()}
    (run,) = (p.parent for p in place.glob("runs/*/journal.jsonl"))
    files = (p for p in sorted(run.rglob("*")) if p.is_file() and p.name not in TIMED and p.suffix != ".png")
    return found | {p.relative_to(run).as_posix(): digest_file(p) for p in files}


def where(place: Path) -> str:
    """What a killed process was at, by what it left; "unreadable" where its journal cannot be read."""
    journal = next(place.glob("runs/*/journal.jsonl"), None)
    if journal is None:
        return "before the journal"
    try:
        run = read_run(journal.parent)
    except DataError:
        return "before the journal" if not journal.stat().st_size else "unreadable"
    return f"after {len(run.scores)} scores" if run.scores else f"stage {len(run.stages) + 1}"


def is_done(place: Path) -> bool:
    """Whether the run came to its end."""
    journal = next(place.glob("runs/*/journal.jsonl"), None)
    try:
        return journal is not None and read_run(journal.parent).status == "ok"
    except DataError:
        return False


def measure(kills: int, seed: int, root: Path) -> dict[str, Any]:
    """Kill and start again, and count what was lost."""
    torch.set_num_threads(1)
    config, registry, dice = validate_config(CELL), Registry.load(), random.Random(seed)
    started = time.monotonic()
    _, status = os.waitpid(begin(config, registry, root / "whole"), 0)
    assert status == 0, (root / "whole" / "failed.txt").read_text()
    whole, expected = time.monotonic() - started, outcome(root / "whole")
    hit: Counter[str] = Counter()
    rounds, other, failed = 0, [], []
    while sum(hit.values()) < kills:
        place = root / f"round-{rounds}"
        while not is_done(place):
            last = sum(hit.values()) >= kills
            child = begin(config, registry, place)
            if not last:
                time.sleep(whole * dice.uniform(EARLIEST, LATEST))
                os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            if os.WIFSIGNALED(status):
                hit[where(place)] += 1
            elif status:
                failed.append((place / "failed.txt").read_text())
                break
        else:
            rounds += 1
            found = outcome(place)
            other += [f"{place.name}: {n}" for n in sorted(expected.keys() | found) if expected.get(n) != found.get(n)]
            continue
        break
    return {
        "kills": sum(hit.values()),
        "killed at": dict(sorted(hit.items())),
        "rounds that came to their end": rounds,
        "files compared a round": len(expected),
        "files that are others": other,
        "starts that failed": failed,
        "seconds of a whole run": whole,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/kills.json"))
    args = parser.parse_args()
    environment = capture()
    with tempfile.TemporaryDirectory() as folder:
        content = measure(args.kills, args.seed, Path(folder))
    content["machine"] = {name: environment[name] for name in ("cpu", "cores", "torch")}
    args.output.write_text(json.dumps({**content, "git": environment["git"]}, indent=1) + "\n")
    print(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()

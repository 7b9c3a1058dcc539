"""Wall and processor seconds of `dabench predict --jobs` in several checkouts of dabench, in turn on one volume.

The volume is a phantom domain's; the model is trained by each checkout for a few updates, with the same settings. Each
round predicts with every checkout once, so that other load meets all of them. Outputs are compared array by array.

python benchmarks/predict_jobs.py BEFORE AFTER --rounds 3 --jobs 2 --output benchmarks/results/predict-jobs.json
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import zarr
from processes import adopt_orphans, commit, python

from dabench.files.digests import digest_of
from dabench.tracking.environment import capture

TRAINED = ("--method", "source-only", "--task", "human2stem", "--data", "phantom", "--preset", "tiny")
TRAINED += ("--tracker", "none", "--set", "source-only.iterations=4")


def dabench(checkout: Path, workspace: Path, *arguments: str) -> dict[str, float]:
    """A command of a checkout; see `python`."""
    return python(checkout, "-m", "dabench.cli.main", *arguments, workspace=workspace)


def content(path: Path) -> str:
    """Digest of every array of an output."""
    group = zarr.open_group(path, mode="r")
    arrays = [
        (name, member) for name, member in sorted(group.members(max_depth=None)) if isinstance(member, zarr.Array)
    ]
    return digest_of([(name, member[:].tobytes().hex()) for name, member in arrays])  # type: ignore[index, union-attr]


def measure(checkouts: Sequence[Path], rounds: int, jobs: int, chunk: str, folder: Path) -> list[dict[str, Any]]:
    """All rounds of all checkouts; a checkout's outputs are equal in all rounds."""
    scan, models = folder / "scan.zarr", list[Path]()
    dabench(checkouts[-1], folder / "data", "data", "export", "phantom-stem", "--output", str(scan))
    for number, checkout in enumerate(checkouts):
        dabench(checkout, folder / str(number), "run", *TRAINED)
        models += (folder / str(number) / "runs").glob("source-only-*s0-????????")
    found = []
    for turn in range(rounds):
        for number, (checkout, model) in enumerate(zip(checkouts, models, strict=True)):
            output = folder / f"{number}-{turn}.zarr"
            asked = ("--run", str(model), "--images", str(scan), "--output", str(output), "--device", "cpu")
            seconds = dabench(checkout, folder / str(number), "predict", *asked, "--jobs", str(jobs), "--chunk", chunk)
            found.append({"checkout": number, "round": turn, **seconds, "content": content(output)})
            print(found[-1], flush=True)
    return found


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkouts", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--chunk", default="4,256,256")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    checkouts = [path.absolute() for path in given.checkouts]
    adopt_orphans()
    with tempfile.TemporaryDirectory() as folder:
        rounds = measure(checkouts, given.rounds, given.jobs, given.chunk, Path(folder))
    summary = {
        commit(checkout): {
            name: round(median(one[name] for one in rounds if one["checkout"] == number), 2) for name in ("wall", "cpu")
        }
        for number, checkout in enumerate(checkouts)
    }
    record = {"jobs": given.jobs, "chunk": given.chunk, "load": os.getloadavg(), "median_seconds": summary}
    record |= {"equal": len({one["content"] for one in rounds}) == 1, "rounds": rounds, "environment": capture()}
    print(json.dumps(summary, indent=1))
    if given.output:
        given.output.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

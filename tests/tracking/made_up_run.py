"""A made-up run, as a two-stage cell would leave it; also run by hand: ``python made_up_run.py WORKSPACE/runs``."""

from __future__ import annotations

import math
from pathlib import Path

from dabench.files.atomic import write_json, write_text
from dabench.tracking import CellFinished, CellStarted, Cost, CurveLog, InputData, Journal, Phase, Scored, StageFinished

TAGS = {
    "suite": None,
    "task": "human2stem",
    "source": "human",
    "target": "stem",
    "data": "phantom",
    "method": "prefer-das",
    "po": "slpo",
    "backbone": "tiny-conv",
    "preset": "tiny",
    "weak_labels": "points+preferences",
    "points": 0.15,
    "patches": 0.2,
    "rater": "truth",
    "seed": 0,
    "protocol": "das-2d@1",
    "inference": "fast",
    "config_hash": "c0ffee",
    "data_digest": "d1",
    "weights_digest": "w1",
    "git_commit": "abc1234",
    "plugin_versions": "prefer-das=0.1.0",
    "env_digest": "e1",
    "device": "cpu",
}
PARAMS = {
    "task": "human2stem",
    "seed": 0,
    "method": {"name": "prefer-das", "settings": {"beta": 0.1, "levels": [0.3, 0.5, 0.7]}},
    "note": "x" * 13_000,
}


def scored(stage: str, dice: float, **changes: object) -> Scored:
    values = {
        "split": "test",
        "protocol": "das-2d@1",
        "inference": "fast",
        "test_points": 0.0,
        "metrics": {"dice": dice, "aji": dice - 0.1, "pq": dice - 0.2},
        "n": 8,
    }
    return Scored(stage=stage, **{**values, **changes})


def write_run(runs: Path, cell_id: str = "cell-1", *, status: str = "ok", dice: float = 0.8, **tags: object) -> Path:
    """Write a finished run below ``runs`` and return its directory."""
    run = runs / cell_id
    journal = Journal(run)
    inputs = (InputData("human/train", "a" * 64, "training", "phantom"), InputData("stem/test", "b" * 64, "test"))
    journal.append(CellStarted(cell_id, {**TAGS, **tags}, PARAMS, inputs, ("prompt-das", "slpo")))
    for stage, updates in (("prompt-das", 900), ("slpo", 40)):
        with CurveLog(run / "curves" / f"{stage}.jsonl") as curve:
            for step in range(updates):
                curve.append(step, {"loss": math.exp(-step / 300), "seg": 0.5 / (1 + step)})
        journal.append(StageFinished(stage, f"key-{stage}", stage == "prompt-das", updates, 12.5, 3_000_000))
    journal.append(Cost(75.0, 25, 10))
    journal.append(scored("prompt-das", dice - 0.1))
    journal.append(scored("slpo", dice))
    journal.append(scored("slpo", 0.9, test_points=1.0))
    journal.append(scored("slpo", 0.7, protocol="das-2d-pooled@1"))
    journal.append(scored("slpo", 0.95, split="train"))
    journal.append(Phase("train", 25.0))
    journal.append(Phase("score", 1.0))
    journal.append(Phase("score", 0.5))
    write_json(run / "config.json", PARAMS)
    write_json(run / "environment.json", {"python": "3.11"})
    write_json(run / "receipt.json", {"outputs": {}})
    write_text(run / "per_slice" / "das-2d@1-0.csv", "z,dice\n0,0.8\n")
    write_text(run / "panels" / "z000.png", "not really a picture")
    write_text(run / "predictions" / "slpo.tif", "large")
    reason = "" if status == "ok" else "loss became NaN at step 7"
    journal.append(CellFinished(status, reason, 25.0, 3_000_000))
    return run


if __name__ == "__main__":
    import sys

    write_run(Path(sys.argv[1]))

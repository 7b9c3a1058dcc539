"""Killed at any moment and started again, a run ends with the same bits as one that was not."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dabench.files.digests import digest_file

ARGUMENTS = "run --method prefer-das --po slpo --task human2stem --data phantom --preset tiny --tracker none".split()
SETTINGS = {
    "source-only.iterations": 14,
    "source-only.crop": 64,
    "source-only.batch": 2,
    "prompt-das.iterations": 10,
    "prompt-das.crop": 64,
    "prompt-das.recalibrate": 2,
    "prefer-das.iterations": 8,
    "prefer-das.batch": 2,
    "checkpoint_every": 3,
}
ARGUMENTS += [part for name, value in SETTINGS.items() for part in ("--set", f"{name}={value}")]


def start(workspace: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "DABENCH_WORKSPACE": str(workspace)}
    command = [sys.executable, "-m", "dabench.cli.main", *ARGUMENTS]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()


def outcome(workspace: Path) -> dict[str, object]:
    """Digests of all final weights, and the metrics but for times."""
    stages = {
        json.loads(p.read_text())["name"]: digest_file(p.parent / "model.safetensors")
        for p in workspace.glob("stages/*/stage.json")
    }
    receipt = json.loads(next(workspace.glob("runs/*/receipt.json")).read_text())
    scores = {
        name: digest for name, digest in receipt["outputs"].items() if name.startswith(("per_slice", "predictions"))
    }
    return {"weights": stages, "scores": scores}


@pytest.mark.slow
def test_five_kills_change_no_bit(tmp_path: Path) -> None:
    started = time.monotonic()
    finish(start(tmp_path / "whole"))
    whole_seconds = time.monotonic() - started
    expected = outcome(tmp_path / "whole")
    assert set(expected["weights"]) == {"supervised", "prompt-das", "slpo"}  # type: ignore[call-overload]

    dice = random.Random(os.environ.get("DABENCH_TEST_SEED", "0"))
    killed = 0
    for _ in range(5):
        process = start(tmp_path / "killed")
        # The first part of a start is imports; most kills should hit work, also where the first run had a busy machine.
        time.sleep(whole_seconds * dice.uniform(0.25, 0.65))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.wait()
        process.stderr.close()  # type: ignore[union-attr]
    assert killed >= 2
    finish(start(tmp_path / "killed"))
    assert outcome(tmp_path / "killed") == expected

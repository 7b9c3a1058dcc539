"""Times Dice, AJI and PQ on 4096 x 4096 slices with 480 objects, beside the literal one-mask-an-object version.

PYTHONPATH=.:plugins python benchmarks/metrics.py            writes benchmarks/results/metrics.json
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "plugins"), str(HERE.parent / "tests" / "ops")]

from dabench_protocols import Das2d, Das2dPooled, Instances2d  # noqa: E402
from literal_metrics import components, literal_aji, literal_dice, literal_panoptic  # noqa: E402

from dabench.files.atomic import write_json  # noqa: E402
from dabench.ops.components import label_components  # noqa: E402


def slice_pair(side: int, rows: int, columns: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Truth with rows x columns ellipses, and a prediction: shifted, with specks of <= 15 px, some missing."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((side, side), np.uint8)
    dy, dx = side / rows, side / columns
    for y in (np.arange(rows) + 0.5) * dy:
        for x in (np.arange(columns) + 0.5) * dx:
            ry, rx = rng.uniform(0.2, 0.42, 2) * (dy, dx)
            top, left = int(y - ry), int(x - rx)
            yy, xx = np.ogrid[top : int(y + ry) + 1, left : int(x + rx) + 1]
            truth[top : int(y + ry) + 1, left : int(x + rx) + 1] |= ((yy - y) / ry) ** 2 + ((xx - x) / rx) ** 2 < 1
    prediction = np.roll(truth, (side // 700, -side // 800), axis=(0, 1)) > 0
    prediction[: side // 10] = False
    for y, x in rng.integers(0, side - 3, (5000, 2)):
        prediction[y : y + 3, x : x + 3] = True
    return truth, prediction


def milliseconds(call: Callable[[], object], repeats: int) -> dict[str, float]:
    """CPU time, so that other work on the machine does not count; everything here runs on one core."""
    call()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(1000 * (time.process_time() - start))
    return {"median": round(statistics.median(times), 1), "best": round(min(times), 1), "repeats": repeats}


def literal(truth: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    true, predicted = components(truth), components(prediction, 15)
    pq, dq, sq = literal_panoptic(true, predicted)
    aji = literal_aji(true, predicted)
    return {"dice": float(literal_dice(true, predicted)), "aji": float(aji), "pq": pq, "dq": dq, "sq": sq}


def machine() -> dict[str, object]:
    """CPU, cores and versions; no host name and no paths."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    packages = {name: version(name) for name in ("numpy", "connected-components-3d", "scikit-image")}
    load = round(os.getloadavg()[0], 1)
    return {"cpu": model, "cores": os.cpu_count(), "load": load, "python": platform.python_version(), **packages}


def compare(side: int, rows: int, columns: int) -> dict[str, object]:
    """Both versions on a slice small enough for the literal one; checks that they agree."""
    truth, prediction = slice_pair(side, rows, columns)
    start = time.process_time()
    expected = literal(truth, prediction)
    slow = 1000 * (time.process_time() - start)
    row = Das2d().update(0, prediction, truth).values
    worst = max(abs(row[key] - value) for key, value in expected.items())
    assert worst < 1e-9, (row, expected)
    fast = milliseconds(lambda: Das2d().update(0, prediction, truth), 7)
    return {
        "side": side,
        "objects": row["n_true"],
        "literal_ms": round(slow, 1),
        "dabench_ms": fast,
        "ratio": round(slow / fast["median"], 1),
        "largest_difference": float(worst),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--literal-full", action="store_true", help="also time the literal version at 4096 (a minute or two)"
    )
    parser.add_argument("--out", type=Path, default=HERE / "results" / "metrics.json")
    options = parser.parse_args()
    truth, prediction = slice_pair(4096, 20, 24)
    ids = label_components(truth)
    row = Das2d().update(0, prediction, truth).values
    report = {
        "what": "dice + aji + pq of a 4096 x 4096 slice, ms of one core; 5000 specks in the prediction are dropped",
        "machine": machine(),
        "objects": {"true": row["n_true"], "predicted": row["n_pred"], "foreground": round(float(truth.mean()), 3)},
        "ms_a_slice": {
            "das-2d@1": milliseconds(lambda: Das2d().update(0, prediction, truth), 9),
            "das-2d-pooled@1": milliseconds(lambda: Das2dPooled().update(0, prediction, truth), 9),
            "instances-2d@1": milliseconds(lambda: Instances2d().update(0, prediction, ids), 9),
        },
        "literal": [compare(side, 20, 24) for side in ([1024, 4096] if options.literal_full else [1024])],
    }
    write_json(options.out, report)
    print(options.out.read_text())


if __name__ == "__main__":
    main()

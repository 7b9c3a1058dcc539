"""Seconds and memory a slice: dabench's prediction beside MONAI's sliding-window inferer, and both of our profiles.

The same network, windows and overlap in one run: each variant in a process of its own (peak memory is its own),
several rounds in turn, medians. The network is the ``small`` preset's, from random weights: what it costs does not
depend on them.

python benchmarks/inference.py --side 4096 --rounds 3 --output benchmarks/results/inference.json
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dabench.components.assembly import Assembly
from dabench.components.registry import Registry
from dabench.files.workspace import Workspace
from dabench.inference import predict_slices
from dabench.inference.predictor import NetworkPredictor
from dabench.runs.config import validate_config
from dabench.runs.weights import WeightsStore
from dabench.tracking.environment import capture

TILE, BATCH = 192, 8
#: Central rows and columns whose probabilities are compared.
COMPARED = 512


def network() -> NetworkPredictor:
    """The network of the flagship's ``small`` preset."""
    torch.manual_seed(0)
    config = validate_config({"method": "source-only", "task": "human2stem", "data": "phantom", "preset": "small"})
    assembly = Assembly(Registry.load(), config, WeightsStore(Workspace.find().weights))
    settings = assembly.config("method", "source-only")
    return NetworkPredictor(assembly.network(settings.network, settings.backbone).eval())


def image(side: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """One slice of noise in [0, 1], ``(side, side)``."""
    return np.random.default_rng(0).random((side, side), np.float32)


def ours(profile: str, precision: str) -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """dabench's prediction of one slice, with the network laid out as `dabench.models.load_model` does."""
    predictor = network()
    predictor.network.to(memory_format=torch.channels_last)

    def predict(picture: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            ((_, found),) = predict_slices(predictor, [picture], TILE, profile, batch_size=BATCH)
        return found.probability

    return predict


def monai() -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """MONAI's inferer with windows of the same side, half a window apart, plain mean where they overlap."""
    from monai.inferers import SlidingWindowInferer

    predictor = network()
    inferer = SlidingWindowInferer((TILE, TILE), sw_batch_size=BATCH, overlap=0.5, mode="constant")

    @torch.inference_mode()
    def predict(picture: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        images = torch.from_numpy(picture)[None, None]
        found = inferer(images, lambda tiles: predictor.predict(tiles).probability[:, None])
        result: np.ndarray[Any, Any] = found[0, 0].numpy()
        return result

    return predict


VARIANTS: dict[str, Callable[[], Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]]] = {
    "monai": monai,
    "fast": lambda: ours("fast", "float32"),
    "fast bfloat16": lambda: ours("fast", "bfloat16"),
    "paper": lambda: ours("paper", "float32"),
    "paper bfloat16": lambda: ours("paper", "bfloat16"),
}


def measure(variant: str, side: int, threads: int, keep: Path) -> dict[str, float]:
    """One slice, once; the first tiles are run before the clock starts."""
    torch.set_num_threads(threads)
    predict, picture = VARIANTS[variant](), image(side)
    predict(picture[: 2 * TILE, : 2 * TILE])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, processor = time.perf_counter(), time.process_time()
    found = predict(picture)
    seconds, cpu = time.perf_counter() - started, time.process_time() - processor
    middle = slice((side - COMPARED) // 2, (side + COMPARED) // 2)
    np.save(keep, found[middle, middle])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "cpu_seconds": cpu, "added_mib": (peak - before) / 1024, "peak_mib": peak / 1024}


def run(variant: str, side: int, threads: int, keep: Path) -> dict[str, float]:
    """`measure` in a process of its own."""
    command = [sys.executable, __file__, "--one", variant, "--side", str(side), "--threads", str(threads)]
    done = subprocess.run([*command, "--keep", str(keep)], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(side: int, rounds: int, threads: int, folder: Path) -> dict[str, Any]:
    """Every variant in turn, ``rounds`` times; medians, ratios to MONAI, and how far the probabilities are apart.

    The paper's profile takes four times as long and has no counterpart: it runs in the first round only.
    """
    seen: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
    for number in range(rounds):
        for variant, rows in seen.items():
            if number and variant.startswith("paper"):
                continue
            rows.append(run(variant, side, threads, folder / f"{variant}.npy"))
            print(variant, rows[-1], flush=True)
    result: dict[str, Any] = {}
    for variant, rows in seen.items():
        result[variant] = {key: statistics.median(row[key] for row in rows) for key in rows[0]}
        result[variant]["rounds"] = len(rows)
        probabilities = {name: np.load(folder / f"{name}.npy") for name in (variant, "monai", variant.split()[0])}
        result[variant]["difference_to_monai"] = float(np.abs(probabilities[variant] - probabilities["monai"]).max())
        same = np.abs(probabilities[variant] - probabilities[variant.split()[0]]).max()
        result[variant]["difference_to_float32"] = float(same)
    for row in result.values():
        row["time_ratio_to_monai"] = row["seconds"] / result["monai"]["seconds"]
        row["memory_ratio_to_monai"] = row["added_mib"] / max(result["monai"]["added_mib"], 1e-9)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--output", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--keep", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.side, options.threads, options.keep)))
        return
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        found = compare(options.side, options.rounds, options.threads, Path(folder))
    about = {"side": options.side, "tile": TILE, "batch": BATCH, "threads": options.threads, "rounds": options.rounds}
    report = {"about": about, "environment": capture(), "variants": found}
    text = json.dumps(report, indent=1)
    print(text)
    if options.output:
        options.output.write_text(text + "\n")


if __name__ == "__main__":
    main()

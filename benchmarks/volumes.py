"""Memory and time of a volume's way from prediction to measures, for volumes x1, x4 and x16.

Each volume is a sparse zarr of whole 4096 x 4096 slices: a column of phantom tissue stands in padding, so the arrays
are as large as a real scan's and the network's work is that of the tissue. Every command runs in a process of its own,
whose resident memory (with its children's) is read ten times a second. At x1 the prediction is also killed twice and
resumed, and compared with the uninterrupted one byte by byte.

python benchmarks/volumes.py --slices 160 --factors 1 4 16 --output benchmarks/results/volumes.json
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from dabench.components.registry import Registry
from dabench.data.volumes import open_volume, read_all
from dabench.tracking.environment import capture

SIDE = 4096
VOXEL = "30,8,8"
#: Where the tissue stands on every slice.
CORNER = (1000, 2000)
#: Points of a memory curve that are kept.
KEPT = 60


def resident(pid: int) -> int:
    """Bytes that a process and its descendants hold in memory."""
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        try:
            fields = Path(f"/proc/{one}/statm").read_text().split()
            children = Path(f"/proc/{one}/task/{one}/children").read_text().split()
        except OSError:
            continue
        total += int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
        waiting += [int(child) for child in children]
    return total


def run(command: list[str], workspace: Path, kill_when: Callable[[], bool] | None = None) -> dict[str, Any]:
    """Run ``dabench`` and watch its memory; with ``kill_when`` it is killed as soon as that says so."""
    environment = {**os.environ, "DABENCH_WORKSPACE": str(workspace)}
    log = tempfile.TemporaryFile()  # noqa: SIM115 - read after the process
    started, curve = time.perf_counter(), []
    process = subprocess.Popen(
        [sys.executable, "-m", "dabench.cli.main", *command], env=environment, stdout=log, stderr=subprocess.STDOUT
    )
    while process.poll() is None:
        curve.append((time.perf_counter() - started, resident(process.pid)))
        if kill_when and kill_when():
            process.send_signal(signal.SIGKILL)
        time.sleep(0.1)
    seconds = time.perf_counter() - started
    log.seek(0)
    said = log.read().decode()
    if process.returncode and not kill_when:
        raise SystemExit(f"{' '.join(command)}\n{said}")
    thin = curve[:: max(1, len(curve) // KEPT)]
    peak = max((size for _, size in curve), default=0)
    mib = [[round(t, 1), round(size / 2**20)] for t, size in thin]
    return {"seconds": seconds, "peak_mib": peak / 2**20, "curve_s_mib": mib}


def tissue() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Images and labels of a phantom's test split, ``(Z, 256, 256)``."""
    registry = Registry.load()
    component = registry.get("domain", "phantom-stem").component
    domain = component.factory(component.config())
    readers = [item.component.factory(item.component.config()) for item in registry.of_kind("reader")]
    split = domain.open("test", lambda path: open_volume(path, readers))
    assert split.labels is not None
    return read_all(split.images), read_all(split.labels)


def write_scan(folder: Path, slices: int) -> tuple[Path, Path]:
    """A sparse scan and the mask of its truth, with the tissue repeated to and fro along z."""
    images, labels = tissue()
    names = folder / f"scan-{slices}.zarr", folder / f"truth-{slices}.zarr"
    depth, height, width = images.shape
    to_and_fro = [*range(depth), *range(depth - 2, 0, -1)]
    order = [to_and_fro[z % len(to_and_fro)] for z in range(slices)]
    window = slice(CORNER[0], CORNER[0] + height), slice(CORNER[1], CORNER[1] + width)
    for path, source in zip(names, (images, labels), strict=True):
        array = zarr.create_array(path, shape=(slices, SIDE, SIDE), chunks=(16, 256, 256), dtype="uint8", fill_value=0)
        for first in range(0, slices, 16):
            array[(slice(first, first + 16), *window)] = source[order[first : first + 16]]
    return names


def contents(path: Path) -> dict[str, str]:
    """Digests of all arrays' files of an OME-Zarr, by name."""
    import hashlib

    files = sorted(p for p in path.rglob("*") if p.is_file() and "/c/" in str(p))
    return {str(p.relative_to(path)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def train(workspace: Path) -> str:
    """A small model on phantoms; its cell's id."""
    settings = "--method source-only --task human2stem --data phantom --preset tiny --tracker none --json".split()
    run(["run", *settings], workspace)
    (folder,) = (p for p in (workspace / "runs").iterdir() if p.is_dir())
    return folder.name


def one(factor: int, slices: int, cell: str, workspace: Path, folder: Path) -> dict[str, Any]:
    """All commands on one volume."""
    scan, truth = write_scan(folder, factor * slices)
    out = folder / f"mito-{factor}.zarr"
    images = ["--run", cell, "--images", str(scan), "--voxel", VOXEL]
    found = {"predict": run(["predict", *images, "--output", str(out)], workspace)}
    table = folder / f"mito-{factor}.csv"
    found["measure"] = run(["measure", str(out), "--csv", str(table)], workspace)
    labels = ["--prediction", str(out), "--labels", str(truth), "--protocol", "das-2d@1", "--json"]
    found["evaluate"] = run(["evaluate", *labels], workspace)
    for step, row in found.items():
        print(f"x{factor} {step}: {row['seconds']:.0f} s, {row['peak_mib']:.0f} MiB", flush=True)
    voxels = factor * slices * SIDE * SIDE
    objects = sum(1 for _ in table.open()) - 1
    return {"slices": factor * slices, "voxels": voxels, "gb": voxels / 1e9, "objects": objects, **found}


def chunks_of(command: list[str], workspace: Path) -> int:
    """Chunks that a prediction will have."""
    environment = {**os.environ, "DABENCH_WORKSPACE": str(workspace)}
    asked = [sys.executable, "-m", "dabench.cli.main", *command, "--dry-run", "--json"]
    said = subprocess.run(asked, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    chunks: int = json.loads(said)["chunks"]
    return chunks


def killed_twice(factor: int, slices: int, cell: str, workspace: Path, folder: Path) -> dict[str, Any]:
    """Kill the prediction of the smallest volume after a third and two thirds of its chunks; compare where it ends."""
    scan, out = folder / f"scan-{slices}.zarr", folder / "mito-killed.zarr"
    manifest = out.with_name(f"{out.name}.partial") / "manifest.jsonl"
    command = ["predict", "--run", cell, "--images", str(scan), "--voxel", VOXEL, "--output", str(out)]
    count = chunks_of(command, workspace)
    kills = [count // 3, 2 * count // 3]
    for chunks in kills:
        run(command, workspace, lambda least=chunks: manifest.is_file() and len(manifest.open().readlines()) > least)
        assert not out.exists()
    run(command, workspace)
    whole, resumed = contents(folder / f"mito-{factor}.zarr"), contents(out)
    return {"killed_after_chunks": kills, "files": len(whole), "equal": whole == resumed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=160, help="Slices of x1.")
    parser.add_argument("--factors", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--folder", type=Path, help="Where the volumes lie while this runs.")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        workspace = folder / "workspace"
        cell = train(workspace)
        report: dict[str, Any] = {"about": {"side": SIDE}, "environment": capture(), "volumes": {}}
        for factor in options.factors:
            report["volumes"][f"x{factor}"] = one(factor, options.slices, cell, workspace, folder)
            write(report, options.output)  # an hour's work is not lost with what comes after it
        report["killed"] = killed_twice(
            options.factors[0], options.factors[0] * options.slices, cell, workspace, folder
        )
        write(report, options.output)
        print("killed twice and resumed:", "equal" if report["killed"]["equal"] else "DIFFERENT")


def write(report: dict[str, Any], path: Path | None) -> None:
    """Write what is there so far."""
    if path:
        path.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""The promptable network: seconds and peak memory, whole batch with fused attention beside sample by sample with plain.

Both do the same arithmetic on the same weights, side by side in one run; each variant's memory is measured in a process
of its own. `--device cuda` times a GPU.

    python benchmarks/network.py --output benchmarks/results/network.json
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor

from dabench.components.assembly import Assembly
from dabench.components.registry import Registry
from dabench.ops.prompts import Prompts
from dabench.runs.config import validate_config
from dabench.runs.weights import WeightsStore
from dabench.tracking.environment import capture

BACKBONES = {"paper": "vit-s8-dino", "small": "conv-small"}
VARIANTS = ("batched", "one by one")


def make_network(preset: str) -> Any:
    """The preset's network, random weights."""
    options = {"vit-s8-dino": {"pretrained": "none"}} if preset == "paper" else {}
    config = validate_config({"method": "source-only", "task": "human2stem", "preset": preset, "options": options})
    torch.manual_seed(0)
    return Assembly(Registry.load(), config, WeightsStore(Path("none"))).network("promptable", BACKBONES[preset])


def make_input(size: int, batch: int, points: int, device: str) -> tuple[Tensor, Prompts]:
    """Images and prompts; the second half of the batch has half as many points, so that padding is at work."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(batch, 1, size, size, generator=generator)
    valid = torch.arange(points) < torch.tensor([points if i % 2 == 0 else points // 2 for i in range(batch)])[:, None]
    prompts = Prompts(torch.rand(batch, points, 2, generator=generator) * size, valid)
    return images.to(device), prompts.to(device)


def plain_attention(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, **_: Any) -> Tensor:
    """Softmax attention with the whole score matrix in memory."""
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    return scores.softmax(dim=-1) @ v


def batched(network: Any, images: Tensor, prompts: Prompts) -> tuple[Tensor, Tensor]:
    output = network(images, prompts, with_density=True)
    return output.probability, output.density


def one_by_one(network: Any, images: Tensor, prompts: Prompts) -> tuple[Tensor, Tensor]:
    """Encode the batch, decode each sample with its own points, with plain attention in the decoder."""
    size = (images.shape[-2], images.shape[-1])
    cells = network.neck(network.backbone(images)[-1])
    probabilities, densities = [], []
    with mock.patch.object(F, "scaled_dot_product_attention", plain_attention):
        for i, points in enumerate(prompts.unpad()):
            own = Prompts(points[None], torch.ones(1, len(points), dtype=torch.bool, device=points.device))
            tokens, masks, _ = network._tokens(1, size, own, None, None)
            maps, tokens, _ = network._decode(cells[i : i + 1], tokens, masks)
            logits = torch.einsum("bc,bchw->bhw", network.hyper(tokens[:, 0]).float(), maps.float())
            probabilities.append(F.interpolate(logits.sigmoid()[:, None], size=size, mode="bilinear")[:, 0])
            densities.append(network.detection(maps, size))
    return torch.cat(probabilities), torch.cat(densities)


FORWARD: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {"batched": batched, "one by one": one_by_one}


def forward_only(run: Callable[..., Any], *values: Any) -> None:
    with torch.no_grad():
        run(*values)


def forward_backward(run: Callable[..., Any], network: Any, *values: Any) -> None:
    network.zero_grad(set_to_none=True)
    probability, density = run(network, *values)
    (probability.mean() + density.mean()).backward()


MODES = {"forward": forward_only, "forward+backward": forward_backward}


def timed(step: Callable[[], None], repeats: int, device: str) -> float:
    """Median seconds after one warm-up."""
    seconds = []
    for n in range(repeats + 1):
        started = time.perf_counter()
        step()
        if device == "cuda":
            torch.cuda.synchronize()
        if n:
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def peak_memory(preset: str, variant: str, mode: str, args: argparse.Namespace) -> int:
    """Bytes that one step needs above the loaded network, in a process of its own."""
    command = [
        sys.executable,
        __file__,
        "--memory-of",
        preset,
        variant,
        mode,
        "--size",
        str(args.size),
        "--batch",
        str(args.batch),
    ]
    done = subprocess.run([*command, "--points", str(args.points)], capture_output=True, text=True, check=True)
    return int(done.stdout.strip().splitlines()[-1])


def measure_memory(preset: str, variant: str, mode: str, args: argparse.Namespace) -> int:
    network = make_network(preset)
    values = make_input(args.size, args.batch, args.points, "cpu")
    # The kernel's record of the largest resident set starts again: imports peak higher than a step.
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    MODES[mode](FORWARD[variant], network, *values)
    return _status("VmHWM") - before


def _status(name: str) -> int:
    """A line of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def measure(preset: str, args: argparse.Namespace) -> dict[str, Any]:
    network = make_network(preset).to(args.device)
    values = make_input(args.size, args.batch, args.points, args.device)
    with torch.no_grad():
        same = [run(network.eval(), *values) for run in FORWARD.values()]
    difference = float((same[0][0] - same[1][0]).abs().max())
    network.train()
    found: dict[str, Any] = {
        "largest_difference": difference,
        "parameters": sum(p.numel() for p in network.parameters()),
    }
    for mode, step in MODES.items():
        for variant in VARIANTS:
            run = FORWARD[variant]
            entry = {
                "seconds": timed(lambda step=step, run=run: step(run, network, *values), args.repeats, args.device)
            }
            if args.device == "cpu":
                entry["peak_memory_bytes"] = peak_memory(preset, variant, mode, args)
            found[f"{mode}, {variant}"] = entry
        found[f"{mode}, ratio"] = found[f"{mode}, one by one"]["seconds"] / found[f"{mode}, batched"]["seconds"]
        print(preset, mode, {v: round(found[f"{mode}, {v}"]["seconds"], 4) for v in VARIANTS}, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=384)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--points", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/network.json"))
    parser.add_argument("--memory-of", nargs=3, default=None)
    args = parser.parse_args()
    if args.memory_of:
        print(measure_memory(*args.memory_of, args))
        return
    environment = capture()
    content = {
        "what": "promptable network, seconds (median) and peak bytes of one step",
        "setting": {k: getattr(args, k) for k in ("size", "batch", "points", "repeats", "device")},
        "machine": {k: environment[k] for k in ("cpu", "cores", "torch")} | {"python": platform.python_version()},
        "git": environment["git"],
        **{preset: measure(preset, args) for preset in BACKBONES},
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()

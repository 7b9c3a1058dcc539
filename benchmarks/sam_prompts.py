"""CPU seconds to decode 1 and 100 prompts of a tile with a cached embedding: ours beside the library's documented loop.

SAM ViT-B's decoder with random weights (what it costs does not depend on them), an embedding of 256 x 64 x 64 that was
computed before. The library's loop asks ``model(image_embeddings=..., input_points=...)`` once a prompt; ours is
`SamNetwork.decode`. Both take turns in every round; medians and all rounds are written. CPU seconds, since other
processes may run.

python benchmarks/sam_prompts.py --rounds 5 --output benchmarks/results/sam-prompts.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from dabench_sam_model.network import SamNetwork
from dabench_sam_model.sizes import SIZES

from dabench.tracking.environment import capture

SIDE = 1024


@torch.no_grad()
def library(network: SamNetwork, embedding: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """One forward pass a prompt."""
    found = [network.sam(image_embeddings=embedding, input_points=point[None, None]).pred_masks[0] for point in points]
    return torch.cat(found)


@torch.no_grad()
def ours(network: SamNetwork, embedding: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """All prompts together."""
    return network.decode(embedding, points, torch.zeros(len(points), dtype=torch.long), (SIDE, SIDE)).logits


def measure(count: int, rounds: int, network: SamNetwork, embedding: torch.Tensor) -> dict[str, Any]:
    """CPU seconds of both, and by how much their masks differ."""
    points = torch.rand(count, 1, 2, generator=torch.Generator().manual_seed(count)) * SIDE
    ways = {"library loop": library, "dabench": ours}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    masks: dict[str, torch.Tensor] = {}
    for way in ways.values():
        way(network, embedding, points[:1])
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.process_time()
            masks[name] = way(network, embedding, points)
            seconds[name].append(time.process_time() - started)
    gap = float((masks["library loop"] - masks["dabench"]).abs().max())
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {"prompts": count, "largest difference": gap, "cpu seconds": medians, "rounds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, nargs="+", default=[1, 100])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--size", choices=[*SIZES], default="vit-b")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    network = SamNetwork(SIZES[options.size]).eval()
    embedding = torch.randn(1, SIZES[options.size].channels, SIZES[options.size].grid, SIZES[options.size].grid)
    found = [measure(count, options.rounds, network, embedding) for count in options.prompts]
    for row in found:
        print(json.dumps(row))
    if options.output:
        content = {"environment": capture(), "threads": options.threads, "size": options.size, "rows": found}
        options.output.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()

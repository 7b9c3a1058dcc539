"""Seconds an update of every method at equal crop and batch, and how much of it is spent outside its networks.

Each method's stages run on their own parents, untrained, with the networks of a preset, on a synthetic volume. Inside a
network is: the forward pass of whatever module a stage names (student, teacher, discriminators), backward and the
optimizer's step. Outside is all else: views, prompts, pseudo-labels, losses, waiting for crops. Rounds over the target
(`Stage.refresh`) are timed apart, per slice.

    python benchmarks/methods.py --output benchmarks/results/methods.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from dabench.annotation.desk import AnnotationDesk
from dabench.components.assembly import Assembly
from dabench.components.registry import Registry
from dabench.interfaces import Budget, Stage, StageSpec, TaskInfo
from dabench.runs.config import RunConfig
from dabench.runs.weights import WeightsStore
from dabench.testing.fixtures import discs
from dabench.testing.trial_run import Truth, budget_of
from dabench.tracking.environment import capture
from dabench.training.loop import LoopOptions
from dabench.training.sampling import LabelledSlices
from dabench.training.stage_data import StageData
from dabench.training.train_stage import StageInputs, build_stage, train_stage

TASK = TaskInfo("one2other", "one", "other")
SLICES, SIDE = 2, 384


class Clock:
    """Seconds inside the outermost of nested calls."""

    def __init__(self) -> None:
        self.seconds, self._depth, self._started = 0.0, 0, 0.0

    def enter(self, *_: Any) -> None:
        if self._depth == 0:
            self._started = time.perf_counter()
        self._depth += 1

    def leave(self, *_: Any) -> None:
        self._depth -= 1
        if self._depth == 0:
            self.seconds += time.perf_counter() - self._started


@contextmanager
def watched(stage: Stage, networks: Clock, rounds: Clock) -> Iterator[None]:
    """Inside, forward and backward passes and optimizer steps run on one clock, rounds over the target on another."""
    plain, refresh = torch.Tensor.backward, stage.refresh

    def backward(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        networks.enter()
        plain(tensor, *args, **kwargs)
        networks.leave()

    def timed_refresh(view: StageData) -> None:
        rounds.enter()
        refresh(view)
        rounds.leave()

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(torch.Tensor, "backward", backward))
        stack.enter_context(mock.patch.object(stage, "refresh", timed_refresh))
        hooks = [register_optimizer_step_pre_hook(networks.enter), register_optimizer_step_post_hook(networks.leave)]
        for module in {m for root in stage.modules().values() for m in root.modules()}:
            hooks.append(module.register_forward_pre_hook(networks.enter))
            hooks.append(module.register_forward_hook(networks.leave))
        for hook in hooks:
            stack.callback(hook.remove)
        yield


@dataclass(frozen=True)
class Measured:
    """One stage: seconds an update (median), share of the time outside networks, seconds a round and slice."""

    seconds: float
    outside: float
    round_seconds: float


def measure(assembly: Assembly, stage: Stage, spec: StageSpec, budget: Budget, updates: int) -> Measured:
    """Runs a stage for some updates after one that is not counted."""
    (source, source_labels), (target, target_labels) = discs(2, SLICES, SIDE), discs(1, SLICES, SIDE)
    if spec.crops.labelled == "target":
        source, source_labels = target, target_labels
    truth = Truth(target_labels)
    desk = AnnotationDesk(truth, target_labels.shape, budget, assembly.weak_labels()).for_stage(spec.asks)
    labelled = LabelledSlices(source, source_labels) if spec.crops.source else None
    gaps = (1, 1) if spec.crops.neighbour else (0, 0)
    networks, rounds = Clock(), Clock()
    with tempfile.TemporaryDirectory() as folder, watched(stage, networks, rounds):
        inputs = StageInputs(0, desk, labelled, target, gaps, kept=Path(folder) / "kept")
        options = LoopOptions(torch.device("cpu"), False, Path(folder) / "checkpoint.pt", updates + 9)
        spent, inside, refreshed = [], [], []
        mark = time.perf_counter(), networks.seconds, rounds.seconds
        for _ in train_stage(stage, spec, inputs, options, updates + 1):
            now = time.perf_counter(), networks.seconds, rounds.seconds
            total, in_networks, in_rounds = (b - a for a, b in zip(mark, now, strict=True))
            refreshed.append(in_rounds)
            if in_rounds == 0:
                spent.append(total)
                inside.append(in_networks)
            mark = time.perf_counter(), networks.seconds, rounds.seconds
    # The first update is a warm-up, unless a round took its place.
    spent, inside = spent[-updates:], inside[-updates:]
    outside = 1 - sum(inside) / sum(spent)
    return Measured(statistics.median(spent), outside, max(refreshed) / SLICES)


def stages_of(assembly: Assembly, method: str, points: float) -> Iterator[tuple[StageSpec, Stage, Budget]]:
    """Every stage on its parent, built but not trained."""
    budget, parent = budget_of(assembly, method, points), None
    for spec in assembly.method(method).stages(TASK, budget):
        parent = build_stage(spec, parent, 0)
        yield spec, parent, budget


def equal(registry: Registry, method: str, preset: str, crop: int, batch: int) -> Assembly:
    """The preset with one crop and one batch for all."""
    options: dict[str, dict[str, Any]] = {}
    for item in registry.of_kind("method"):
        fields = item.component.config.model_fields
        options[f"method:{item.name}"] = {k: v for k, v in {"crop": crop, "batch": batch}.items() if k in fields}
    config = RunConfig(method=method, task="human2stem", data="phantom", preset=preset, options=options)
    return Assembly(registry, config, WeightsStore(Path("none")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--methods", nargs="+", default=None)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--crop", type=int, default=192)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--updates", type=int, default=10)
    parser.add_argument("--points", type=float, default=0.15)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/methods.json"))
    args = parser.parse_args()
    registry, rows, seen = Registry.load(), [], set()
    for method in args.methods or registry.names("method"):
        assembly = equal(registry, method, args.preset, args.crop, args.batch)
        for spec, stage, budget in stages_of(assembly, method, args.points):
            name = f"{spec.method}/{spec.name}"
            if name in seen:
                continue
            seen.add(name)
            found = measure(assembly, stage, replace(spec, iterations=args.updates), budget, args.updates)
            rows.append({"stage": name, "updates in the preset": spec.iterations, **vars(found)})
            print(
                f"{name:<34} {found.seconds:7.3f} s an update, {100 * found.outside:5.1f} % outside networks, "
                f"{found.round_seconds:6.2f} s a slice and round, {spec.iterations} updates",
                flush=True,
            )
    environment = capture()
    content = {
        "what": f"{args.preset}, crop {args.crop}, batch {args.batch}, {args.updates} updates after a warm-up, "
        f"{SLICES} slices of {SIDE} x {SIDE}, {100 * args.points:g} % points, {torch.get_num_threads()} threads",
        "machine": {k: environment[k] for k in ("cpu", "cores", "torch")},
        "git": environment["git"],
        "stages": rows,
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()

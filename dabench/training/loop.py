"""The training loop: a generator that yields one report per update. It knows no method, file format or tracker."""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import torch

from dabench.errors import DivergedError
from dabench.interfaces import OptimizerStep, Stage, TrainingData
from dabench.training.checkpoint import Progress, load_checkpoint, save_checkpoint, save_weights
from dabench.training.optimizers import clip_gradients, learning_rate, make_optimizer
from dabench.training.sampling import CropSampler, step_seed
from dabench.types import Batch

#: Batches cut ahead of the update that uses them.
_AHEAD = 3


@dataclass(frozen=True)
class Update:
    """One update done: ``step`` from 0, named losses, learning rate of the first optimizer, training seconds so far."""

    step: int
    total: int
    losses: dict[str, float]
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class LoopOptions:
    """How to run: device, autocast to bfloat16, where and how often to checkpoint.

    ``snapshots`` says after which updates weights are kept, and where; training itself does not notice.
    """

    device: torch.device
    bfloat16: bool
    checkpoint: Path
    every: int
    snapshots: Mapping[int, Path] = field(default_factory=dict)


def train(
    stage: Stage, total: int, sampler: CropSampler, data: TrainingData, options: LoopOptions
) -> Generator[Update, None, Progress]:
    """Train a stage to its last update, continuing from its checkpoint when there is one.

    Args:
        stage: freshly built from its parent.
        total: updates.
        sampler: gives the batch of any step.
        data: what the stage may look at beside its batches.
        options: device, precision, checkpoints.

    Yields:
        One report per update.

    Returns:
        Updates done and the seconds they took, over all starts.

    Raises:
        DivergedError: a loss is NaN or infinite; the last checkpoint is kept.
    """
    for module in stage.modules().values():
        module.to(options.device).train()
    torch.manual_seed(step_seed(sampler.seed, sampler.stage, total))
    with _autocast(options):
        stage.prepare(data)
    steps = list(stage.optimizer_steps())
    optimizers = [make_optimizer(part) for part in steps]
    begun = load_checkpoint(options.checkpoint, stage, optimizers) if options.checkpoint.is_file() else Progress()
    progress, started = begun, time.perf_counter()
    for step, drawn in _batches(sampler, stage, begun.done, total):
        batch = _to_device(drawn, options.device)
        torch.manual_seed(step_seed(sampler.seed, sampler.stage, step))
        if stage.refresh_every and step % stage.refresh_every == 0:
            with _autocast(options), torch.no_grad():
                stage.refresh(data)
        losses = _update(stage, batch, steps, optimizers, total, options)
        stage.after_update(step)
        if step + 1 == total:
            with _autocast(options):
                stage.finish(data)
        progress = Progress(step + 1, begun.seconds + time.perf_counter() - started)
        # Before the checkpoint: killed between the two, the resumed stage goes through this update again.
        if progress.done in options.snapshots:
            save_weights(options.snapshots[progress.done], stage)
        if progress.done % options.every == 0 or progress.done == total:
            save_checkpoint(options.checkpoint, stage, optimizers, progress)
        yield Update(step, total, losses, learning_rate(steps[0].optimizer, step, total), progress.seconds)
    return progress


def _batches(sampler: CropSampler, stage: Stage, first: int, total: int) -> Iterator[tuple[int, Batch]]:
    """Steps with their batches, cut a few steps ahead: the device does not wait for slices to be read."""
    with ThreadPoolExecutor(1, "crops") as pool:
        ahead: deque[Future[Batch]] = deque()
        try:
            for step in range(first, total):
                while len(ahead) < _AHEAD and step + len(ahead) < total:
                    ahead.append(pool.submit(sampler.draw, step + len(ahead), stage.target_crops))
                yield step, ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def _update(
    stage: Stage,
    batch: Batch,
    steps: Sequence[OptimizerStep],
    optimizers: Sequence[torch.optim.Optimizer],
    total: int,
    options: LoopOptions,
) -> dict[str, float]:
    """All optimizer steps of one update; named losses, prefixed by the optimizer step's name when there are several."""
    report: dict[str, float] = {}
    for part, optimizer in zip(steps, optimizers, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(part.optimizer, batch.step, total)
        optimizer.zero_grad(set_to_none=True)
        with _autocast(options):
            terms = stage.step(batch, part.name)
        values = {name: float(value.detach()) for name, value in terms.items()}
        prefix = f"{part.name}/" if len(steps) > 1 else ""
        report |= {f"{prefix}{name}": value for name, value in values.items()}
        _check_finite(values, batch.step, part.name)
        terms["loss"].backward()  # type: ignore[no-untyped-call]
        clip_gradients(optimizer, part.optimizer.clip)
        optimizer.step()
    return report


def _autocast(options: LoopOptions) -> contextlib.AbstractContextManager[object]:
    """bfloat16 for whatever a stage computes, its reference and its pseudo-labels as much as its student."""
    if not options.bfloat16:
        return contextlib.nullcontext()
    return torch.autocast(options.device.type, dtype=torch.bfloat16)


def _check_finite(values: dict[str, float], step: int, part: str) -> None:
    broken = {name: value for name, value in values.items() if not math.isfinite(value)}
    if broken:
        raise DivergedError(
            f"loss became {broken} at update {step} (optimizer step {part!r}; all terms: {values}).",
            "The last checkpoint is kept. A lower learning rate (--set METHOD.lr=...) is the usual cure.",
        )


def _to_device(batch: Batch, device: torch.device) -> Batch:
    source = batch.source.to(device) if batch.source else None
    target = batch.target.to(device) if batch.target else None
    return Batch(batch.step, batch.generator, source, target)

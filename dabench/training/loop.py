"""The training loop: a generator that yields one report an update. It knows no method, file format or tracker."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from dabench.data.sampling import CropSampler, step_seed
from dabench.errors import DivergedError
from dabench.interfaces import Stage, TrainingView, Turn
from dabench.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from dabench.training.optimizers import clip_gradients, learning_rate, make_optimizer
from dabench.types import Batch


@dataclass(frozen=True)
class Update:
    """One update done: ``step`` from 0, named losses, learning rate of the first turn, training seconds so far."""

    step: int
    total: int
    losses: dict[str, float]
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class LoopOptions:
    """How to run: device, autocast to bfloat16, where and how often to checkpoint."""

    device: torch.device
    bfloat16: bool
    checkpoint: Path
    every: int


def train(stage: Stage, total: int, sampler: CropSampler, view: TrainingView, options: LoopOptions) -> Iterator[Update]:
    """Train a stage to its last update, continuing from its checkpoint when there is one.

    Args:
        stage: freshly built from its parent.
        total: updates.
        sampler: gives the batch of any step.
        view: what the stage may look at beside its batches.
        options: device, precision, checkpoints.

    Yields:
        One report an update.

    Raises:
        DivergedError: a loss is NaN or infinite; the last checkpoint is kept.
    """
    for module in stage.modules().values():
        module.to(options.device).train()
    torch.manual_seed(step_seed(sampler.seed, sampler.stage, -1 & 0x7FFFFFFF))
    stage.prepare(view)
    turns = list(stage.turns())
    optimizers = [make_optimizer(turn) for turn in turns]
    begun = load_checkpoint(options.checkpoint, stage, optimizers) if options.checkpoint.is_file() else Progress()
    started = time.perf_counter()
    for step in range(begun.done, total):
        batch = _to_device(sampler.draw(step), options.device)
        torch.manual_seed(step_seed(sampler.seed, sampler.stage, step))
        if stage.refresh_every and step % stage.refresh_every == 0:
            stage.refresh(view)
        losses = _update(stage, batch, turns, optimizers, total, bfloat16=options.bfloat16)
        stage.after_update(step)
        seconds = begun.seconds + time.perf_counter() - started
        if (step + 1) % options.every == 0 or step + 1 == total:
            save_checkpoint(options.checkpoint, stage, optimizers, Progress(step + 1, seconds))
        rate = learning_rate(turns[0].optimizer, step, total)
        yield Update(step, total, losses, rate, seconds)


def _update(
    stage: Stage,
    batch: Batch,
    turns: Sequence[Turn],
    optimizers: Sequence[torch.optim.Optimizer],
    total: int,
    *,
    bfloat16: bool,
) -> dict[str, float]:
    """All turns of one update; named losses, prefixed by the turn's name when there are several."""
    report: dict[str, float] = {}
    for turn, optimizer in zip(turns, optimizers, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(turn.optimizer, batch.step, total)
        optimizer.zero_grad(set_to_none=True)
        with _autocast(batch, bfloat16=bfloat16):
            terms = stage.step(batch, turn.name)
        values = {name: float(value.detach()) for name, value in terms.items()}
        prefix = f"{turn.name}/" if len(turns) > 1 else ""
        report |= {f"{prefix}{name}": value for name, value in values.items()}
        _check_finite(values, batch.step, turn.name)
        terms["loss"].backward()  # type: ignore[no-untyped-call]
        clip_gradients(optimizer, turn.optimizer.clip)
        optimizer.step()
    return report


def _autocast(batch: Batch, *, bfloat16: bool) -> contextlib.AbstractContextManager[object]:
    crops = batch.source or batch.target
    if not bfloat16 or crops is None:
        return contextlib.nullcontext()
    return torch.autocast(crops.images.device.type, dtype=torch.bfloat16)


def _check_finite(values: dict[str, float], step: int, turn: str) -> None:
    broken = {name: value for name, value in values.items() if not math.isfinite(value)}
    if broken:
        raise DivergedError(
            f"loss became {broken} at update {step} (turn {turn!r}; all terms: {values}).",
            "The last checkpoint is kept. A lower learning rate (--set METHOD.lr=...) is the usual cure.",
        )


def _to_device(batch: Batch, device: torch.device) -> Batch:
    source = batch.source.to(device) if batch.source else None
    target = batch.target.to(device) if batch.target else None
    return Batch(batch.step, batch.generator, source, target)

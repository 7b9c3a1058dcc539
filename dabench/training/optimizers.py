"""Optimizers and learning-rate schedules. The rate is a function of the step: there is nothing to resume."""

from __future__ import annotations

import torch

from dabench.errors import ConfigError
from dabench.interfaces import OptimizerSpec, OptimizerStep


def learning_rate(spec: OptimizerSpec, step: int, total: int) -> float:
    """Linear warm-up over ``warmup`` updates, then ``lr * (1 - t)^power``, never below ``floor * lr``.

    t is 0 at the warm-up's end and 1 after ``span`` updates (0: after all of the stage).

    Args:
        spec: the schedule.
        step: update, from 0.
        total: updates of the stage.
    """
    if step < spec.warmup:
        return spec.lr * (step + 1) / spec.warmup
    progress = (step - spec.warmup) / max(1, (spec.span or total) - spec.warmup)
    return float(spec.lr * max(max(0.0, 1 - progress) ** spec.power, spec.floor))


def make_optimizer(step: OptimizerStep) -> torch.optim.Optimizer:
    """The optimizer of a step. Raises ConfigError for a name that is not adamw, adam or sgd."""
    spec, parameters = step.optimizer, [p for p in step.parameters() if p.requires_grad]
    if spec.name == "adamw":
        return torch.optim.AdamW(parameters, spec.lr, spec.betas, weight_decay=spec.weight_decay, fused=True)
    if spec.name == "adam":
        return torch.optim.Adam(parameters, spec.lr, spec.betas, weight_decay=spec.weight_decay, fused=True)
    if spec.name == "sgd":
        return torch.optim.SGD(parameters, lr=spec.lr, momentum=spec.betas[0], weight_decay=spec.weight_decay)
    raise ConfigError(f"optimizer step {step.name!r}: unknown optimizer {spec.name!r}.", "Known: adamw, adam, sgd.")


def clip_gradients(optimizer: torch.optim.Optimizer, limit: float) -> None:
    """Scale the gradients of an optimizer's parameters down to a global norm of ``limit`` (0: leave them)."""
    if limit > 0:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        torch.nn.utils.clip_grad_norm_(parameters, limit)

"""Exponential moving average of a student into its teacher."""

from __future__ import annotations

import torch
from torch import nn


def ema_decay(step: int, alpha: float) -> float:
    """Decay of update number `step` (from 0): min(1 - 1 / (step + 1), alpha), so that the first update copies.

    Args:
        step: updates done before this one.
        alpha: final decay (0.99 in ReCo, whose helper Prompt-DAS carries).

    Returns:
        Decay in [0, alpha].
    """
    return min(1 - 1 / (step + 1), alpha)


@torch.no_grad()
def ema_update(teacher: nn.Module, student: nn.Module, decay: float) -> None:
    """Teacher ← decay · teacher + (1 - decay) · student; buffers are copied.

    Args:
        teacher: changed in place; same architecture as the student.
        student: read.
        decay: in [0, 1].
    """
    for mine, other in zip(teacher.parameters(), student.parameters(), strict=True):
        mine.lerp_(other, 1 - decay)
    for kept, current in zip(teacher.buffers(), student.buffers(), strict=True):
        kept.copy_(current)

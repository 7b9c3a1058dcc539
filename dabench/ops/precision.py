"""Where autocast has to wait: coordinates and targets lose pixels in bfloat16."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor


def full_precision(like: Tensor) -> AbstractContextManager[object]:
    """Inside, operations on the device of ``like`` keep their own types although the caller runs under autocast."""
    return torch.autocast(like.device.type, enabled=False)

"""What resolves when a run starts and changes its numbers: device, precision, threads."""

from __future__ import annotations

import resource
from typing import Any

import torch

from dabench.errors import ConfigError
from dabench.ops.precision import multiplies_bfloat16
from dabench.runs.config import RunConfig


def pick_device(config: RunConfig) -> torch.device:
    """The device that ``auto`` or a name means. Raises ConfigError for one that is not there."""
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(config.device)
    except RuntimeError:
        raise ConfigError(f"device {config.device!r}: use auto, cpu, cuda or cuda:N.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device {config.device!r}: no CUDA device on this machine.", "Use --device cpu.")
    return device


def resolved_precision(config: RunConfig) -> str:
    """What training multiplies in: ``float32``, or ``bfloat16``, which ``auto`` is where the hardware multiplies it."""
    if config.precision != "auto":
        return config.precision
    return "bfloat16" if multiplies_bfloat16(pick_device(config)) else "float32"


def numerics(config: RunConfig, threads: int | None = None) -> dict[str, Any]:
    """What of this machine decides the last digits of a training, for its key.

    Args:
        config: of the run.
        threads: of the process that trains; this one's unless given. They split sums on a CPU.
    """
    device = pick_device(config).type
    found: dict[str, Any] = {"device": device, "precision": resolved_precision(config), "compiled": config.compile}
    return found if device == "cuda" else found | {"threads": threads or torch.get_num_threads()}


def peak_memory(device: torch.device) -> int:
    """Peak bytes: of the device's allocator on a GPU, of the process's resident set on a CPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

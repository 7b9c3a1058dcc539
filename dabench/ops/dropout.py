"""Dropout of whole feature maps that can be repeated: Monte-Carlo passes of any network, also in evaluation mode.

`torch.nn.Dropout2d` draws from the process's random state and is silent in evaluation mode. Here a generator draws, so
that a run can be repeated and resumed, and a network that has no dropout of its own gets some at its encoder's maps.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

#: A point of a generator that `seeded` may take.
_SEEDS = 2**63


def dropout_places(network: nn.Module) -> list[nn.Module]:
    """Where a network can drop feature maps: its dropout layers; without any, its ``backbone``; [] without either."""
    layers: list[nn.Module] = [m for m in network.modules() if isinstance(m, _DropoutNd)]
    backbone = getattr(network, "backbone", None)
    return layers or ([backbone] if isinstance(backbone, nn.Module) else [])


def drop_maps(maps: Tensor, rate: float, generator: torch.Generator) -> Tensor:
    """Each feature map is 0 with probability ``rate``, else multiplied by 1 / (1 - rate).

    Args:
        maps: (B, C, ...) float.
        rate: in [0, 1).
        generator: source of randomness (CPU).

    Returns:
        The same shape and type.
    """
    kept = torch.rand(maps.shape[:2], generator=generator) >= rate
    scale = kept.to(maps) / (1 - rate)
    return maps * scale[(...,) + (None,) * (maps.ndim - 2)]


@contextmanager
def dropping(network: nn.Module, rate: float, generator: torch.Generator) -> Iterator[None]:
    """Inside, every forward pass drops feature maps at `dropout_places`, whatever the network's mode.

    Args:
        network: its dropout layers act at ``rate`` and draw from the generator; without any, what its ``backbone``
            hands on (one tensor or a list of them) is dropped.
        rate: in [0, 1); 0 switches its dropout layers off.
        generator: source of randomness (CPU).
    """
    hook = partial(_drop_output, rate=rate, generator=generator)
    hooks = [place.register_forward_hook(hook) for place in dropout_places(network)]
    try:
        yield
    finally:
        for handle in hooks:
            handle.remove()


def _drop_output(
    module: nn.Module, inputs: tuple[Any, ...], output: Any, rate: float, generator: torch.Generator
) -> Any:
    """In place of a dropout layer's output, or of the maps of a backbone."""
    if not rate:
        return inputs[0] if isinstance(module, _DropoutNd) else output
    if isinstance(module, _DropoutNd):
        return drop_maps(inputs[0], rate, generator)
    if isinstance(output, Tensor):
        return drop_maps(output, rate, generator)
    return [drop_maps(maps, rate, generator) for maps in output]


def seeded(seed: int) -> torch.Generator:
    """A CPU generator at the beginning of a seed's sequence."""
    return torch.Generator().manual_seed(seed % _SEEDS)

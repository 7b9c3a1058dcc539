"""Running statistics of BatchNorm across domains. Networks without BatchNorm are left as they are.

Statistics are re-estimated by mixing what the source left with what the target shows, half and half (You et al. 2021,
alpha-BN, arXiv 2110.04065; Schneider et al. 2020, arXiv 2006.16971). Target statistics alone move with its share of
foreground as much as with its greys: they gain where only the greys differ, and lose where the share does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

#: Half: no worse than either on dense and on sparse targets (docs/methods/results.md).
TARGET_SHARE = 0.5


def _layers(network: nn.Module) -> list[_BatchNorm]:
    return [m for m in network.modules() if isinstance(m, _BatchNorm)]


def _statistics(layer: _BatchNorm) -> list[Tensor]:
    """Running mean and variance, where the layer keeps them."""
    return [buffer for buffer in (layer.running_mean, layer.running_var) if buffer is not None]


@contextmanager
def frozen_statistics(network: nn.Module) -> Iterator[None]:
    """Inside, forward passes normalise by their own batch and leave running statistics alone.

    With it the source's pass does not disturb statistics that belong to the target.
    """
    layers = _layers(network)
    kept = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, kept, strict=True):
            layer.momentum = momentum


@torch.no_grad()
def recalibrate(network: nn.Module, batches: Iterable[Tensor], share: float = TARGET_SHARE) -> None:
    """Mix the plain mean over these batches into the running statistics; weights stay as they are.

    Args:
        network: its BatchNorm layers are changed.
        batches: images ``(B, 1, H, W)`` of the target; none leaves everything as it was.
        share: of the target's statistics in the mixture, 0 to 1.
    """
    layers = _layers(network)
    if not layers:
        return
    kept, training = [layer.momentum for layer in layers], network.training
    before = [[statistic.clone() for statistic in _statistics(layer)] for layer in layers]
    network.train()
    for number, images in enumerate(batches, 1):
        for layer in layers:
            layer.momentum = 1 / number
        network(images)
    for layer, momentum, source in zip(layers, kept, before, strict=True):
        layer.momentum = momentum
        for statistic, of_source in zip(_statistics(layer), source, strict=True):
            statistic.lerp_(of_source, 1 - share)
    network.train(training)


def hold_statistics(network: nn.Module) -> None:
    """Put BatchNorm layers into evaluation mode: a fine-tuned model sees what its frozen reference saw."""
    for layer in _layers(network):
        layer.eval()

"""Running statistics of BatchNorm across domains. Networks without BatchNorm are left as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def _layers(network: nn.Module) -> list[_BatchNorm]:
    return [m for m in network.modules() if isinstance(m, _BatchNorm)]


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
def recalibrate(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace running statistics by the plain mean over these batches ``(B, 1, H, W)``; weights stay as they are."""
    layers = _layers(network)
    if not layers:
        return
    kept, training = [layer.momentum for layer in layers], network.training
    network.train()
    for number, images in enumerate(batches, 1):
        for layer in layers:
            layer.momentum = 1 / number
        network(images)
    for layer, momentum in zip(layers, kept, strict=True):
        layer.momentum = momentum
    network.train(training)


def hold_statistics(network: nn.Module) -> None:
    """Put BatchNorm layers into evaluation mode: a fine-tuned model sees what its frozen reference saw."""
    for layer in _layers(network):
        layer.eval()

"""BatchNorm across domains: whose statistics a network is left with.

A network adapted on source and target batches should be left with the target's statistics, as that is what it will
predict. So the target's passes update the running statistics and the source's do not; each pass is normalised by its
own batch. None of this touches networks without BatchNorm (the ViT, GroupNorm encoders).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def _layers(network: nn.Module) -> list[_BatchNorm]:
    return [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]


@contextmanager
def frozen_statistics(network: nn.Module) -> Iterator[None]:
    """Within it, training passes are normalised by their batch but leave the running statistics alone.

    Args:
        network: any module.
    """
    layers = _layers(network)
    momenta = [layer.momentum for layer in layers]
    counts = [layer.num_batches_tracked for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
        layer.num_batches_tracked = None if layer.num_batches_tracked is None else layer.num_batches_tracked.clone()
    try:
        yield
    finally:
        for layer, momentum, count in zip(layers, momenta, counts, strict=True):
            layer.momentum = momentum
            layer.num_batches_tracked = count


def use_running_statistics(network: nn.Module) -> None:
    """Training mode for everything but BatchNorm, which normalises by its running statistics and keeps them.

    For stages that start from an adapted network and compare it with a frozen copy of itself (preferences): both are
    then the same function at the first update.

    Args:
        network: changed in place.
    """
    network.train()
    for layer in _layers(network):
        layer.eval()


@torch.no_grad()
def estimate_statistics(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replaces running statistics by the plain average over batches (adaptive BatchNorm, Li et al. 2016).

    The first thing an adaptation does: no learning, no labels, and several points of Dice on a new domain.

    Args:
        network: changed in place and left in evaluation mode; nothing but BatchNorm buffers change.
        batches: (B, 1, H, W) float images of the new domain.
    """
    layers = _layers(network)
    if layers:
        momenta = [layer.momentum for layer in layers]
        network.train()
        for seen, images in enumerate(batches):
            for layer in layers:
                layer.momentum = 1 / (seen + 1)
            network(images)
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
    network.eval()

"""DeepLab-v2: its size, its strides, and how its classifier begins."""

from __future__ import annotations

import pytest
import torch
from dabench_deeplab import DeepLabV2
from torch import nn


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_it_has_the_published_size() -> None:
    with torch.device("meta"):
        network = DeepLabV2()
    # torchvision's ResNet-101 without its classifier, and four dilated 3x3 convolutions of one class.
    assert parameters(network.stem) + parameters(network.groups) == 42_500_160
    assert parameters(network.classifier) == 4 * (2048 * 9 + 1) == 73_732
    assert parameters(network) == 42_573_892


@torch.no_grad()
def test_it_answers_at_full_resolution_from_stride_eight() -> None:
    torch.manual_seed(0)
    network, images = DeepLabV2().eval(), torch.rand(1, 1, 40, 48)
    alone, output = network(images), network(images, with_features=True)
    assert torch.equal(alone.probability, output.probability)
    assert (alone.features, alone.density) == (None, None)
    assert output.probability.shape == (1, 40, 48)
    assert ((output.probability >= 0) & (output.probability <= 1)).all()
    shapes = [tuple(m.shape[1:]) for m in output.features.encoder]
    assert shapes == [(256, 10, 12), (512, 5, 6), (1024, 5, 6), (2048, 5, 6)]
    assert [c for c, _, _ in shapes] == list(network.encoder_channels)


def test_its_classifier_begins_as_in_the_release() -> None:
    torch.manual_seed(0)
    for branch in DeepLabV2().classifier:
        assert isinstance(branch, nn.Conv2d)
        assert branch.weight.std().item() == pytest.approx(0.01, rel=0.1)

"""U-Net: the published size, its maps, and what a width may be."""

from __future__ import annotations

import pytest
import torch
from dabench_unet import UNet, UNetSettings
from pydantic import ValidationError
from torch import nn


def test_it_has_the_published_size_and_no_affine_norm() -> None:
    with torch.device("meta"):
        network = UNet()
    assert sum(p.numel() for p in network.parameters()) == 28_941_698
    norms = [m for m in network.modules() if isinstance(m, nn.GroupNorm)]
    assert len(norms) == 18
    assert all(m.num_groups == 32 and m.weight is None for m in norms)
    assert network.encoder_channels == (64, 128, 256, 512, 1024)
    assert network.decoder_channels == 64


def test_maps_have_the_declared_sizes_also_for_odd_images() -> None:
    network = UNet(8, 4)
    features = network(torch.rand(1, 1, 50, 37), with_features=True).features
    sizes = [tuple(m.shape[1:]) for m in features.encoder]
    assert sizes == [(8, 50, 37), (16, 25, 18), (32, 12, 9), (64, 6, 4), (128, 3, 2)]
    assert features.decoder.shape == (1, 8, 50, 37)


def test_the_probability_is_the_second_channel_of_the_softmax() -> None:
    network = UNet(8, 4)
    nn.init.zeros_(network.head.weight)
    network.head.bias.data = torch.tensor([0.0, 1.0])
    seen = network(torch.rand(1, 1, 16, 16)).probability
    assert torch.allclose(seen, torch.full((1, 16, 16), torch.tensor(1.0).sigmoid().item()))


def test_a_skip_reaches_the_output_when_the_bottleneck_is_cut() -> None:
    network = UNet(8, 4)
    for halve in network.halve:
        nn.init.zeros_(halve.weight)
        nn.init.zeros_(halve.bias)
    first, second = (network(torch.rand(1, 1, 32, 32)).probability for _ in range(2))
    assert not torch.equal(first, second)


def test_a_width_that_groups_do_not_divide_is_refused() -> None:
    with pytest.raises(ValidationError, match="not divisible"):
        UNetSettings(width=24)

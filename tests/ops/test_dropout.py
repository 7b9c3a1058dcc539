"""Dropout that a generator draws: where a network drops, whole maps only, nothing left behind."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dabench.ops.dropout import drop_maps, dropout_places, dropping, seeded


class OnBackbone(nn.Module):
    """Two maps of a backbone, summed."""

    class Backbone(nn.Module):
        def forward(self, images: Tensor) -> list[Tensor]:
            return [images.expand(-1, 4, -1, -1), 2 * images.expand(-1, 4, -1, -1)]

    def __init__(self) -> None:
        super().__init__()
        self.backbone = self.Backbone()

    def forward(self, images: Tensor) -> Tensor:
        first, second = self.backbone(images)
        return first + 10 * second


def test_whole_maps_are_dropped_and_the_mean_is_kept() -> None:
    dropped = drop_maps(torch.ones(50, 40, 3, 2), 0.25, seeded(0))
    flat = dropped.flatten(2)
    assert (flat == flat[..., :1]).all()
    assert sorted(dropped.unique().tolist()) == pytest.approx([0, 1 / 0.75])
    assert dropped.mean().item() == pytest.approx(1, abs=0.05)


def test_a_layer_drops_in_evaluation_and_draws_from_the_generator() -> None:
    network = nn.Sequential(nn.Conv2d(1, 8, 1), nn.Dropout2d(0.9)).eval()
    images = torch.rand(2, 1, 4, 4)
    plain = network(images)
    state = torch.get_rng_state()
    with dropping(network, 0.5, seeded(3)):
        first, second = network(images), network(images)
    with dropping(network, 0.5, seeded(3)):
        again = network(images)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    kept = first != 0
    # Scaled for the rate that was asked for, not for the layer's own.
    assert torch.allclose(first[kept], 2 * plain[kept])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(network(images), plain)


def test_in_training_the_layers_own_draw_does_not_count() -> None:
    network = nn.Sequential(nn.Dropout2d(0.9)).train()
    with dropping(network, 0.5, seeded(0)):
        assert sorted(network(torch.ones(64, 8, 2, 2)).unique().tolist()) == [0, 2]


def test_without_layers_the_backbones_maps_are_dropped() -> None:
    network = OnBackbone()
    assert dropout_places(network) == [network.backbone]
    with dropping(network, 0.5, seeded(0)):
        values = network(torch.ones(16, 1, 2, 2)).unique().tolist()
    assert sorted(values) == [0, 2, 40, 42]


def test_rate_0_and_a_network_without_places_are_left_alone() -> None:
    bare, images = nn.Conv2d(1, 2, 1), torch.rand(1, 1, 4, 4)
    assert dropout_places(bare) == []
    for network, rate in ((bare, 0.5), (OnBackbone(), 0.0)):
        plain = network(images)
        with dropping(network, rate, seeded(0)):
            assert torch.equal(network(images), plain)


def test_rate_0_silences_layers_that_the_network_has() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Dropout2d(0.5)).train()
    images = torch.rand(1, 1, 4, 4)
    with dropping(network, 0.0, seeded(0)):
        assert torch.equal(network(images), network[0](images))


def test_an_error_inside_leaves_no_hook() -> None:
    network = OnBackbone()
    with pytest.raises(RuntimeError), dropping(network, 0.5, seeded(0)):
        raise RuntimeError
    assert not network.backbone._forward_hooks

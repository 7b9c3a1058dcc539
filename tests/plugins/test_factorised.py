"""The factorised network: its counts beside the published ones, its maps, its heads."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from dabench_factorised import FactorisedNetwork
from dabench_factorised.network import Downsample, SelectiveBlock, Upsample, factorised_branch
from torch import nn

from dabench.components.assembly import Assembly
from dabench.components.registry import Registry
from dabench.runs.config import validate_config
from dabench.runs.weights import WeightsStore

WIDTHS = (72, 144, 288, 576)
#: Published counts: WDA-Net; IPL with its contrast branch.
PUBLISHED, PUBLISHED_IPL = 6_771_028, 7_039_368


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def block(width: int) -> int:
    """Parameters of a block: two 1x1, six factorised branches at half the width, the attention with its biases."""
    inner = width // 2
    hidden = max(inner // 16, 2)
    return 2 * width * inner + 6 * 6 * inner**2 + (inner * hidden + hidden) + 6 * (hidden * inner + inner)


def test_the_counts_are_those_of_the_layout() -> None:
    assert block(72) == count(SelectiveBlock(72)) == 52_562
    down = sum(9 * w * w for w in WIDTHS[:-1])
    up = sum(2 * w * w for w in WIDTHS[:-1])
    blocks = sum(block(w) for w in WIDTHS) + sum(block(w) for w in WIDTHS[:-1]) + 3 * block(72)
    heads = (72 * 2 + 2) + (72 + 1)
    assert count(FactorisedNetwork(WIDTHS, 2)) == 4 * 72 * 9 + down + up + blocks + heads


def test_the_counts_are_within_three_percent_of_the_published() -> None:
    # The papers do not print the blocks' layout, so the published number cannot be reached to the digit.
    wda, ipl = count(FactorisedNetwork(WIDTHS, 2)), count(FactorisedNetwork(WIDTHS, 4))
    assert wda == 6_917_313
    assert wda - PUBLISHED == 146_285
    assert ipl == wda + 2 * 52_562 == 7_022_437
    # With IPL's branch of two 1x1 convolutions, 288 → 144 → 128.
    branch = 288 * 144 + 144 + 144 * 128 + 128
    assert ipl + branch - PUBLISHED_IPL == 43_245
    assert abs(wda / PUBLISHED - 1) < 0.03
    assert abs((ipl + branch) / PUBLISHED_IPL - 1) < 0.01


def test_ipls_map_is_the_decoders_at_an_eighth() -> None:
    network = FactorisedNetwork((8, 16, 32, 64), 4).eval()
    with torch.no_grad():
        features = network(torch.rand(2, 1, 64, 96), with_features=True).features
    shapes = [tuple(m.shape[1:]) for m in features.encoder]
    assert shapes == [(8, 32, 48), (16, 16, 24), (32, 8, 12), (32, 8, 12), (64, 4, 6)]
    assert network.encoder_channels == (8, 16, 32, 32, 64)
    assert tuple(features.decoder.shape[1:]) == (8, 32, 48)
    assert not torch.equal(features.encoder[2], features.encoder[3])


def test_a_branch_sees_a_grid_of_its_dilation() -> None:
    branch = factorised_branch(1, 3)
    for layer in branch[:2]:
        nn.init.ones_(layer.get_parameter("weight"))
    dot = torch.zeros(1, 1, 15, 15)
    dot[..., 7, 7] = 1
    with torch.no_grad():
        seen = branch[1](branch[0](dot))[0, 0]
    assert torch.nonzero(seen).tolist() == [[y, x] for y in (4, 7, 10) for x in (4, 7, 10)]


def test_attention_weighs_the_branches_of_each_channel_to_one() -> None:
    block = SelectiveBlock(4)
    nn.init.zeros_(block.select.weight)
    nn.init.zeros_(block.select.bias)
    maps = torch.rand(2, 4, 8, 8)
    with torch.no_grad():
        narrow = block.narrow(maps)
        mean = torch.stack([branch(narrow) for branch in block.branches]).mean(dim=0)
        assert torch.allclose(block(maps), (maps + block.widen(mean)).relu(), atol=1e-6)


def test_down_and_up() -> None:
    maps = torch.rand(2, 4, 8, 8)
    smaller = Downsample(4)(maps)
    assert smaller.shape == (2, 8, 4, 4)
    assert Upsample(4)(smaller, maps).shape == maps.shape


def test_any_size_of_image() -> None:
    network = FactorisedNetwork((8, 16, 32, 64), 2).eval()
    with torch.no_grad():
        output = network(torch.rand(1, 1, 49, 70), with_density=True)
    assert output.probability.shape == output.density.shape == (1, 49, 70)
    assert output.density.min() >= 0


def test_the_heads_scale_divides_the_raw_map() -> None:
    torch.manual_seed(0)
    plain, images = FactorisedNetwork((8, 16, 32, 64), 2).eval(), torch.rand(1, 1, 64, 64)
    scaled = FactorisedNetwork((8, 16, 32, 64), 2, 1 / 255).eval()
    scaled.load_state_dict(plain.state_dict())
    with torch.no_grad():
        densities = [n(images, with_density=True).density for n in (plain, scaled)]
    assert torch.allclose(densities[0], 255 * densities[1], atol=1e-5)


def test_segmentation_does_not_train_the_detection_head() -> None:
    network = FactorisedNetwork((8, 16, 32, 64), 2)
    network(torch.rand(1, 1, 64, 64), with_density=True).probability.mean().backward()
    assert all(p.grad is None for p in network.detection.parameters())
    assert all(p.grad is not None for p in network.segmentation.parameters())


def test_widths_double() -> None:
    with pytest.raises(ValueError, match="twice"):
        FactorisedNetwork((8, 16, 24, 48), 2)


def test_both_are_registered_with_their_detection_heads(registry: Registry, tmp_path: Any) -> None:
    config = validate_config({"method": "wda-net", "task": "human2stem", "data": "phantom", "preset": "tiny"})
    assembly = Assembly(registry, config, WeightsStore(tmp_path))
    for name, blocks in (("factorised", 2), ("factorised-deep", 4)):
        network: Any = assembly.network(name, "none")
        assert len(network.detection.blocks) == blocks

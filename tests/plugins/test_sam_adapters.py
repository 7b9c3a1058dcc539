"""SAM-Med2D's adapters: their arithmetic by hand, where they hang, and that nothing else of SAM's encoder changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from dabench_sam_model.adapters import ChannelSpaceAdapter
from dabench_sam_model.keys import checked, to_library, to_released
from dabench_sam_model.network import SamNetwork
from dabench_sam_model.sizes import SIZES

from tests.plugins.sam_networks import loud

SIZE = SIZES["tiny-med2d"]


@pytest.fixture
def adapted() -> SamNetwork:
    return loud("tiny-med2d")


def plain(adapted: SamNetwork) -> SamNetwork:
    """SAM with the same weights and no adapters."""
    network = SamNetwork(replace(SIZE, adapters=False)).eval()
    tensors = {name: tensor for name, tensor in adapted.sam.state_dict().items() if ".adapter." not in name}
    network.sam.load_state_dict(tensors)
    return network


@torch.no_grad()
def test_an_adapter_by_hand() -> None:
    """Channels at half weight; the convolution picks the first of 2 x 2 pixels, the transposed one spreads it."""
    adapter = ChannelSpaceAdapter(4)
    adapter.channel[0].weight.zero_()  # sigmoid(0) = 1/2
    adapter.spatial[0].weight.zero_()[range(4), range(4), 1, 1] = 1.0
    adapter.spatial[2].weight.zero_()[range(4), range(4)] = 1.0
    tokens = torch.tensor([[[2.0, 4.0, -6.0, 0.0], [1.0, 0.0, 0.0, 3.0]], [[0.0, 0.0, 0.0, 1.0], [5.0, 5.0, 5.0, 5.0]]])
    spread = torch.tensor([1.0, 2.0, 0.0, 0.0])  # half of the first pixel, nothing below 0
    wanted = tokens + spread
    wanted = (wanted - wanted.mean(-1, keepdim=True)) / (wanted.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(adapter(tokens[None])[0], wanted)


@torch.no_grad()
def test_adapters_that_add_nothing_leave_sam(adapted: SamNetwork) -> None:
    images = torch.rand((1, 1, 64, 64), generator=torch.Generator().manual_seed(0))
    sam = plain(adapted).encode(images)
    assert not torch.allclose(adapted.encode(images), sam, atol=0.1)
    for layer in adapted.sam.vision_encoder.layers:
        layer.mlp.adapter.norm.weight.zero_()
        layer.mlp.adapter.norm.bias.zero_()
    assert torch.equal(adapted.encode(images), sam)


@torch.no_grad()
def test_every_block_adds_its_own_beside_the_mlp(adapted: SamNetwork) -> None:
    tokens = torch.randn((1, 4, 4, SIZE.width), generator=torch.Generator().manual_seed(0))
    blocks = zip(adapted.sam.vision_encoder.layers, plain(adapted).sam.vision_encoder.layers, strict=True)
    for own, sams in blocks:
        assert torch.equal(own.mlp(tokens), sams.mlp(tokens) + own.mlp.adapter(tokens))


def test_their_names_go_both_ways(adapted: SamNetwork) -> None:
    state = adapted.sam.state_dict()
    released = to_released(state)
    assert sum(".Adapter." in name for name in released) == 6 * SIZE.depth
    assert "image_encoder.blocks.1.Adapter.spatial.2.weight" in released
    back = to_library(released)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)
    assert checked(released, SIZE).keys() == state.keys()

"""Networks of two sections: sizes, what is shared, and what each answer depends on."""

from __future__ import annotations

import pytest
import torch
from dabench_backbones.conv import ConvEncoder
from dabench_two_section import LightTwoSection, PublishedTwoSection, TwoSectionSettings
from dabench_two_section.published import Decoder
from torch import nn

from dabench.components.registry import Registry
from dabench.ops.sections import PairOutput
from dabench.plugin import ConfigError


def light() -> LightTwoSection:
    torch.manual_seed(0)
    return LightTwoSection(ConvEncoder((8, 16, 24), (1, 1, 1)))


@pytest.fixture(scope="module")
def published() -> PublishedTwoSection:
    torch.manual_seed(0)
    return PublishedTwoSection()


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_the_published_network_has_the_published_number_of_parameters(published: PublishedTwoSection) -> None:
    assert parameters(published) == 20_755_814
    assert published.decoder_channels == 32
    # A decoder of single skips by hand: transposed 3x3, then 3x3 on (risen, skip) with InstanceNorm.
    by_hand = sum(9 * 2 * c * c + c + 9 * 2 * c * c + c + 2 * c for c in (32, 64, 128, 256))
    assert parameters(Decoder((32, 64, 128, 256))) == by_hand


def test_with_the_small_encoder_it_stays_small(registry: Registry) -> None:
    make = registry.get("network", "two-section").component.factory
    network = make(TwoSectionSettings(), backbone=ConvEncoder((24, 48, 96), (1, 1, 2)))
    assert parameters(network) == 786_507
    assert make(TwoSectionSettings(), backbone=None).sections == 2


@pytest.mark.parametrize("which", ["published", "light"])
def test_answers(which: str, published: PublishedTwoSection) -> None:
    network = published if which == "published" else light()
    images = torch.rand(2, 2, 32, 48)
    with torch.no_grad():
        network.eval()
        alone, pair = network(images), network(images, with_pair=True, with_features=True)
    assert isinstance(alone, PairOutput)
    assert (alone.auxiliary, alone.difference, alone.features) == (None, None, None)
    assert torch.equal(alone.logits, pair.logits)
    assert {plane.shape for plane in pair.maps()} == {(2, 1, 32, 48)}
    assert pair.features.decoder.shape[1] == network.decoder_channels
    assert [m.shape[1] for m in pair.features.encoder] == list(network.encoder_channels)


def test_the_published_features_have_full_resolution(published: PublishedTwoSection) -> None:
    with torch.no_grad():
        output = published(torch.rand(1, 2, 32, 32), with_features=True)
    assert output.features is not None
    assert output.features.decoder.shape == (1, 32, 32, 32)
    assert [m.shape[-1] for m in output.features.encoder] == [32, 16, 8, 4, 2]


@pytest.mark.parametrize(("size", "side"), [((40, 32), 40), ((32, 56), 56), ((16, 32), 16)])
def test_the_published_network_names_a_side_that_it_cannot_see(
    published: PublishedTwoSection, size: tuple[int, int], side: int
) -> None:
    with pytest.raises(ConfigError, match=f"side of {side} pixels"):
        published(torch.rand(1, 2, *size))


@pytest.mark.parametrize("which", ["published", "light"])
def test_both_sections_reach_every_map(which: str, published: PublishedTwoSection) -> None:
    network = published if which == "published" else light()
    network.eval()
    for index in range(3):
        images = torch.rand(1, 2, 32, 32, requires_grad=True)
        network(images, with_pair=True).maps()[index].sum().backward()
        assert images.grad is not None
        assert (images.grad.flatten(2).abs().amax(dim=2) > 0).all()


def test_one_encoder_sees_both_sections() -> None:
    network = light().eval()
    first, second = torch.rand(1, 1, 32, 32), torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        fine, other, _ = network.encode(first, second)
        swapped, _, _ = network.encode(second, first)
    assert torch.allclose(other[0], swapped[0], atol=1e-6)
    assert not torch.allclose(fine[0], swapped[0], atol=1e-6)
    # Strides 2, 4, 8: one fine map, two fused ones.
    assert (len(fine), len(network.fuse)) == (1, 2)


def test_a_backbone_of_one_map_is_fused_whatever_its_stride() -> None:
    backbone = ConvEncoder((8, 16, 24), (1, 1, 1))
    single = OneMap(backbone)
    assert LightTwoSection(single)(torch.rand(1, 2, 32, 32), with_pair=True).difference.shape == (1, 1, 32, 32)


class OneMap(nn.Module):
    """The finest map alone."""

    def __init__(self, encoder: ConvEncoder) -> None:
        super().__init__()
        self.encoder, self.channels, self.strides = encoder, encoder.channels[:1], (2,)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return self.encoder(images)[:1]

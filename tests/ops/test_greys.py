"""Grey values of crops, and the published networks that stretch them."""

import pytest
import torch
from dabench_factorised import FactorisedNetwork
from dabench_two_section import PublishedTwoSection
from dabench_unet import UNet
from torch import nn

from dabench.components.registry import Registry
from dabench.ops.greys import stretched


def test_every_section_has_its_own_range() -> None:
    images = torch.tensor([[[[0.2, 0.4]], [[0.5, 0.9]]], [[[0.0, 1.0]], [[0.3, 0.3]]]])
    expected = torch.tensor([[[[0.0, 1.0]], [[0.0, 1.0]]], [[[0.0, 1.0]], [[0.5, 0.5]]]])
    torch.testing.assert_close(stretched(images), expected)


@pytest.mark.parametrize("stretch", [True, False])
@pytest.mark.parametrize("name", ["factorised", "unet", "two-section"])
def test_contrast_and_brightness_do_not_matter_to_a_network_that_stretches(name: str, stretch: bool) -> None:
    torch.manual_seed(0)
    network: nn.Module
    if name == "factorised":
        network = FactorisedNetwork((12, 24, 48, 96), 2, stretch=stretch)
    elif name == "unet":
        network = UNet(16, 8, stretch=stretch)
    else:
        network = PublishedTwoSection()
        network.stretch = stretch
    images = torch.rand(1, 2 if name == "two-section" else 1, 64, 64)
    with torch.no_grad():
        one, other = (network.eval()(i).probability for i in (images, 0.3 * images + 0.5))
    assert torch.allclose(one, other, atol=1e-4) == stretch


@pytest.mark.parametrize("name", ["factorised", "factorised-deep", "unet", "two-section"])
def test_the_papers_networks_stretch(name: str) -> None:
    registry = Registry.load()
    assert [registry.settings("network", name, p, {}).stretch for p in ("paper", "small")] == [True, False]

"""The promptable network's invariants."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from dabench_backbones.conv import ConvEncoder
from dabench_backbones.vit import PatchTokenViT
from dabench_promptable.heads import Mixing
from dabench_promptable.network import PAPER, PromptableNetwork, Widths
from torch import Tensor, nn

from dabench.ops.prompts import Prompts, pad_points

SMALL = Widths(dim=128, heads=4, mlp=256, detection=32, full_resolution_detection=False)
TINY = Widths(dim=64, heads=4, mlp=128, detection=16, full_resolution_detection=False)


@pytest.fixture(scope="module")
def network() -> PromptableNetwork:
    torch.manual_seed(0)
    return PromptableNetwork(ConvEncoder((16, 32, 64), (1, 1, 1)), TINY).eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(3, 1, 48, 64, generator=torch.Generator().manual_seed(1))


POINTS = [torch.tensor([[5.0, 9.0], [60.0, 40.0]]), torch.zeros(0, 2), torch.tensor([[30.0, 20.0]])]


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_parameter_counts_of_the_paper() -> None:
    decoder = PromptableNetwork(Flat(384), PAPER)
    assert parameters(decoder.transformer) == 5_376_832 - 148_224  # two unused output projections
    assert parameters(decoder.upscaler) == 166_224
    assert parameters(decoder.hyper) == 314_160
    assert parameters(decoder.contrast) == 443_520
    assert parameters(decoder.detection) == 702_209
    assert parameters(decoder) == 7_003_329 - 148_224


def test_small_preset_is_below_five_million_parameters() -> None:
    assert parameters(PromptableNetwork(ConvEncoder((24, 48, 96), (1, 1, 2)), SMALL)) < 5_000_000


def test_mixing_is_the_identity_at_first_and_reaches_two_pixels_later() -> None:
    mixing, maps = Mixing(3), torch.zeros(1, 3, 7, 7)
    maps[0, :, 3, 3] = 1
    assert torch.equal(mixing(maps), maps)
    for convolution in (mixing.enter, mixing.leave):
        nn.init.ones_(convolution.weight)
        nn.init.zeros_(convolution.bias)
    spread = mixing(maps)[0, 0]
    # Each of the nine ways from the centre to the centre carries 3 channels, summed in each of 3 between.
    assert spread[3, 3] == 1 + 9 * 9
    assert spread[1, 1] == 9
    assert torch.count_nonzero(spread) == 25


def test_mixing_adds_its_convolutions_alone() -> None:
    def count(*, mixing: bool) -> int:
        return parameters(PromptableNetwork(ConvEncoder((24, 48, 96), (1, 1, 2)), replace(SMALL, mixing=mixing)))

    assert count(mixing=True) - count(mixing=False) == 2 * (16 * 16 * 9 + 16)


def test_vit_drops_the_class_token_and_takes_any_grid() -> None:
    vit = PatchTokenViT()
    assert parameters(vit) == 21_670_272 - 2 * 384
    (maps,) = vit(torch.rand(1, 1, 48, 32))
    assert maps.shape == (1, 384, 6, 4)
    assert (vit.channels, vit.strides) == ((384,), (8,))


@torch.no_grad()
def test_segmentation_is_equal_with_and_without_contrast_tokens(network: PromptableNetwork, images: Tensor) -> None:
    prompts = pad_points(POINTS)
    contrast = torch.rand(3, 7, 2) * 48
    plain = network(images, prompts, with_density=True)
    watched = network(images, prompts, contrast, torch.rand(3, 7) > 0.3, with_density=True)
    torch.testing.assert_close(watched.probability, plain.probability, atol=1e-5, rtol=0)
    torch.testing.assert_close(watched.density, plain.density, atol=1e-5, rtol=0)


@torch.no_grad()
def test_contrast_tokens_do_not_see_real_tokens_directly(network: PromptableNetwork) -> None:
    """With an image that is blind to the prompts, prompts cannot reach contrast tokens."""
    from dabench_promptable.decoder import attention_masks

    self_mask, image_mask = attention_masks(torch.tensor([[True, True, False]]), torch.tensor([[True, False]]))
    assert self_mask[0, 0].int().tolist() == [
        [1, 1, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [0, 0, 0, 1, 0],
        [0, 0, 0, 1, 1],
    ]
    assert image_mask[0, 0].int().tolist() == [[1, 1, 0, 0, 0]]


@torch.no_grad()
def test_padded_batch_equals_one_by_one(network: PromptableNetwork, images: Tensor) -> None:
    contrast = torch.rand(3, 5, 2) * 48
    valid = torch.tensor([[True] * 5, [True] * 2 + [False] * 3, [False] * 5])
    together = network(images, pad_points(POINTS), contrast, valid, with_density=True)
    for row, points in enumerate(POINTS):
        keep = valid[row]
        alone = network(images[row : row + 1], pad_points([points]), contrast[row, keep][None], None, with_density=True)
        torch.testing.assert_close(together.probability[row], alone.probability[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(together.density[row], alone.density[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(together.contrast_embeddings[row, keep], alone.contrast_embeddings[0])
        torch.testing.assert_close(together.prompt_embeddings[row, : len(points)], alone.prompt_embeddings[0])


@torch.no_grad()
def test_zero_prompts_are_automatic_mode(network: PromptableNetwork, images: Tensor) -> None:
    automatic = network(images).probability
    empty = network(images, pad_points([torch.zeros(0, 2)] * 3)).probability
    padded = network(images, Prompts(torch.rand(3, 4, 2), torch.zeros(3, 4, dtype=torch.bool))).probability
    torch.testing.assert_close(empty, automatic)
    torch.testing.assert_close(padded, automatic, atol=1e-5, rtol=0)
    assert automatic.shape == (3, 48, 64)
    assert automatic.min() >= 0
    assert automatic.max() <= 1


@torch.no_grad()
def test_prompts_matter_and_their_order_does_not(network: PromptableNetwork, images: Tensor) -> None:
    points = torch.rand(1, 4, 2) * 48
    valid = torch.ones(1, 4, dtype=torch.bool)
    one = network(images[:1], Prompts(points, valid)).probability
    other = network(images[:1], Prompts(points.flip(1), valid)).probability
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
    assert not torch.equal(one, network(images[:1]).probability)


def test_the_detection_head_is_skipped_unless_asked(network: PromptableNetwork, images: Tensor) -> None:
    calls: list[int] = []
    handle = network.detection.register_forward_hook(lambda *_: calls.append(1))
    assert network(images).density is None
    assert not calls
    assert network(images, with_density=True).density.shape == (3, 48, 64)
    handle.remove()


def test_gradients_are_finite_without_any_prompt(images: Tensor) -> None:
    network = PromptableNetwork(ConvEncoder((16, 32, 64), (1, 1, 1)), TINY)
    contrast = torch.rand(3, 4, 2) * 48
    out = network(images, pad_points(POINTS[1:2] * 3), contrast, torch.zeros(3, 4, dtype=torch.bool), with_density=True)
    assert out.density is not None
    assert out.contrast_embeddings is not None
    (out.probability.sum() + out.density.sum() + out.contrast_embeddings.sum()).backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


@torch.no_grad()
def test_bf16_autocast_returns_float32(network: PromptableNetwork, images: Tensor) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        out = network(images, pad_points(POINTS), torch.rand(3, 2, 2), with_density=True)
    assert {out.probability.dtype, out.density.dtype, out.contrast_embeddings.dtype} == {torch.float32}
    torch.testing.assert_close(out.probability, network(images, pad_points(POINTS)).probability, atol=0.05, rtol=0)


def test_heatmap_scale_multiplies_the_raw_output(images: Tensor) -> None:
    torch.manual_seed(0)
    one = PromptableNetwork(ConvEncoder((16, 32, 64), (1, 1, 1)), TINY, heatmap_scale=1.0)
    torch.manual_seed(0)
    other = PromptableNetwork(ConvEncoder((16, 32, 64), (1, 1, 1)), TINY, heatmap_scale=1 / 255)
    with torch.no_grad():
        first, second = one(images, with_density=True).density, other(images, with_density=True).density
    torch.testing.assert_close(first / 255, second)


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_conv_encoder_declares_its_maps(norm: str) -> None:
    encoder = ConvEncoder((8, 16, 24), (1, 1, 2), "group" if norm == "group" else "batch")
    maps = encoder(torch.rand(2, 1, 32, 48))
    for channels, stride, features in zip(encoder.channels, encoder.strides, maps, strict=True):
        assert features.shape == (2, channels, 32 // stride, 48 // stride)


def test_attention_width_must_fit_the_heads() -> None:
    with pytest.raises(ValueError, match="heads"):
        PromptableNetwork(Flat(24), Widths(dim=24, heads=5))


class Flat(nn.Module):
    """A backbone without parameters."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.channels, self.strides = (width,), (8,)

    def forward(self, images: Tensor) -> list[Tensor]:
        return [images[..., ::8, ::8].expand(-1, self.channels[0], -1, -1)]


@pytest.mark.parametrize("logit", [0.3, 17.0, 40.0])
def test_logits_are_those_of_the_enlarged_probability_and_keep_their_gradient(logit: float) -> None:
    coarse = torch.tensor([[[[logit, -logit]]]], dtype=torch.float64)
    enlarged = F.interpolate(coarse.sigmoid(), size=(2, 4), mode="bilinear", align_corners=False)
    maps = coarse.float().requires_grad_()
    found = PromptableNetwork._logits(torch.ones(1, 1), maps, (2, 4))
    assert found.shape == (1, 1, 2, 4)
    assert torch.allclose(found.sigmoid().double(), enlarged, atol=1e-6)
    # The corner pixel is the coarse one alone: a loss that finds it wrong pulls with all it has.
    assert found[0, 0, 0, 0].item() == pytest.approx(logit, rel=1e-5)
    (gradient,) = torch.autograd.grad(F.softplus(found[0, 0, 0, 0]), maps)
    assert gradient[0, 0, 0, 0].item() == pytest.approx(1 / (1 + math.exp(-logit)), rel=1e-4)


def test_the_release_aligns_the_corners_of_the_mask() -> None:
    """Aligned, corner pixels are those of the half-size map; with centres in place only the interpolation nearby is."""
    weights, maps = torch.ones(1, 1), torch.tensor([[[[4.0, 0.0]]]])
    high, low = 1 / (1 + math.exp(-4)), 0.5
    found = PromptableNetwork._logits(weights, maps, (1, 4), align_corners=True).sigmoid()[0, 0, 0]
    assert found.tolist() == pytest.approx([high, (2 * high + low) / 3, (high + 2 * low) / 3, low])
    found = PromptableNetwork._logits(weights, maps, (1, 4)).sigmoid()[0, 0, 0]
    assert found.tolist() == pytest.approx([high, (3 * high + low) / 4, (high + 3 * low) / 4, low])


def test_the_whole_network_aligns_where_it_is_told_to(images: Tensor) -> None:
    network = PromptableNetwork(ConvEncoder((16, 32, 64), (1, 1, 1)), TINY).eval()
    aligned = PromptableNetwork(ConvEncoder((16, 32, 64), (1, 1, 1)), replace(TINY, align_corners=True)).eval()
    aligned.load_state_dict(network.state_dict())
    assert not torch.equal(network(images).logits, aligned(images).logits)


@pytest.mark.parametrize("offset", [0.0, 0.1])
def test_the_position_table_is_sampled_as_in_the_release(offset: float) -> None:
    """Cubic convolution by hand along one row; DINO's 0.1 shifts every sample by a fraction of a cell."""
    vit, row = PatchTokenViT(grid_offset=offset), torch.rand(28)
    table = row.expand(28, 28).reshape(1, 784, 1).expand(-1, -1, 384)
    vit.positions = nn.Parameter(table.clone())
    for column in (5, 24, 40):
        place = (column + 0.5) * 28 / (48 + offset) - 0.5
        expected = sum(_cubic(place - cell) * row[cell].item() for cell in range(int(place) - 1, int(place) + 3))
        assert vit._resized(48, 48)[0, 24, column, 0].item() == pytest.approx(expected, abs=1e-5)
    assert torch.equal(vit._resized(28, 28).reshape(table.shape), table)


def _cubic(distance: float, slope: float = -0.75) -> float:
    """The kernel of cubic convolution (Keys 1981) with PyTorch's slope."""
    x = abs(distance)
    if x <= 1:
        return (slope + 2) * x**3 - (slope + 3) * x**2 + 1
    return slope * (x**3 - 5 * x**2 + 8 * x - 4)

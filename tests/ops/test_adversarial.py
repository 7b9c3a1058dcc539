"""Discriminators: sizes, losses by hand, and who learns from what."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from dabench.ops.adversarial import (
    SOURCE,
    TARGET,
    PatchDiscriminator,
    discriminator_terms,
    domain_loss,
    frozen,
    two_classes,
)


def test_a_discriminator_halves_the_map_five_times() -> None:
    discriminator = PatchDiscriminator(2)
    assert discriminator(torch.rand(3, 2, 96, 64)).shape == (3, 1, 3, 2)
    # Weights of 4x4 convolutions 2-64-128-256-512-1 and their biases: AdaptSegNet's discriminator.
    widths = (2, 64, 128, 256, 512, 1)
    counted = sum(16 * a * b + b for a, b in pairwise(widths))
    assert sum(p.numel() for p in discriminator.parameters()) == counted


def test_a_norm_adds_no_parameters() -> None:
    plain, normed = PatchDiscriminator(2, (32, 64)), PatchDiscriminator(2, (32, 64), groups=32)
    assert sum(p.numel() for p in plain.parameters()) == sum(p.numel() for p in normed.parameters())
    assert any(isinstance(m, nn.GroupNorm) for m in normed.modules())


def test_domain_loss_by_hand() -> None:
    logits = torch.tensor([[0.0, 2.0]])
    assert domain_loss(logits, TARGET).item() == pytest.approx((math.log(2) + math.log1p(math.exp(-2))) / 2)
    assert domain_loss(logits, SOURCE).item() == pytest.approx((math.log(2) + math.log1p(math.exp(2))) / 2)
    assert domain_loss(torch.tensor([500.0]), SOURCE).item() == pytest.approx(500)


def test_each_judge_loses_half_a_loss_a_domain() -> None:
    source, target = torch.tensor([0.0]), torch.tensor([2.0])
    terms = discriminator_terms(
        {"same": (nn.Identity(), source, target), "turned": (nn.Hardtanh(-1, 1), target, source)}
    )
    right, wrong = math.log1p(math.exp(-2)), math.log1p(math.exp(1))
    expected = {
        "same_source": math.log(2) / 2,
        "turned_source": wrong / 2,
        "same_target": right / 2,
        "turned_target": math.log(2) / 2,
    }
    # The order decides how the terms' sum is rounded.
    assert list(terms) == list(expected)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected)


def test_frozen_passes_gradients_through_but_keeps_none() -> None:
    discriminator, maps = PatchDiscriminator(1, (8,)), torch.rand(1, 1, 16, 16, requires_grad=True)
    with frozen(discriminator):
        loss = domain_loss(discriminator(maps), SOURCE)
    loss.backward()
    assert maps.grad is not None
    assert maps.grad.abs().sum() > 0
    assert all(p.grad is None and p.requires_grad for p in discriminator.parameters())


def test_what_was_frozen_before_stays_so() -> None:
    discriminator = PatchDiscriminator(1, (8,)).requires_grad_(False)
    with frozen(discriminator):
        pass
    assert not any(p.requires_grad for p in discriminator.parameters())


def test_two_classes_sum_to_one() -> None:
    maps = two_classes(torch.tensor([[[[math.log(1 / 3), 90.0]]]]))
    torch.testing.assert_close(maps, torch.tensor([[[[0.75, 0.0]], [[0.25, 1.0]]]]))

"""rn-dpo: its loss and gradient by hand, what the size of a region does, and the pairs of an answer."""

import math

import numpy as np
import pytest
import torch
from dabench_preference.losses import log_probability
from dabench_preference.region import RegionNormalised, RegionSettings, region_margins
from hypothesis import given
from hypothesis import strategies as st

#: One row of four pixels: the preferred mask has the first two.
CHOSEN = [[[True, True, False, False]]]
#: The preferred mask, one that differs in one pixel, and its opposite.
SHOWN = torch.tensor([[[[True, True, False, False]], [[True, True, True, False]], [[False, False, True, True]]]])
PREFERRED = torch.tensor([[1.0, 0.0, 0.0]])


def loss(logits, reference=None, shown=SHOWN, valid=None, preferred=PREFERRED, **settings):
    frozen = torch.zeros_like(logits) if reference is None else reference
    valid = torch.ones(shown.shape[:2], dtype=torch.bool) if valid is None else valid
    preferred = preferred[:, : shown.shape[1]]
    return RegionNormalised(RegionSettings(**settings)).loss(logits, frozen, shown, valid, preferred)


def test_margins_and_loss_by_hand():
    logits, reference = torch.tensor([[[1.0, 2.0, -3.0, 0.5]]]), torch.tensor([[[0.0, 1.0, 1.0, 0.0]]])
    margins, sizes = region_margins(logits, reference, torch.tensor(CHOSEN), SHOWN)
    assert sizes.tolist() == [[0, 1, 4]]
    assert margins.tolist() == [[0.0, 4.0, (1 + 1 + 4 - 0.5) / 4]]
    expected = (math.log1p(math.exp(-2 * 4)) + math.log1p(math.exp(-2 * 1.375))) / 2
    assert loss(logits, reference, beta=2.0).item() == pytest.approx(expected)
    assert loss(logits, reference, beta=2.0, negatives="single").item() == pytest.approx(math.log1p(math.exp(-2.75)))


def test_gradient_by_hand():
    """-β σ(-β m) s_i / |D| for each pair, here at the reference where every σ is one half."""
    logits = torch.zeros(1, 1, 4, requires_grad=True)
    loss(logits, beta=3.0).sum().backward()
    one, all_four = 3 * 0.5, 3 * 0.5 / 4
    by_hand = [-all_four / 2, -all_four / 2, (one + all_four) / 2, all_four / 2]
    torch.testing.assert_close(logits.grad, torch.tensor([[by_hand]]))


def test_gradient_away_from_the_reference():
    logits = torch.tensor([[[0.5, -1.0, 0.25, 2.0]]], requires_grad=True)
    loss(logits, beta=2.0, negatives="single").sum().backward()
    margin = (0.5 - 1.0 - 0.25 - 2.0) / 4
    push = 2 / (1 + math.exp(2 * margin)) / 4
    torch.testing.assert_close(logits.grad, push * torch.tensor([[[-1.0, -1.0, 1.0, 1.0]]]))


@given(st.integers(1, 64), st.floats(-3, 3))
def test_the_size_of_a_region_does_not_count(size, moved):
    """The same step of all differing logits is the same loss; of plain DPO, a sum, the loss grows with the region."""
    chosen, other = torch.zeros(1, 1, 64, dtype=torch.bool), torch.zeros(1, 1, 64, dtype=torch.bool)
    chosen[..., :size] = True
    margins, _ = region_margins(moved * torch.ones(1, 1, 64), torch.zeros(1, 1, 64), chosen, other[:, None])
    assert margins.item() == pytest.approx(moved, abs=1e-5)


@given(st.integers(0, 1000))
def test_a_margin_is_the_difference_of_log_ratios_a_pixel(seed):
    generator = torch.Generator().manual_seed(seed)
    logits, reference = torch.randn(2, 3, 5, 5, generator=generator)
    masks = torch.rand(3, 4, 5, 5, generator=generator) > 0.5
    rewards = log_probability(logits, masks, reduction="sum") - log_probability(reference, masks, reduction="sum")
    margins, sizes = region_margins(logits, reference, masks[:, 0], masks)
    torch.testing.assert_close(margins * sizes, rewards[:, :1] - rewards, atol=1e-4, rtol=1e-4)


def test_equal_masks_and_padding_make_no_pair():
    twice = torch.cat([SHOWN[:, :1], SHOWN[:, :2]], dim=1)
    logits = torch.tensor([[[1.0, 2.0, -3.0, 0.5]]])
    one_pair = loss(logits, shown=SHOWN[:, :2])
    torch.testing.assert_close(loss(logits, shown=twice), one_pair)
    padded = torch.tensor([[True, True, False]])
    torch.testing.assert_close(loss(logits, valid=padded), one_pair)
    torch.testing.assert_close(loss(logits, valid=padded, negatives="single"), one_pair)
    assert loss(logits, shown=SHOWN[:, :1], negatives="single").item() == 0


def test_ties_are_compared_with_the_others_alone():
    """Half of "the first against the last" and half of "the second against the last"."""
    logits = torch.tensor([[[1.0, 2.0, -3.0, 0.5]]])
    tie = loss(logits, preferred=torch.tensor([[0.5, 0.5, 0.0]]))
    first, second = (loss(logits, shown=SHOWN[:, [i, 2]]) for i in (0, 1))
    torch.testing.assert_close(tie, (first + second) / 2)
    assert loss(logits, preferred=torch.full((1, 3), 1 / 3)).item() == 0


def test_asks_for_its_share_among_patches_that_differ():
    informative = np.arange(40) % 2 == 0
    asked = RegionNormalised(RegionSettings()).select(informative, 0.15, np.random.default_rng(0))
    assert len(asked) == 6
    assert informative[asked].all()
    assert RegionNormalised(RegionSettings(share=0.3)).share == 0.3

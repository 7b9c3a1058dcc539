"""Losses that several methods share, on hand-made tensors: weighted overlap, detection from a few centres."""

from __future__ import annotations

import math

import pytest
import torch

from dabench.ops.density import density_maps, peak_weights
from dabench.ops.losses import overlap_loss, pixel_cross_entropy, segmentation_loss, sparse_detection_loss
from dabench.ops.prompts import pad_points
from dabench.testing.fixtures import as_logits
from dabench.types import IGNORE

NOBODY = [torch.zeros(0, 2)]
NOWHERE = torch.zeros(1, 120, 120, dtype=torch.bool)


def test_a_pixel_of_the_overlap_counts_by_its_weight() -> None:
    logits, labels = as_logits(torch.tensor([[[0.5, 0.5, 0.8, 1.0]]])), torch.tensor([[[1, 0, 1, IGNORE]]])
    weights = torch.tensor([[[1.0, 0.5, 0.0, 1.0]]])
    by_hand = 1 - (2 * 0.5 + 1) / ((0.5 + 0.25) + 1 + 1)
    assert overlap_loss(logits, labels, weights).item() == pytest.approx(by_hand)
    assert torch.equal(overlap_loss(logits, labels, torch.ones(1, 1, 4)), overlap_loss(logits, labels))
    assert overlap_loss(logits, labels, torch.zeros(1, 1, 4)).item() == 0


@pytest.mark.parametrize("logit", [17.0, 40.0])
@pytest.mark.parametrize("label", [0, 1])
def test_a_pixel_that_is_surely_wrong_has_a_gradient(logit: float, label: int) -> None:
    """Of the float32 probability that 17 becomes, 1.0, no gradient came back."""
    wrong = logit if label == 0 else -logit
    logits = torch.full((1, 1, 1, 2), wrong, requires_grad=True)
    losses = pixel_cross_entropy(logits, torch.tensor([[[label, IGNORE]]]))
    assert losses.tolist() == [[[pytest.approx(logit), 0.0]]]
    losses.sum().backward()
    assert logits.grad is not None
    assert logits.grad.flatten().tolist() == [pytest.approx(math.copysign(1.0, wrong), rel=1e-6), 0.0]


def test_one_class_is_all_there_is() -> None:
    for shape in ((1, 2, 4, 4), (1, 4, 4)):
        with pytest.raises(ValueError, match="one foreground class"):
            segmentation_loss(torch.zeros(shape), torch.zeros(1, 4, 4, dtype=torch.uint8))


def test_sparse_detection_asks_nothing_of_an_object_nobody_pointed_at() -> None:
    density = torch.zeros(1, 100, 100, requires_grad=True)
    background = torch.zeros(1, 100, 100, dtype=torch.bool)
    background[0, 90:, 90:] = True
    loss = sparse_detection_loss(density + 1, NOBODY, background)
    assert loss.item() == pytest.approx(1.0)  # the hundred background pixels alone
    loss.backward()
    assert density.grad is not None
    assert torch.equal(density.grad != 0, background)


def test_sparse_detection_learns_around_known_centres() -> None:
    point = [torch.tensor([[50.0, 50.0]])]
    truth = density_maps(pad_points(point), (120, 120))
    assert sparse_detection_loss(truth, point, NOWHERE).item() == 0
    errors, known = (truth**2 * peak_weights(point, (120, 120))).sum(), int((truth > 0).sum())
    for spare in (0, 1):
        by_hand = errors.item() / (known + spare)
        found = sparse_detection_loss(torch.zeros_like(truth), point, NOWHERE, spare)
        assert found.item() == pytest.approx(by_hand, rel=1e-6)


@pytest.mark.parametrize("spare", [0, 1])
def test_sparse_detection_without_anything_known_is_zero(spare: int) -> None:
    assert sparse_detection_loss(torch.ones(1, 120, 120), NOBODY, NOWHERE, spare).item() == 0

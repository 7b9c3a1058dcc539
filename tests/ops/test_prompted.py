"""Masks of single prompts: which points mean what, and losses against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from dabench.ops.prompted import (
    PromptMasks,
    dice_losses,
    draw_prompts,
    focal_losses,
    known_pixels,
    mask_terms,
    true_quality,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


LABELS = torch.tensor(
    [
        [[1, 1, 0, 0], [0, 0, 0, 255], [0, 0, 1, 0]],
        [[0, 0, 0, 0], [0, 0, 0, 0], [255, 255, 255, 255]],
    ],
    dtype=torch.uint8,
)


@pytest.mark.parametrize("seed", range(5))
def test_a_point_lies_in_what_it_means(seed: int) -> None:
    drawn = draw_prompts(LABELS, 6, 2, generator(seed))
    assert drawn.of.tolist() == [0, 0, 0, 0, 1, 1]
    for point, mask, crop in zip(drawn.points[:, 0].long(), drawn.masks, drawn.of, strict=True):
        x, y = point.tolist()
        label = int(LABELS[crop][y, x])
        assert label != 255
        assert bool(mask[y, x]) == bool(mask.any()) == (label == 1)
    assert sorted(int(mask.sum()) for mask in drawn.masks) == [0, 0, 0, 0, 1, 2], "whole components, or nothing"


def test_no_more_objects_than_asked_for() -> None:
    assert draw_prompts(LABELS, 1, 0, generator()).of.tolist() == [0]
    assert draw_prompts(LABELS[1:], 1, 0, generator()).masks.shape == (0, 3, 4)


def test_which_mask_is_the_best() -> None:
    masks = PromptMasks(torch.arange(6.0).view(2, 3, 1, 1), torch.tensor([[0.1, 0.9, 0.2], [0.5, 0.1, 0.4]]))
    logits, quality = masks.best()
    assert logits.flatten().tolist() == [1, 3]
    assert quality.tolist() == pytest.approx([0.9, 0.5])


ONE = torch.ones(1, 1, 2, dtype=torch.bool)


def test_focal_loss_by_hand() -> None:
    """At logit 0 p is one half: α (1 - p)² ln 2 of foreground, (1 - α) p² ln 2 of background."""
    truth = torch.tensor([[[True, False]]])
    zero = torch.zeros(1, 1, 1, 2)
    assert float(focal_losses(zero, truth, ONE)) == pytest.approx((0.25 + 0.75) / 2 * 0.25 * math.log(2))
    known = torch.tensor([[[True, False]]])
    assert float(focal_losses(zero, truth, known)) == pytest.approx(0.25 * 0.25 * math.log(2))
    assert float(focal_losses(zero, truth, torch.zeros_like(ONE))) == 0


def test_dice_loss_by_hand() -> None:
    """p is 1 and 0 where the truth is 1 and 1: 1 - (2 + 1) / (3 + 1); what is not known counts for nothing."""
    sure = torch.tensor([[[[40.0, -40.0]]]])
    assert float(dice_losses(sure, ONE, ONE)) == pytest.approx(0.25)
    assert float(dice_losses(sure, ONE, torch.tensor([[[True, False]]]))) == pytest.approx(0)


def test_true_quality_by_hand() -> None:
    logits = torch.tensor([[[[1.0, -1.0]], [[1.0, 1.0]], [[-1.0, -1.0]]]])
    assert true_quality(logits, torch.tensor([[[True, False]]]), ONE).tolist() == [[1.0, 0.5, 0.0]]
    assert true_quality(logits[:, 2:], torch.zeros_like(ONE), ONE).tolist() == [[0.0]]


def test_the_best_mask_alone_is_taught_and_every_quality() -> None:
    logits = torch.tensor([[[[9.0, 9.0]], [[-9.0, -9.0]]]], requires_grad=True)
    quality = torch.tensor([[0.5, 0.5]], requires_grad=True)
    terms = mask_terms(PromptMasks(logits, quality), ONE, ONE)
    assert float(terms["quality"]) == pytest.approx(0.25), "true IoU is 1 and 0, expected one half of both"
    (terms["masks"] + terms["quality"]).backward()
    assert logits.grad is not None
    assert quality.grad is not None
    assert logits.grad[0, 0].any()
    assert not logits.grad[0, 1].any()
    assert quality.grad[0].tolist() == [-0.5, 0.5]


def test_without_prompts_nothing_is_lost() -> None:
    nothing = PromptMasks(torch.zeros(0, 3, 1, 2, requires_grad=True), torch.zeros(0, 3, requires_grad=True))
    terms = mask_terms(nothing, torch.zeros(0, 1, 2, dtype=torch.bool), torch.zeros(0, 1, 2, dtype=torch.bool))
    assert {name: float(term) for name, term in terms.items()} == {"masks": 0, "quality": 0}
    (terms["masks"] + terms["quality"]).backward()


def test_unknown_pixels_are_those_of_the_prompts_crop() -> None:
    known = known_pixels(LABELS, torch.tensor([1, 0, 1]))
    assert known.sum((-2, -1)).tolist() == [8, 11, 8]

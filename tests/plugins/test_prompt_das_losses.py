"""The losses of Prompt-DAS on hand-made tensors."""

import math

import pytest
import torch
from dabench_mean_teacher import strong_fraction
from dabench_prompt_das.contrast import prompt_contrast_loss
from dabench_prompt_das.pseudo_points import RULES, _trusted

from dabench.ops.losses import DETECTION_WEIGHT, confident_labels, detection_loss, overlap_loss, segmentation_loss
from dabench.testing.fixtures import as_logits
from dabench.types import IGNORE

LABELS = torch.tensor([[[1, 0, IGNORE]]])


def test_cross_entropy_ignores_unknown_pixels() -> None:
    logits = as_logits(torch.tensor([[[0.8, 0.4, 0.0]]]))
    expected = -(math.log(0.8) + math.log(0.6)) / 2
    assert segmentation_loss(logits, LABELS).item() == pytest.approx(expected)
    assert segmentation_loss(logits, LABELS, torch.tensor([[[0.5]]])).item() == pytest.approx(expected / 2)


def test_nothing_labelled_costs_nothing_and_extremes_stay_finite() -> None:
    logits = torch.tensor([[[[-90.0, 90.0, 0.0]]]], requires_grad=True)
    unknown = torch.full_like(LABELS, IGNORE)
    assert segmentation_loss(logits, unknown).item() == 0
    (segmentation_loss(logits, LABELS) + overlap_loss(logits, unknown)).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_overlap_loss_by_hand() -> None:
    logits = as_logits(torch.tensor([[[0.5, 0.5, 1.0]]]))
    assert overlap_loss(logits, LABELS).item() == pytest.approx(1 - (2 * 0.5 + 1) / (1 + 1 + 1))
    assert overlap_loss(torch.full((1, 1, 4, 4), -90.0), torch.zeros(1, 4, 4)).item() == 0


def test_confident_labels_and_strong_fraction() -> None:
    probability = torch.tensor([[[0.99, 0.8, 0.6, 0.4, 0.25, 0.01]]])
    labels = confident_labels(probability, weak=0.7)
    assert labels.tolist() == [[[1, 1, IGNORE, IGNORE, 0, 0]]]
    assert strong_fraction(probability, strong=0.97).item() == pytest.approx(2 / 6)  # of all pixels (ReCo)


def test_detection_loss_has_the_papers_scale() -> None:
    density, target = torch.rand(2, 8, 8), torch.rand(2, 8, 8)
    on_255 = ((255 * density - 255 * target) ** 2).mean() * 1e-3
    assert (DETECTION_WEIGHT * detection_loss(density, target)).item() == pytest.approx(on_255.item(), rel=1e-3)
    assert detection_loss(density, target, torch.zeros(2, 8, 8)).item() == 0


def test_contrast_loss_by_hand() -> None:
    positive = torch.tensor([[2.0, 0.0]])
    queries = torch.tensor([[3.0, 0.0]])
    negatives = torch.tensor([[0.0, 5.0], [-1.0, 0.0]])
    expected = -math.log(math.exp(2) / (math.exp(2) + math.exp(0) + math.exp(-2)))
    assert prompt_contrast_loss(positive, queries, negatives).item() == pytest.approx(expected, rel=1e-5)


def test_frozen_keys_get_no_gradient_and_empty_groups_no_loss() -> None:
    positive, negatives = torch.randn(3, 4, requires_grad=True), torch.randn(6, 4, requires_grad=True)
    queries = torch.randn(5, 4, requires_grad=True)
    prompt_contrast_loss(positive, queries, negatives, frozen_keys=True).backward()
    assert positive.grad is None
    assert negatives.grad is None
    assert queries.grad is not None
    assert prompt_contrast_loss(positive[:0], queries, negatives).item() == 0
    assert prompt_contrast_loss(positive, queries[:0], negatives).item() == 0


def test_contrast_loss_is_mean_over_queries_and_order_free() -> None:
    positive, queries, negatives = torch.randn(3, 4), torch.randn(5, 4), torch.randn(6, 4)
    whole = prompt_contrast_loss(positive, queries, negatives)
    torch.testing.assert_close(prompt_contrast_loss(positive, queries.repeat(2, 1), negatives), whole)
    torch.testing.assert_close(prompt_contrast_loss(positive.flip(0), queries.flip(0), negatives.flip(0)), whole)


def test_the_releases_rule_for_points_is_a_threshold_and_a_neighbourhood() -> None:
    """Ours wants a confident probability and a whole object as well, and takes a low map by its own highest peak."""
    density, probability = torch.zeros(32, 32), torch.full((32, 32), 0.9)
    for height, (x, y) in ((0.6, (2, 16)), (0.45, (16, 16)), (0.55, (20, 28))):
        density[y, x] = height
    probability[28, 20] = 0.6
    release, cautious = (_trusted(probability, density, RULES[name]) for name in ("release", "cautious"))
    assert sorted(release.tolist()) == [[2, 16], [20, 28]]
    assert cautious.tolist() == [[16, 16]]

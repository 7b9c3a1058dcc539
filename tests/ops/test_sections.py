"""Pairs of sections: labels and losses by hand, and what a pair is viewed through."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from dabench.ops.augmentation import PLAIN, WEAK
from dabench.ops.losses import overlap_loss
from dabench.ops.sections import (
    PairOutput,
    adopt_backbone,
    difference_labels,
    map_terms,
    pair_terms,
    section_consistency,
    sigmoid_ramp,
    stack_sections,
    view_pairs,
)
from dabench.testing.fixtures import as_logits
from dabench.types import IGNORE, CropId, SourceCrops, TargetCrops, Window


def row(*values: float) -> Tensor:
    """Logits of one row of probabilities."""
    return as_logits(torch.tensor([[list(values)]]))


def labelled(first: Tensor, second: Tensor | None) -> SourceCrops:
    partner = None if second is None else SourceCrops(second[:, None].float() / 255, second, [])
    return SourceCrops(first[:, None].float() / 255, first, [], partner)


def unlabelled(side: int = 12) -> TargetCrops:
    origins = [CropId(0, Window(0, 0, side, side))] * 2
    plane = torch.rand(2, 1, side, side)
    return TargetCrops(plane, [], origins, TargetCrops(plane / 2, [], origins))


def test_difference_labels_are_xor_and_know_what_is_unknown() -> None:
    first = torch.tensor([[[0, 0, 1, 1, IGNORE, 0]]], dtype=torch.uint8)
    second = torch.tensor([[[0, 1, 0, 1, 1, IGNORE]]], dtype=torch.uint8)
    found = difference_labels(first, second)
    assert found.tolist() == [[[0, 1, 1, 0, IGNORE, IGNORE]]]
    assert found.dtype == torch.uint8


def test_three_terms_by_hand() -> None:
    crops = labelled(torch.tensor([[[1, 0]]], dtype=torch.uint8), torch.tensor([[[0, IGNORE]]], dtype=torch.uint8))
    output = PairOutput(row(0.5, 0.25), auxiliary=row(0.2, 0.9), difference=row(0.8, 0.9))
    terms = pair_terms(output, crops, 0.0)
    assert terms["current"].item() == pytest.approx(-(math.log(0.5) + math.log(0.75)) / 2)
    assert terms["auxiliary"].item() == pytest.approx(-math.log(0.8))
    assert terms["difference"].item() == pytest.approx(-math.log(0.8))
    with_overlap = pair_terms(output, crops, 2.0)["current"] - terms["current"]
    assert with_overlap.item() == pytest.approx(2 * overlap_loss(output.logits, crops.labels).item())


def test_consistency_by_hand() -> None:
    # Pixel 0: the sections differ and the difference says so; pixel 1: they differ, it says not; pixel 2: both agree.
    output = PairOutput(row(0.9, 0.8, 0.3), auxiliary=row(0.2, 0.1, 0.1), difference=row(0.6, 0.4, 0.1))
    of_difference = -(math.log(0.6) + math.log(0.4) + math.log(0.9)) / 3
    of_sections = -(math.log(0.7) + math.log(0.3) + math.log(0.8)) / 3
    assert section_consistency(output).item() == pytest.approx(of_difference + of_sections)


def test_consistency_is_zero_where_all_agree_and_finite_at_the_extremes() -> None:
    agree = PairOutput(row(1.0, 0.0), auxiliary=row(0.0, 0.0), difference=row(1.0, 0.0))
    assert section_consistency(agree).item() == pytest.approx(0, abs=1e-6)
    current = row(0.5, 1.0).requires_grad_()
    clash = PairOutput(current, auxiliary=row(0.5, 1.0), difference=row(1.0, 1.0))
    section_consistency(clash).backward()
    assert current.grad is not None
    assert torch.isfinite(current.grad).all()


def test_consistency_teaches_all_three_maps() -> None:
    current, auxiliary, difference = (row(v).requires_grad_() for v in (0.8, 0.3, 0.4))
    section_consistency(PairOutput(current, auxiliary=auxiliary, difference=difference)).backward()
    # The decision "they differ" raises the difference; the decision "no difference" draws the sections together.
    assert difference.grad is not None
    assert difference.grad.item() == pytest.approx(-0.6)  # dp / dz = p (1 - p)
    assert current.grad is not None
    assert current.grad.item() == pytest.approx(0.8 * 0.2 / 0.5)
    assert auxiliary.grad is not None
    assert auxiliary.grad.item() == pytest.approx(-0.3 * 0.7 / 0.5)


def test_single_sections_are_refused() -> None:
    alone = labelled(torch.zeros(1, 2, 2, dtype=torch.uint8), None)
    with pytest.raises(ValueError, match="neighbour"):
        stack_sections(alone)
    with pytest.raises(ValueError, match="neighbour"):
        pair_terms(PairOutput(row(0.5)), alone, 0.0)
    with pytest.raises(ValueError, match="with_pair"):
        map_terms(PairOutput(row(0.5)), (row(0), row(0), row(0)))


def test_both_sections_go_through_one_view() -> None:
    crops = unlabelled()
    plain = view_pairs(crops, PLAIN, torch.Generator().manual_seed(0))
    assert torch.allclose(plain, stack_sections(crops), atol=1e-6)
    seen = view_pairs(crops, WEAK, torch.Generator().manual_seed(1))
    assert seen.shape == (2, 2, 12, 12)
    assert not torch.equal(seen, plain)
    assert torch.allclose(seen[:, 0] / 2, seen[:, 1], atol=1e-6)


def test_the_ramp() -> None:
    assert sigmoid_ramp(0, 100) == pytest.approx(math.exp(-5))
    assert sigmoid_ramp(50, 100) == pytest.approx(math.exp(-1.25))
    assert sigmoid_ramp(100, 100) == sigmoid_ramp(1000, 100) == 1
    assert sigmoid_ramp(0, 0) == 1


class OnBackbone(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.backbone, self.head = nn.Conv2d(1, width, 3), nn.Conv2d(width, 1, 1)


def test_a_backbone_is_adopted_and_nothing_else() -> None:
    mine, trained = OnBackbone(3), OnBackbone(3)
    head = mine.head.weight.detach().clone()
    adopt_backbone(mine, trained)
    assert torch.equal(mine.backbone.weight, trained.backbone.weight)
    assert mine.backbone.weight is not trained.backbone.weight
    assert torch.equal(mine.head.weight, head)


def test_another_backbone_or_none_is_refused() -> None:
    with pytest.raises(ValueError, match="another backbone"):
        adopt_backbone(OnBackbone(3), OnBackbone(4))
    with pytest.raises(ValueError, match="on a backbone"):
        adopt_backbone(OnBackbone(3), nn.Conv2d(1, 1, 1))

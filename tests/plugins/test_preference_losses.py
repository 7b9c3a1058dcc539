"""Preference losses: numbers by hand, the sign, and equality with one negative."""

import math

import pytest
import torch
from dabench_preference import DirectPreference, PreferenceSettings
from dabench_preference.losses import (
    differing_pixels,
    log_probability,
    multi_negative_loss,
    single_negative_loss,
)
from hypothesis import given
from hypothesis import strategies as st

from dabench.ops.candidates import pad_candidates, threshold_candidates

REWARDS = st.floats(-5, 5)


def test_log_probability_by_hand() -> None:
    logits = torch.tensor([[[0.9, 0.2]]]).logit()
    labelling = torch.tensor([[[[True, False]], [[True, True]]]])
    mean = log_probability(logits, labelling)
    expected = [(math.log(0.9) + math.log(0.8)) / 2, (math.log(0.9) + math.log(0.2)) / 2]
    torch.testing.assert_close(mean, torch.tensor([expected]))
    torch.testing.assert_close(log_probability(logits, labelling, reduction="sum"), mean * 2)
    differing = log_probability(logits, labelling, reduction="differing")
    torch.testing.assert_close(differing, torch.tensor([[math.log(0.8), math.log(0.2)]]))


def test_log_probability_within_a_region_and_of_impossible_masks() -> None:
    logits = torch.tensor([[[40.0, 0.0]]])
    labelling = torch.tensor([[[[False, True]]]])
    region = torch.tensor([[[False, True]]])
    torch.testing.assert_close(log_probability(logits, labelling, region), torch.tensor([[math.log(0.5)]]))
    assert log_probability(logits, labelling).item() == pytest.approx((-40 + math.log(0.5)) / 2)
    assert log_probability(logits, labelling, region & False).item() == 0


def test_differing_pixels_ignore_padding() -> None:
    labelling = torch.tensor([[[[True, False]], [[True, True]], [[False, False]]]])
    assert differing_pixels(labelling).tolist() == [[[True, True]]]
    assert differing_pixels(labelling, torch.tensor([[True, True, False]])).tolist() == [[[False, True]]]


def test_losses_by_hand() -> None:
    preferred, dispreferred = torch.tensor([1.0]), torch.tensor([[0.0, -1.0]])
    inner = -math.log(math.exp(-1) + math.exp(-2))
    expected = math.log1p(math.exp(-inner))
    assert multi_negative_loss(preferred, dispreferred).item() == pytest.approx(expected, rel=1e-5)
    assert single_negative_loss(preferred, dispreferred[:, 0]).item() == pytest.approx(math.log1p(math.exp(-1)))


@given(REWARDS, REWARDS, st.floats(0.1, 5))
def test_one_negative_is_the_single_form(preferred: float, dispreferred: float, beta: float) -> None:
    p, d = torch.tensor([preferred]), torch.tensor([dispreferred])
    torch.testing.assert_close(multi_negative_loss(p, d[:, None], beta=beta), single_negative_loss(p, d, beta))


@given(REWARDS, st.lists(REWARDS, min_size=1, max_size=4))
def test_the_loss_falls_as_the_preferred_rises_and_the_others_fall(preferred: float, others: list[float]) -> None:
    """The sign printed in the paper fails this."""
    p = torch.tensor([preferred], requires_grad=True)
    d = torch.tensor([others], requires_grad=True)
    multi_negative_loss(p, d).sum().backward()
    assert p.grad is not None
    assert d.grad is not None
    assert p.grad.item() < 0
    assert bool((d.grad > 0).all())


def test_padding_changes_nothing_and_a_patch_without_negatives_is_silent() -> None:
    preferred = torch.tensor([0.3, 0.1], requires_grad=True)
    dispreferred = torch.tensor([[0.2, -0.4, 9.0], [1.0, 2.0, 3.0]], requires_grad=True)
    valid = torch.tensor([[True, True, False], [False, False, False]])
    losses = multi_negative_loss(preferred, dispreferred, valid)
    torch.testing.assert_close(losses[:1], multi_negative_loss(preferred[:1], dispreferred[:1, :2]))
    assert losses[1] == 0
    losses.sum().backward()
    assert preferred.grad is not None
    assert dispreferred.grad is not None
    assert torch.isfinite(preferred.grad).all()
    assert preferred.grad[1] == 0
    assert dispreferred.grad[0, 2] == 0


def test_patches_do_not_mix() -> None:
    """The released 1-D path loops over the batch; ours must equal patch by patch."""
    preferred, dispreferred = torch.randn(5), torch.randn(5, 3)
    alone = torch.cat([multi_negative_loss(preferred[i : i + 1], dispreferred[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(multi_negative_loss(preferred, dispreferred), alone)


def test_large_rewards_stay_finite() -> None:
    assert torch.isfinite(multi_negative_loss(torch.tensor([-1e4]), torch.tensor([[1e4, 1e4]]))).all()


def patch(*likelier: float) -> tuple[torch.Tensor, ...]:
    """A row of pixels, a candidate for each that holds it alone, and logits under which its ratio is this number.

    With `sum`, log π / π_0 of candidate i is ``likelier[i]`` plus a term that all candidates share.
    """
    masks = torch.eye(len(likelier), dtype=torch.bool)[None, :, None]
    return torch.tensor([[likelier]]), torch.zeros(1, 1, len(likelier)), masks, torch.ones(1, len(likelier)).bool()


@pytest.mark.parametrize("negatives", ["multiple", "single"])
@pytest.mark.parametrize(
    ("preferred", "expected"),
    [
        ([0.0, 1.0, 0.0], "one"),
        ([0.5, 0.5, 0.0], "tie"),
        ([1 / 3, 1 / 3, 1 / 3], "nothing"),
        ([0.0, 0.0, 0.0], "nothing"),
        ([0.0, 0.25, 0.0], "a quarter"),
    ],
)
def test_ties_count_by_weight_and_never_against_each_other(negatives: str, preferred: list, expected: str) -> None:
    """Ratios 2, 1, 0 (β = 1). The second chosen: log(1 + e^(2-1) + e^(0-1)), or against the first alone.

    The first two tie: half of log(1 + e^-2) and half of log(1 + e^-1), both against the third.
    """
    optimizer = DirectPreference(PreferenceSettings(negatives=negatives, reduction="sum"))  # type: ignore[arg-type]
    one = math.log1p(math.exp(1) + (math.exp(-1) if negatives == "multiple" else 0))
    tie = (math.log1p(math.exp(-2)) + math.log1p(math.exp(-1))) / 2
    wanted = {"one": one, "tie": tie, "nothing": 0.0, "a quarter": one / 4}[expected]
    found = optimizer.loss(*patch(2.0, 1.0, 0.0), torch.tensor([preferred]))
    assert found.tolist() == pytest.approx([wanted], rel=1e-5)


def test_a_tie_pulls_both_up_alike() -> None:
    """Three masks that are equally likely, two of which tie: their pixels gain the same, that of the third loses."""
    logits, *rest = patch(0.0, 0.0, 0.0)
    logits.requires_grad_()
    optimizer = DirectPreference(PreferenceSettings(reduction="sum"))
    optimizer.loss(logits, *rest, torch.tensor([[0.5, 0.5, 0.0]])).sum().backward()
    assert logits.grad is not None
    first, second, third = logits.grad[0, 0].tolist()
    assert first == pytest.approx(second)
    assert first < 0 < third


def test_candidates_are_different_and_nearest_one_half_first() -> None:
    probability = torch.tensor([[0.1, 0.55, 0.95], [0.1, 0.45, 0.95]])
    candidates = threshold_candidates(probability)
    assert candidates.thresholds == (0.5, 0.4, 0.6)
    assert [int(m.sum()) for m in candidates.masks] == [3, 4, 2]
    assert candidates.informative
    assert not threshold_candidates(torch.zeros(4, 4)).informative


def test_padded_candidates() -> None:
    masks, valid = pad_candidates([torch.ones(3, 2, 2, dtype=torch.bool), torch.zeros(1, 2, 2, dtype=torch.bool)])
    assert masks.shape == (2, 3, 2, 2)
    assert valid.tolist() == [[True, True, True], [True, False, False]]
    assert not masks[1].any()

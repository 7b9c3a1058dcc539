"""Checks of preference optimizers: which patches are asked about, and a loss that learns the right way."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dabench.components.registry import Registered
from dabench.interfaces import PreferenceOptimizer
from dabench.testing.fixtures import Fixtures, noise
from dabench.testing.outcomes import Check, expect, expect_tensor

_PATCHES, _SIDE, _SHOWN = 4, 12, 3


def _optimizer(fixtures: Fixtures, item: Registered) -> PreferenceOptimizer:
    return fixtures.assembly.preference_optimizer(item.name)


def _informative() -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.asarray(np.random.default_rng(0).random(60) < 0.7)


def legal_selection(fixtures: Fixtures, item: Registered) -> None:
    """Sorted, unique, informative patches; none where none is informative; the same for an equal generator."""
    optimizer, informative = _optimizer(fixtures, item), _informative()
    chosen = [np.asarray(optimizer.select(informative, 1.0, np.random.default_rng(5))) for _ in range(2)]
    expect(chosen[0].ndim == 1 and chosen[0].dtype.kind in "iu", f"select gave {chosen[0]!r}, expected indices (K,)")
    expect((np.diff(chosen[0]) > 0).all(), f"select: indices are not sorted and unique: {chosen[0].tolist()}")
    expect(informative[chosen[0]].all(), "select: patches whose candidates are all equal were chosen")
    expect(np.array_equal(chosen[0], chosen[1]), "select: another choice for an equal generator")
    none = optimizer.select(np.zeros(9, bool), 1.0, np.random.default_rng(5))
    expect(len(none) == 0, f"select: {len(none)} patches chosen where none is informative")


class _Pool:
    """Nine patches on three slices; of the last three all candidates are equal."""

    slices = np.arange(9) // 3

    def disagreement(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array([0.9, 0.8, 0.7, 0.2, 0.3, 0.1, 0.0, 0.0, 0.0])

    def uncertainty(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return self.disagreement() / 2


def legal_wishes(fixtures: Fixtures, item: Registered) -> None:
    """What is wanted is None or a finite number a patch; a share of the questions is drawn at random."""
    optimizer = _optimizer(fixtures, item)
    expect(0 <= optimizer.random_share <= 1, f"random_share is {optimizer.random_share!r}, expected 0 to 1")
    wanted = optimizer.wanted(_Pool())
    if wanted is not None:
        expect(np.shape(wanted) == (9,), f"wanted gave shape {np.shape(wanted)}, expected (9,): one number per patch")
        expect(bool(np.isfinite(wanted).all()), f"wanted is not finite: {wanted!r}")


def within_budget(fixtures: Fixtures, item: Registered) -> None:
    """Asked for its own share (and, if that is not all, for half of it), it chooses no more than that."""
    optimizer, informative = _optimizer(fixtures, item), _informative()
    expect(0 <= optimizer.share <= 1, f"share is {optimizer.share!r}, expected 0 to 1")
    expect(optimizer.rater in (None, "self"), f"rater is {optimizer.rater!r}, expected None or 'self'")
    expect(optimizer.patches_per_side >= 1, f"patches_per_side is {optimizer.patches_per_side!r}")
    if optimizer.rater == "self":
        return
    budgets = [optimizer.share] if optimizer.share == 1 else [optimizer.share, optimizer.share / 2]
    for budget in budgets:
        count = len(optimizer.select(informative, budget, np.random.default_rng(0)))
        limit = budget * len(informative) + 1e-6
        expect(count <= limit, f"select: {count} of {len(informative)} patches chosen at a budget of {budget:.1%}")


def legal_hint(fixtures: Fixtures, item: Registered) -> None:
    """With the rater "self": masks of the tiles' shape, for empty and full ones too, the same each time."""
    optimizer = _optimizer(fixtures, item)
    if optimizer.rater != "self":
        return
    images = noise((3, 48, 48), 1)
    masks = torch.zeros(3, 48, 48, dtype=torch.bool)
    masks[1, 10:30, 12:34], masks[2] = True, True
    given = masks.clone()
    first, second = (optimizer.hint(images, masks) for _ in range(2))
    legal = isinstance(first, Tensor) and first.dtype == torch.bool and first.shape == masks.shape
    expect(legal, f"hint gave {type(first).__name__} {getattr(first, 'dtype', '')}, expected a bool tensor (B, H, W)")
    expect(torch.equal(first, second), "hint: other masks when called again")
    expect(torch.equal(masks, given), "hint changed the masks that it was given")


# ---------------------------------------------------------------------------------------------------------------- loss
def _shown() -> tuple[Tensor, Tensor, Tensor]:
    """Candidates (P, J, h, w) that all differ, validity (the last patch shows two), and the choice as weights."""
    candidates = noise((_PATCHES, _SHOWN, _SIDE, _SIDE)) > 0.5
    valid = torch.ones(_PATCHES, _SHOWN, dtype=torch.bool)
    valid[-1, -1] = False
    return candidates, valid, torch.eye(_SHOWN)[[0, 1, 2, 0]]


def _reference() -> Tensor:
    return torch.zeros(_PATCHES, _SIDE, _SIDE)


def _towards(step: float) -> Tensor:
    """Logits of a policy that is ``step`` nearer to the preferred masks than the reference."""
    candidates, _, preferred = _shown()
    chosen = candidates[preferred > 0]
    return _reference() + step * torch.where(chosen, 1.0, -1.0)


def _loss(fixtures: Fixtures, item: Registered, policy: Tensor, valid: Tensor | None = None) -> Tensor:
    candidates, known, preferred = _shown()
    shown = known if valid is None else valid
    return _optimizer(fixtures, item).loss(policy, _reference(), candidates, shown, preferred)


def legal_loss(fixtures: Fixtures, item: Registered) -> None:
    """One finite loss per patch, not negative."""
    for policy in (_reference(), noise((_PATCHES, _SIDE, _SIDE), 2), _towards(2.0), _towards(-2.0)):
        expect_tensor("loss", _loss(fixtures, item, policy), (_PATCHES,), -1e-6)


def learns_the_right_way(fixtures: Fixtures, item: Registered) -> None:
    """Near the reference the loss falls as the preferred mask gets likelier, and its gradient says so."""
    away, start, near = (_loss(fixtures, item, _towards(step)) for step in (-0.2, 0.0, 0.2))
    expect(
        (near < start).all(), f"loss {start.tolist()} at the reference, {near.tolist()} nearer to the preferred masks"
    )
    expect(
        (start < away).all(), f"loss {start.tolist()} at the reference, {away.tolist()} away from the preferred masks"
    )
    policy = _towards(0.0).requires_grad_()
    _loss(fixtures, item, policy).sum().backward()  # type: ignore[no-untyped-call]
    assert policy.grad is not None
    along = (policy.grad * (_towards(0.1) - _reference())).sum(dim=(1, 2))
    expect(
        (along < 0).all(), f"gradient along the preferred masks is {along.tolist()}, expected below 0 for each patch"
    )


def nothing_to_compare(fixtures: Fixtures, item: Registered) -> None:
    """A patch without any other valid candidate has loss 0 and gradient 0."""
    _, _, preferred = _shown()
    policy = _towards(0.2).requires_grad_()
    losses = _loss(fixtures, item, policy, preferred > 0)
    expect_tensor("loss without other candidates", losses, (_PATCHES,), 0.0, 0.0)
    if losses.requires_grad:
        losses.sum().backward()  # type: ignore[no-untyped-call]
        assert policy.grad is not None
        expect((policy.grad == 0).all(), "gradient is not 0 (or NaN) where there is no other valid candidate")


def weighted(fixtures: Fixtures, item: Registered) -> None:
    """An answer of half the weight has half the loss; where all candidates tie, or none is preferred, it is 0."""
    candidates, _, _ = _shown()
    optimizer, policy = _optimizer(fixtures, item), noise((_PATCHES, _SIDE, _SIDE), 3)

    def loss(*weights: float) -> Tensor:
        preferred = torch.tensor(weights).expand(_PATCHES, -1)
        return optimizer.loss(policy, _reference(), candidates, torch.ones_like(preferred).bool(), preferred)

    full, half = loss(0.5, 0.5, 0.0), loss(0.25, 0.25, 0.0)
    expect(torch.allclose(half, full / 2), f"loss {full.tolist()} of a tie, {half.tolist()} at half its weight")
    expect((full > 0).all(), f"loss of two that tie against a third is {full.tolist()}, expected above 0")
    for nothing in ([1 / 3] * 3, [0.0] * 3):
        expect_tensor(f"loss at weights {nothing}", loss(*nothing), (_PATCHES,), 0.0, 0.0)


def padding_is_invisible(fixtures: Fixtures, item: Registered) -> None:
    """What a padded entry holds does not matter."""
    candidates, valid, preferred = _shown()
    changed = candidates.clone()
    changed[-1, -1] = ~changed[-1, -1]
    optimizer, policy = _optimizer(fixtures, item), noise((_PATCHES, _SIDE, _SIDE), 4)
    first, second = (optimizer.loss(policy, _reference(), c, valid, preferred) for c in (candidates, changed))
    expect(torch.allclose(first, second), f"loss changes with a padded candidate: {first.tolist()}, {second.tolist()}")


def saturated(fixtures: Fixtures, item: Registered) -> None:
    """Logits far out give finite losses and gradients, against a saturated reference too."""
    candidates, valid, preferred = _shown()
    for value in (-40.0, 40.0):
        for reference in (_reference(), torch.full_like(_reference(), -value)):
            policy = torch.full_like(_reference(), value).requires_grad_()
            losses = _optimizer(fixtures, item).loss(policy, reference, candidates, valid, preferred)
            expect_tensor(f"loss at logits {value:g}", losses, (_PATCHES,), -1e-6)
            losses.sum().backward()  # type: ignore[no-untyped-call]
            finite = policy.grad is not None and torch.isfinite(policy.grad).all()
            expect(finite, f"gradient at logits {value:g} is missing, NaN or infinite")


CHECKS = (
    Check("legal selection", legal_selection),
    Check("legal wishes", legal_wishes),
    Check("within the budget", within_budget),
    Check("legal hint", legal_hint),
    Check("legal loss", legal_loss),
    Check("learns the right way", learns_the_right_way),
    Check("nothing to compare", nothing_to_compare),
    Check("weights of the preferred", weighted),
    Check("padding is invisible", padding_is_invisible),
    Check("saturated logits", saturated),
)

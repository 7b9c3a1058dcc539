"""Candidate masks of a patch by thresholds of one probability map (Prefer-DAS, IV.E.3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)


@dataclass(frozen=True)
class Candidates:
    """Different masks of one patch.

    Attributes:
        masks: (J', h, w) bool, no two equal, 1 <= J' <= number of thresholds.
        thresholds: the threshold of each; of thresholds that give one mask, the nearest to 0.5.
    """

    masks: Tensor
    thresholds: tuple[float, ...]

    @property
    def informative(self) -> bool:
        """Whether there is anything to choose."""
        return len(self.masks) > 1


def threshold_candidates(probability: Tensor, thresholds: tuple[float, ...] = THRESHOLDS) -> Candidates:
    """Binarises one patch at several thresholds and drops repeated masks.

    Masks of falling thresholds grow, so two are equal exactly when their sizes are.

    Args:
        probability: (h, w) float in [0, 1], the frozen reference's.
        thresholds: in (0, 1).

    Returns:
        Candidates, nearest to 0.5 first: a rater who takes the first of equally good ones prefers 0.5, and ties are
        decided the same way everywhere.
    """
    ordered = sorted(thresholds, key=lambda t: (round(abs(t - 0.5), 6), t))  # 0.3 and 0.7 are equally far
    masks = torch.stack([probability > t for t in ordered])
    sizes = masks.sum(dim=(1, 2)).tolist()
    kept = [i for i, size in enumerate(sizes) if size not in sizes[:i]]
    return Candidates(masks[kept], tuple(ordered[i] for i in kept))


def pad_candidates(patches: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Stacks the candidates of several patches of one size.

    Args:
        patches: one (J_i, h, w) bool tensor a patch, J_i >= 1; at least one patch.

    Returns:
        (P, J, h, w) bool with J = max J_i (padding repeats a patch's first candidate), and (P, J) bool validity.
    """
    most = max(len(masks) for masks in patches)
    device = patches[0].device
    stacked = [torch.cat([masks, masks[:1].expand(most - len(masks), -1, -1)]) for masks in patches]
    counts = torch.tensor([len(masks) for masks in patches], device=device)
    return torch.stack(stacked), torch.arange(most, device=device) < counts[:, None]

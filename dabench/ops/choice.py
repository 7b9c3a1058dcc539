"""Which of several candidate masks fits a reference best: the rule of every rater that ranks by Dice."""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING

import numpy as np

from dabench.types import PackedMasks

if TYPE_CHECKING:
    from dabench.types import Array, PreferenceQuestion


def informative(candidates: Array) -> bool:
    """Whether candidates ``(J, H, W)`` bool differ anywhere; if not, no answer could teach anything."""
    return len(candidates) > 1 and bool((candidates[1:] != candidates[:1]).any())


def dice_scores(candidates: Array, reference: Array, valid: Array | None = None) -> Array:
    """Dice of each candidate.

    Args:
        candidates: ``(J, H, W)`` bool.
        reference: ``(H, W)`` bool.
        valid: ``(H, W)`` bool, pixels that count; None is all.

    Returns:
        ``(J,)`` float64; 1 where candidate and reference are both empty.
    """
    if valid is not None:
        candidates, reference = candidates & valid, reference & valid
    common = (candidates & reference).sum(axis=(1, 2))
    sizes = candidates.sum(axis=(1, 2)) + reference.sum()
    scores: Array = np.where(sizes > 0, 2 * common / np.maximum(sizes, 1), 1.0)
    return scores


def candidate_scores(candidates: Array, reference: Array, valid: Array | None = None) -> Array | None:
    """How well each candidate fits: its Dice, or minus its share of the largest where none overlaps the reference.

    Then Dice is 0 for all of them, yet each pixel is a false positive.

    Args:
        candidates: ``(J, H, W)`` bool.
        reference: ``(H, W)`` bool.
        valid: ``(H, W)`` bool, pixels that count; None is all.

    Returns:
        ``(J,)`` float64 in [-1, 1], or None where all candidates are the same on the valid pixels.
    """
    seen = candidates if valid is None else candidates & valid
    if not informative(seen):
        return None
    scores = dice_scores(seen, reference, valid)
    if scores.max() > 0:
        return scores
    sizes = seen.sum(axis=(1, 2)).astype(np.float64)
    missed: Array = -sizes / sizes.max()
    return missed


def best_candidate(candidates: Array, reference: Array, valid: Array | None = None) -> int | None:
    """The preferred candidate: highest Dice (Prefer-DAS Eq. 11 with a mask in place of the rater).

    Candidates are listed with the default one (threshold nearest 0.5) first; among equals the first wins. Where none
    overlaps the reference, the one with the fewest pixels is best.

    Args:
        candidates: ``(J, H, W)`` bool.
        reference: ``(H, W)`` bool.
        valid: ``(H, W)`` bool, pixels that count; None is all.

    Returns:
        Index of the candidate, or None where all are the same on the valid pixels.
    """
    scores = candidate_scores(candidates, reference, valid)
    return None if scores is None else int(np.argmax(scores))


def disagreement(candidates: Array) -> float:
    """How much candidates ``(J, H, W)`` bool differ: one minus the mean Dice of all pairs; 0 where all are the same."""
    if len(candidates) < 2:
        return 0.0
    flat = candidates.reshape(len(candidates), -1).astype(np.float32)
    common, sizes = flat @ flat.T, flat.sum(axis=1)
    total = sizes[:, None] + sizes[None]
    dice = np.where(total > 0, 2 * common / np.maximum(total, 1), 1.0)
    return float(1 - dice[np.triu_indices(len(candidates), 1)].mean())


def confused_choice(scores: Array, confusion: float, rng: np.random.Generator) -> int:
    """A choice by someone who hardly tells near-equals apart: k in proportion to exp(scores_k / confusion) (Luce).

    Args:
        scores: ``(J,)`` float, how good each is.
        confusion: difference in score that is hardly seen, above 0.
        rng: of the draw.

    Returns:
        Index of the chosen one.
    """
    likely = np.exp((scores - scores.max()) / confusion)
    return int(rng.choice(len(scores), p=likely / likely.sum()))


def candidate_digests(candidates: Array) -> tuple[str, ...]:
    """SHA-256 of each candidate's shape and pixels, so that an answer can be tied to what was shown.

    Args:
        candidates: ``(J, H, W)`` bool.

    Returns:
        J hexadecimal digests.
    """
    shape = "x".join(str(side) for side in candidates.shape[1:]).encode()
    return tuple(hashlib.sha256(shape + np.packbits(mask).tobytes()).hexdigest() for mask in candidates.astype(bool))


def pack_question(question: PreferenceQuestion) -> PackedMasks:
    """What a file of answers keeps of a question, some hundred bytes per candidate; `unpack_masks` is its inverse."""
    masks = question.candidates.astype(bool)
    depth, height, width = masks.shape
    prompts = () if question.prompts is None else tuple((float(x), float(y)) for x, y in question.prompts)
    content = zlib.compress(np.packbits(masks).tobytes())
    return PackedMasks(content, (depth, height, width), question.thresholds, prompts, question.tile, question.draw)


def unpack_masks(packed: PackedMasks) -> Array:
    """The candidates ``(J, H, W)`` bool."""
    bits = np.frombuffer(zlib.decompress(packed.content), np.uint8)
    masks: Array = np.unpackbits(bits, count=int(np.prod(packed.shape))).astype(bool).reshape(packed.shape)
    return masks

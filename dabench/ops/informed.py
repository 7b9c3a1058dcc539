"""Which patches of a pool are asked about when some tell more than others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from dabench.types import Array


def informed(drawn: Array, wanted: Array, random_share: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Replace a part of a random draw by what is wanted most; as many are asked about as before.

    Args:
        drawn: ``(K,)`` indices that were drawn at random.
        wanted: ``(N,)`` float, how much each patch of the pool is wanted; not above 0 is never taken for it.
        random_share: in [0, 1]: share of the draw that stays, so that estimates can be made from it.
        rng: decides which of it stays.

    Returns:
        ``(K,)`` sorted indices, and ``(K,)`` bool: which of them are the random draw's. Where too few patches are
        wanted, more of the draw stays.

    Example:
        >>> wanted = np.array([0.1, 0.9, 0.0, 0.5, 0.2])
        >>> informed(np.array([0, 2]), wanted, 0.0, np.random.default_rng(0))[0].tolist()
        [1, 3]
    """
    count, stays = round(random_share * len(drawn)), rng.permutation(drawn)
    ranked = np.argsort(-wanted, kind="stable")
    ranked = ranked[(wanted[ranked] > 0) & ~np.isin(ranked, stays[:count])]
    most = ranked[: len(drawn) - count]
    rest = stays[count:][~np.isin(stays[count:], most)][: len(drawn) - count - len(most)]
    chosen = np.concatenate([stays[:count], rest, most]).astype(np.int64)
    order = np.argsort(chosen)
    return chosen[order], order < count + len(rest)


def spread(scores: Array, groups: Array) -> Array:
    """Scores that take the best of each group before the second of any: neighbours tell much the same.

    Args:
        scores: ``(N,)`` float in [0, 1].
        groups: ``(N,)`` int, for example the slice of each.

    Returns:
        ``(N,)`` float: 0 where the score is 0; others above 0, by their rank within the group, then by their score.

    Example:
        >>> spread(np.array([0.9, 0.8, 0.1, 0.0]), np.array([0, 0, 1, 1])).argsort()[::-1].tolist()
        [0, 2, 1, 3]
    """
    order = np.lexsort((-scores, groups))
    first = np.searchsorted(groups[order], groups[order])
    rank = np.empty(len(scores))
    rank[order] = np.arange(len(scores)) - first
    wanted: Array = np.where(scores > 0, 1 + rank.max(initial=0) - rank + scores, 0.0)
    return wanted

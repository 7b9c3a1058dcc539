"""What is asked about first by optimizers that ask about a share of all patches."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dabench.ops.informed import spread
from dabench.plugin import Array, PatchPool, Settings


class Asking(Settings):
    """Which patches of the share are asked about."""

    order: Literal["random", "disagreement", "uncertainty"] = Field(
        "random",
        description="Patches asked about: random ones (paper), or first those whose candidates differ most "
        "(disagreement) or where the reference is least sure (uncertainty), equally on all slices.",
    )
    random_share: float = Field(
        0.2, ge=0, le=1, description="Share of these that is still drawn at random, so that estimates stay possible."
    )


def wanted(asking: Asking, pool: PatchPool) -> Array | None:
    """`PreferenceOptimizer.wanted` with these settings: the first of each slice before the second of any."""
    if asking.order == "random":
        return None
    scores = pool.disagreement() if asking.order == "disagreement" else pool.uncertainty()
    return spread(scores, pool.slices)

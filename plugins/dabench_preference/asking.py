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
        description="Patches asked about: random ones (paper), or those first whose candidates differ most "
        "(disagreement) or of which the reference is least sure (uncertainty), on all slices alike.",
    )
    random_share: float = Field(
        0.2, ge=0, le=1, description="Of these, share drawn at random all the same, so that estimates can be made."
    )


def wanted(asking: Asking, pool: PatchPool) -> Array | None:
    """`PreferenceOptimizer.wanted` with these settings: the first of each slice before the second of any."""
    if asking.order == "random":
        return None
    scores = pool.disagreement() if asking.order == "disagreement" else pool.uncertainty()
    return spread(scores, pool.slices)

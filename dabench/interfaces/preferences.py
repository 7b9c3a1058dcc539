"""Preference optimizers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

from dabench.errors import PluginError

if TYPE_CHECKING:
    import numpy as np
    import torch

    from dabench.types import Array


class PatchPool(Protocol):
    """All N patches of the training set that could be asked about. What is asked of it is computed then."""

    @property
    def slices(self) -> Array:
        """``(N,)`` int64: the slice that each lies on."""

    def disagreement(self) -> Array:
        """``(N,)`` float64 in [0, 1]: one minus the mean Dice of a patch's candidates, in pairs; 0: all are equal."""

    def uncertainty(self) -> Array:
        """``(N,)`` float64 in [0, 1]: mean entropy in bits of the reference's probability; 0: candidates are equal."""


class PreferenceOptimizer(ABC):
    """Which patches are asked about, at what price, and the loss that learns from the answers.

    Must not know where answers came from: it names a rater only when its definition does (``upo`` is "self").
    """

    #: Patches per side of a tile: L of Prefer-DAS, 1 for whole-image preferences.
    patches_per_side: int = 3
    #: Rater this optimizer is defined with; None leaves it to the run.
    rater: str | None = None
    #: Share of all patches that it asks a person about unless the run's budget says otherwise.
    share: float = 1.0
    #: Where some patches are wanted more (`wanted`): share of the questions that is drawn at random all the same.
    random_share: float = 0.2

    @abstractmethod
    def select(self, informative: Array, budget: float, rng: np.random.Generator) -> Array:
        """Which patches are asked about.

        Args:
            informative: ``(N,)`` bool over all patches of the training set; False where all candidates are equal.
            budget: share of all N patches that may be asked about.
            rng: source of the draw.

        Returns:
            Sorted indices ``(K,)`` of informative patches.
        """

    def wanted(self, pool: PatchPool) -> Array | None:
        """How much each patch is wanted; None: what `select` draws is asked about.

        Else as many are asked about as `select` draws: `random_share` of its draw, so that estimates can be made, and
        those that are wanted most.

        Args:
            pool: the patches.

        Returns:
            ``(N,)`` float, finite; patches not above 0 are never asked for being wanted.
        """
        del pool
        return None

    def hint(self, images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """Label-free masks that the rater "self" ranks candidates against; only where ``rater`` is "self".

        Args:
            images: ``(B, H, W)`` float32 in [0, 1], whole tiles.
            masks: ``(B, H, W)`` bool, the reference's own segmentation of them.

        Returns:
            ``(B, H, W)`` bool.
        """
        del images, masks
        raise PluginError(f"{type(self).__name__} names the rater 'self' but gives no hint to rank against")

    @abstractmethod
    def loss(
        self,
        logits: torch.Tensor,
        reference: torch.Tensor,
        candidates: torch.Tensor,
        valid: torch.Tensor,
        preferred: torch.Tensor,
    ) -> torch.Tensor:
        """Preference loss of P answered patches, each of h x w pixels.

        Args:
            logits: policy, log-odds of foreground ``(P, h, w)``, with gradient.
            reference: frozen reference, same shape, without gradient.
            candidates: ``(P, J, h, w)`` bool.
            valid: ``(P, J)`` bool; False where an entry only pads.
            preferred: ``(P, J)`` float, how much each candidate counts as preferred: 1 for the one that was chosen, 1/k
                for each of k that tie, 0 for all others. The sum of a row is the weight of its answer, 1 unless several
                raters share it. Each preferred candidate is compared with those of weight 0 that are valid, never
                with another preferred one.

        Returns:
            ``(P,)`` loss per patch, linear in the weights; 0 where all that is valid is preferred, or nothing. Never
            NaN.

        Example:
            Of three candidates the first and the last tie: ``preferred`` is ``[[0.5, 0.0, 0.5]]``, and the loss is half
            of "the first against the second" plus half of "the last against the second".
        """

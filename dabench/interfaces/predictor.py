"""A trained model seen from outside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from dabench.types import Array, Prediction


class Predictor(ABC):
    """A trained model seen from outside. Called by inference with tiles; knows nothing of volumes."""

    #: nm to the second section that this model wants to see with each (see `CropSpec.neighbour`); 0: it sees one.
    neighbour: float = 0.0
    #: Whether `predict` also gives objects of each tile (`Prediction.instances`): they are joined over tiles, scored
    #: by rules that take ids, and written by ``dabench predict`` in place of the components of the mask.
    gives_instances: bool = False

    @abstractmethod
    def predict(
        self, images: torch.Tensor, points: Sequence[torch.Tensor] | None = None, *, density: bool = False
    ) -> Prediction:
        """Segment tiles.

        Args:
            images: ``(B, 1, H, W)`` float32 in [0, 1]; ``(B, 2, H, W)``, the section and its partner, for pairs.
            points: one ``(N, 2)`` (x, y) tensor a tile, N >= 0; None is automatic mode.
            density: whether the density map is wanted (a predictor without one returns None).
        """

    def finish(self, mask: Array) -> Array:
        """A method's own last step on a whole slice: after blending and threshold, before the protocol's rules.

        Args:
            mask: ``(H, W)`` bool.

        Returns:
            The same shape and type; as it came, unless a method's settings ask for more.
        """
        return mask

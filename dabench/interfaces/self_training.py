"""Self-training schemes: how target pseudo-labels are made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn

    from dabench.interfaces.stages import TrainingData
    from dabench.types import TargetCrops


@dataclass(frozen=True)
class PseudoTargets:
    """Pseudo-labels of target crops, as a scheme gives them to the student.

    labels ``(B, H, W)`` uint8 {0, 1, 255 = ignore}; weights ``(B, H, W)`` float32 >= 0 (a pixel's weight in the loss);
    points: for each crop ``(N, 2)`` prompts/detections incl. the given ones; density ``(B, H, W)`` in [0, 1] or None;
    confidence: ``(B, H, W)`` the teacher's probability, for what needs it (contrast).
    """

    labels: torch.Tensor
    weights: torch.Tensor
    points: list[torch.Tensor]
    density: torch.Tensor | None
    confidence: torch.Tensor


class SelfTraining(ABC):
    """How target pseudo-labels are made and refreshed. Sees the teacher's output and given points, never truth."""

    #: Modules that belong in the checkpoint (the teacher).
    def modules(self) -> Mapping[str, nn.Module]:
        """State to checkpoint."""
        return {}

    #: Whether the scheme labels the whole target training set at once: then the stage calls `refresh` in rounds.
    rounds: bool = False

    @abstractmethod
    def start(self, student: nn.Module) -> None:
        """Called once with the initialised student, before the first update."""

    def attach(self, data: TrainingData) -> None:
        """Called at every start, also a resumed one, before `refresh` and `targets`: where kept arrays lie."""

    def refresh(self, student: nn.Module, data: TrainingData) -> None:
        """Start a round: read the whole target training set and renew what `targets` returns.

        Called without gradient, before update 0 and then whenever the stage says. Arrays go to `TrainingData.keep`.
        """

    def set_threshold(self, threshold: float) -> None:
        """From now on, take a probability above this as above one half. A scheme without use for it ignores it.

        Args:
            threshold: in (0, 1), one half at the start; of the teacher's own probability, however often this is called.
        """

    def state(self) -> dict[str, torch.Tensor]:
        """Tensors beside the modules that a resumed stage needs (round, class priors)."""
        return {}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take back what `state` gave."""

    @abstractmethod
    def targets(self, crops: TargetCrops, generator: torch.Generator) -> PseudoTargets:
        """Pseudo-targets for un-augmented target crops. Called without gradient; ``generator`` is the batch's."""

    def after_update(self, student: nn.Module, step: int) -> None:
        """Called after each update with the student; the mean teacher follows it here."""

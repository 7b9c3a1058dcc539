"""Self-training in rounds: label the whole target training set at once, keep that, cut it where the crops are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from dabench.interfaces import SelfTraining, TrainingData
from dabench.ops.patches import cut
from dabench.types import Array, CropId, TargetCrops


class RoundLabels(SelfTraining):
    """A scheme that looks at every slice once a round; a subclass says what it keeps of them and what labels they give.

    A subclass sets `name`, `dtype` and `beyond`, implements `look` and `targets` (from what `kept` gives), and adds to
    `state` what else it must remember.
    """

    rounds = True

    #: Names the kept arrays, and the scheme in messages.
    name: str
    #: NumPy's name of the type of what is kept.
    dtype: str
    #: One entry for each plane that is kept of a slice: the value beyond the slice's edge, or None for a plane that is
    #: reflected there, as the image is.
    beyond: tuple[int | None, ...]

    def __init__(self) -> None:
        """No round has begun."""
        #: The round, from 0; -1 before the first.
        self.round = -1
        self._data: TrainingData | None = None

    @abstractmethod
    def look(self, student: nn.Module, data: TrainingData) -> Iterator[Array]:
        """What a round keeps of each slice of the target training set, in order; called without gradient.

        Yields:
            ``(planes, H, W)`` of the type `dtype`, one plane for each entry of `beyond`.
        """

    def start(self, student: nn.Module) -> None:
        """Forget earlier rounds; the labels come from the student of the day."""
        del student
        self.round = -1

    def attach(self, data: TrainingData) -> None:
        """Remember where the rounds' arrays lie."""
        self._data = data

    def refresh(self, student: nn.Module, data: TrainingData) -> None:
        """Begin the next round: keep what `look` gives, under the round's own name."""
        self._data, self.round = data, self.round + 1

        def fill(kept: Array) -> None:
            for z, planes in enumerate(self.look(student, data)):
                kept[z] = planes

        depth, height, width = data.target_shape()
        data.keep(self._kept_name(), (depth, len(self.beyond), height, width), self.dtype, fill)

    def state(self) -> dict[str, Tensor]:
        """The round."""
        return {"round": torch.tensor(self.round)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on in the round that `state` gave."""
        self.round = int(state["round"])

    def kept(self, crops: TargetCrops) -> Tensor:
        """What this round kept, cut where the crops were.

        Returns:
            ``(B, planes, h, w)`` of the type `dtype`, on the crops' device.

        Raises:
            RuntimeError: no round has begun, or the scheme has not been attached.
        """
        if self._data is None or self.round < 0:
            raise RuntimeError(f"{self.name}: attach(data) and refresh(student, data) come first")
        kept = self._data.kept(self._kept_name())
        return torch.from_numpy(np.stack([self._crop(kept, o) for o in crops.origins])).to(crops.images.device)

    def _crop(self, kept: Array, origin: CropId) -> Array:
        planes = zip(kept[origin.z], self.beyond, strict=True)
        return np.stack([cut(plane, origin.window, fill=fill) for plane, fill in planes])

    def _kept_name(self) -> str:
        return f"{self.name}-{self.round}"

"""Stages: what a training procedure declares, and what it may look at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch
    from pydantic import BaseModel
    from torch import nn

    from dabench.interfaces.annotation import Desk
    from dabench.interfaces.predictor import Predictor
    from dabench.types import Array, Batch, CropId


@dataclass(frozen=True)
class OptimizerSpec:
    """Optimizer and schedule of one optimizer step: linear warm-up, then polynomial decay to ``floor`` x lr.

    ``span`` is the number of updates after which the decay ends: a stage that stops earlier stops at a higher rate, one
    that goes on stays at the floor. 0 is the stage's own number.
    """

    lr: float
    name: str = "adamw"
    weight_decay: float = 0.01
    warmup: int = 0
    power: float = 0.9
    floor: float = 0.0
    clip: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    span: int = 0


@dataclass(frozen=True)
class OptimizerStep:
    """One optimizer step of an update. Most stages have one; adversarial ones alternate (segmenter, discriminator)."""

    name: str
    parameters: Callable[[], Iterator[nn.Parameter]]
    optimizer: OptimizerSpec


@dataclass(frozen=True)
class CropSpec:
    """Which crops an update needs: side in pixels and how many of each domain.

    ``foreground`` is how often a labelled crop must hold foreground, ``target_points`` how often a target crop must
    hold a given point (where its slice has one). ``labelled`` names the domain whose dense labels feed
    ``Batch.source``: "target" is for the oracle alone. ``neighbour`` asks for pairs: every crop comes with the same
    window on the section that lies nearest so many nm further (at least the next one); 0 is single sections.
    """

    size: int
    source: int = 0
    target: int = 0
    foreground: float = 0.7
    target_points: float = 0.0
    labelled: str = "source"
    neighbour: float = 0.0


class TrainingData(Protocol):
    """What a stage may read besides its batches: target training images, the desk, its parent's predictor."""

    @property
    def desk(self) -> Desk:
        """The annotation desk."""

    @property
    def device(self) -> torch.device:
        """Where tensors should live."""

    @property
    def rng(self) -> np.random.Generator:
        """Seeded from the run's seed and the stage's name; the same at every start."""

    def target_shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns) of the target's training split."""

    def target_crop(self, crop: CropId) -> Array:
        """Image pixels of one crop, ``(h, w)`` float32 in [0, 1]."""

    def remember(self, name: str, shape: tuple[int, ...], fill: Callable[[Array], None]) -> Array:
        """A float16 array that follows from the parent's weights and ``name`` alone, read-only and possibly on disk.

        ``fill`` writes it once; sibling stages with the same parent (other optimizers, a resumed start) find it again.
        """

    def keep(self, name: str, shape: tuple[int, ...], dtype: str, fill: Callable[[Array], None]) -> Array:
        """Store an array of this stage (the pseudo-labels of a round); it is read-only afterwards, possibly on disk.

        Name it after its round: a resumed stage may continue in the round before the last stored one.
        """

    def kept(self, name: str) -> Array:
        """What `keep` wrote under this name, also before a restart. Raises KeyError."""


class Stage(ABC):
    """One training procedure. The core loops, moves devices, seeds, logs and checkpoints; a stage computes losses."""

    @abstractmethod
    def modules(self) -> Mapping[str, nn.Module]:
        """All modules that are needed to resume the stage, by a stable name; ``network`` is the trained one."""

    def network(self) -> nn.Module:
        """The network from which a following stage starts."""
        return self.modules()["network"]

    @abstractmethod
    def optimizer_steps(self) -> Sequence[OptimizerStep]:
        """The optimizer steps of one update, in order; none for a stage without updates."""

    def prepare(self, data: TrainingData) -> None:
        """Called at every start (also a resumed one), before the first update, on the device; must be deterministic."""

    @abstractmethod
    def step(self, batch: Batch, optimizer: str) -> dict[str, torch.Tensor]:
        """Losses of one optimizer step: ``"loss"`` is minimised, all other terms are logged."""

    def target_crops(self, step: int, rng: np.random.Generator) -> Sequence[CropId] | None:
        """Which target crops the batch of an update holds, where the stage itself chooses them.

        Called ahead of the update in another thread, after `prepare`, so that images are cut while the device works: it
        follows from ``step`` and ``rng`` alone. None: `CropSpec.target` crops at random places.
        """
        del step, rng
        return None

    def after_update(self, step: int) -> None:
        """Called after all optimizer steps of an update (EMA and the like)."""

    def finish(self, data: TrainingData) -> None:
        """Called once, after the last update and before its weights are kept; must be deterministic."""

    #: Call `refresh` before update 0 and then every so many updates; 0 is never.
    refresh_every: int = 0

    def refresh(self, data: TrainingData) -> None:
        """Look at the whole target training set and renew pseudo-labels; kept in `state`."""

    def state(self) -> dict[str, torch.Tensor]:
        """Tensors beside the modules that a resumed run needs (pseudo-labels, priors)."""
        return {}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take back what `state` gave."""

    @abstractmethod
    def predictor(self) -> Predictor:
        """The stage's outcome, in evaluation mode."""


@dataclass(frozen=True)
class StageSpec:
    """A stage before it is built: everything that determines its result, so that a finished one can be reused.

    Args:
        name: short, stable, unique in its method (``source``, ``prompt-das``, ``slpo``).
        method: the method that owns it; its plugin's source is part of the key.
        config: every setting that decides the outcome (dumped into the key).
        components: (kind, name) of every other component it uses; their source and settings are part of the key.
        crops: what its batches hold.
        iterations: number of updates; 0 is a frozen stage (a zero-shot model), which is prepared and never trained.
        build: builds the stage; called with the trained parent stage, or None.
        asks: weak labels it asks the desk for; () makes its key independent of any annotation. A stage that asks for
            nothing and has no target crops sees no target image.
        title: what tables call the model after this stage; the stage's name when empty.
    """

    name: str
    method: str
    config: BaseModel
    components: tuple[tuple[str, str], ...]
    crops: CropSpec
    iterations: int
    build: Callable[[Stage | None], Stage] = field(repr=False)
    asks: tuple[str, ...] = ()
    title: str = ""

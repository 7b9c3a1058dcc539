"""The contracts between dabench's core and its plugins.

Each class says who calls it, with what, and what it must not do. Shapes and ranges are those of `dabench.types`.
Randomness arrives as a generator; devices, seeds, files, loops and logging belong to the core.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from dabench.errors import PluginError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import torch
    from pydantic import BaseModel
    from torch import nn

    from dabench.types import (
        Array,
        Batch,
        CropId,
        PointAnswer,
        Prediction,
        PreferenceAnswer,
        PreferenceQuestion,
        TargetCrops,
    )


# --------------------------------------------------------------------------------------------------------------- data
class Volume(Protocol):
    """A stack of equally sized 2-D slices that is read one slice at a time."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Pixel type as stored."""

    def read(self, z: int) -> Array:
        """Slice ``z`` as ``(H, W)``, in the stored type. Raises DataError naming file and slice."""


class Reader(ABC):
    """Opens one file format. Readers are tried in order of their names; the first that ``accepts`` a path opens it."""

    @abstractmethod
    def accepts(self, path: Path) -> bool:
        """Whether this reader knows the format of ``path`` (by suffix or folder content); never raises."""

    @abstractmethod
    def open(self, path: Path) -> Volume:
        """Open without reading pixels. Raises DataError for a damaged or empty file, with its name."""


@dataclass(frozen=True)
class Split:
    """One split of a domain, opened: ``images`` and, where there are any, ``labels`` (0, 1, 255) of the same shape.

    ``instances`` holds true instance ids where the card has them. ``voxel`` is nm (z, y, x). ``digest`` names the
    content of the images, ``label_digest`` that of the labels ("" without labels). ``neighbours`` is true when slice
    z+1 lies physically next to slice z.
    """

    domain: str
    name: str
    images: Volume
    labels: Volume | None
    voxel: tuple[float, float, float]
    digest: str
    label_digest: str = ""
    instances: Volume | None = None
    neighbours: bool = True


class Domain(ABC):
    """One EM data set. The runner opens its splits; methods never see this object."""

    #: What it is, in words for a listing (modality, tissue, voxel size, terms).
    description: str = ""

    @abstractmethod
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that exist, among ``train``, ``test``, ``unlabelled``."""

    @abstractmethod
    def missing(self) -> list[str]:
        """Files that are not on this machine (empty: ready), so that a plan can say so before anything runs."""

    @abstractmethod
    def open(self, split: str, open_volume: Callable[[Path], Volume]) -> Split:
        """Open one split lazily. Raises MissingDataError or DataError.

        ``open_volume`` opens any file or folder with the readers that are registered.
        """


# ----------------------------------------------------------------------------------------------------------- networks
class Predictor(ABC):
    """A trained model seen from outside. Called by inference with tiles; knows nothing of volumes."""

    @abstractmethod
    def predict(
        self, images: torch.Tensor, points: Sequence[torch.Tensor] | None = None, *, density: bool = False
    ) -> Prediction:
        """Segment tiles.

        Args:
            images: ``(B, 1, H, W)`` float32 in [0, 1].
            points: one ``(N, 2)`` (x, y) tensor a tile, N >= 0; None is automatic mode.
            density: whether the density map is wanted (a predictor without one returns None).
        """


# -------------------------------------------------------------------------------------------------------- weak labels
class Truth(Protocol):
    """Dense labels of the target's training split. Only raters inside the annotation desk hold one."""

    def labels(self, z: int) -> Array:
        """``(H, W)`` uint8 {0, 1, 255} of slice ``z``."""

    def __len__(self) -> int:
        """Number of slices."""


class WeakLabel(ABC):
    """A kind of annotation: how it is simulated, stored and priced. Must not hand out dense labels."""

    #: Seconds one unit costs (a point, a patch); `price` may refine it.
    seconds_per_unit: float = 1.0

    @abstractmethod
    def simulate(self, request: Any, truth: Truth, rng: np.random.Generator, error_rate: float) -> list[Any]:
        """Answer a request from truth as a person with this error rate would."""

    @abstractmethod
    def write(self, answers: Sequence[Any], path: Path, about: Mapping[str, str] | None = None) -> None:
        """Write answers in the open file format, atomically; ``about`` is kept with them (domain, split, seed)."""

    @abstractmethod
    def read(self, path: Path) -> list[Any]:
        """Read what `write` wrote, or what a person made. Raises DataError with line and value."""

    @abstractmethod
    def match(self, request: Any, recorded: Sequence[Any]) -> list[Any]:
        """Answer a request from a person's recorded answers; what they left open is answered with "cannot say"."""

    @abstractmethod
    def price(self, answers: Sequence[Any]) -> float:
        """Seconds of a person's time that these answers cost."""


class Desk(Protocol):
    """The annotation desk as a stage sees it: the only door to target training labels."""

    def points(self) -> Mapping[int, PointAnswer]:
        """The sparse points of the target's training split, by slice, within the budget. Same answer every time."""

    def preferences(self, questions: Sequence[PreferenceQuestion], rater: str | None = None) -> list[PreferenceAnswer]:
        """Ask which candidate is best on each patch.

        ``rater`` "self" asks nobody (the question's hint decides, at no cost); None asks the run's rater.
        Raises BudgetError when the questions go past the patch budget; then nothing is handed out.
        """

    def patch_budget(self) -> float:
        """Fraction of all patches of the target's training split that may be asked about."""

    def rng(self, what: str) -> np.random.Generator:
        """Generator of a draw that belongs to annotation: the same for every method and training seed."""


# ------------------------------------------------------------------------------------------------------ self-training
@dataclass(frozen=True)
class PseudoTargets:
    """What a scheme tells the student about target crops.

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

    @abstractmethod
    def start(self, student: nn.Module) -> None:
        """Called once, before the first update, with the (initialised) student."""

    @abstractmethod
    def targets(self, crops: TargetCrops, generator: torch.Generator) -> PseudoTargets:
        """Pseudo-targets for un-augmented target crops. Called without gradient; ``generator`` is the batch's."""

    def after_update(self, student: nn.Module, step: int) -> None:
        """Called after each update with the student; the mean teacher follows it here."""


# -------------------------------------------------------------------------------------------------------- preferences
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
        probability: torch.Tensor,
        reference: torch.Tensor,
        candidates: torch.Tensor,
        valid: torch.Tensor,
        preferred: torch.Tensor,
    ) -> torch.Tensor:
        """Preference loss of P answered patches, each of h x w pixels.

        Args:
            probability: policy, ``(P, h, w)`` in [0, 1], with gradient.
            reference: frozen reference, same shape, without gradient.
            candidates: ``(P, J, h, w)`` bool.
            valid: ``(P, J)`` bool; False where an entry only pads.
            preferred: ``(P,)`` int64, index of the chosen candidate.

        Returns:
            ``(P,)`` loss a patch; 0 where no other candidate is valid. Never NaN.
        """


# ------------------------------------------------------------------------------------------------------------- stages
@dataclass(frozen=True)
class OptimizerSpec:
    """Optimizer and schedule of one turn: linear warm-up, then polynomial decay to ``floor`` x lr."""

    lr: float
    name: str = "adamw"
    weight_decay: float = 0.01
    warmup: int = 0
    power: float = 0.9
    floor: float = 0.0
    clip: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)


@dataclass(frozen=True)
class Turn:
    """One optimizer step of an update. Most stages have one; adversarial ones take turns (segmenter, discriminator)."""

    name: str
    parameters: Callable[[], Iterator[nn.Parameter]]
    optimizer: OptimizerSpec


@dataclass(frozen=True)
class CropSpec:
    """Which crops an update needs: side in pixels and how many of each domain.

    ``foreground`` is how often a labelled crop must hold foreground, ``target_points`` how often a target crop must
    hold a given point (where its slice has one). ``labelled`` names the domain whose dense labels feed
    ``Batch.source``: "target" is for the oracle alone.
    """

    size: int
    source: int = 0
    target: int = 0
    foreground: float = 0.7
    target_points: float = 0.0
    labelled: str = "source"


class TrainingView(Protocol):
    """What a stage may look at beside its batches: target training images, the desk, its parent's predictor."""

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


class Stage(ABC):
    """One training procedure. The core loops, moves devices, seeds, logs and checkpoints; a stage computes losses."""

    @abstractmethod
    def modules(self) -> Mapping[str, nn.Module]:
        """Every module whose state makes the stage resumable, by a stable name; ``network`` is the trained one."""

    def network(self) -> nn.Module:
        """The network from which a following stage starts."""
        return self.modules()["network"]

    @abstractmethod
    def turns(self) -> Sequence[Turn]:
        """The optimizer steps of one update, in order."""

    def prepare(self, view: TrainingView) -> None:
        """Called at every start (also a resumed one), before the first update, on the device; must be deterministic."""

    @abstractmethod
    def step(self, batch: Batch, turn: str) -> dict[str, torch.Tensor]:
        """Losses of one turn: ``"loss"`` is minimised, all other terms are logged."""

    def after_update(self, step: int) -> None:
        """Called after all turns of an update (EMA and the like)."""

    #: Call `refresh` before update 0 and then every so many updates; 0 is never.
    refresh_every: int = 0

    def refresh(self, view: TrainingView) -> None:
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
    """A stage before it is built: all that decides its outcome, so that a finished one can be found again.

    Args:
        name: short, stable, unique in its method (``source``, ``prompt-das``, ``slpo``).
        method: the method that owns it; its plugin's source is part of the key.
        config: every setting that decides the outcome (dumped into the key).
        components: (kind, name) of every other component it uses; their source and settings are part of the key.
        crops: what its batches hold.
        iterations: number of updates.
        build: makes the stage; called with the parent's stage (trained, or None).
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


@dataclass(frozen=True)
class Budget:
    """What of the target's training split may be annotated: share of components with a point, share of patches."""

    points: float = 0.0
    patches: float = 0.0


@dataclass(frozen=True)
class TaskInfo:
    """What a method may know of a task before training."""

    name: str
    source: str
    target: str
    neighbours: bool = True
    has_source: bool = True


class Components(Protocol):
    """How a plugin gets another component: by name, configured for this run."""

    def config(self, kind: str, name: str) -> Any:
        """The validated settings of a component: its defaults, the preset's values, the user's."""

    def backbone(self, name: str) -> nn.Module:
        """A new backbone."""

    def network(self, name: str, backbone: str) -> nn.Module:
        """A new segmentation network on a new backbone."""

    def self_training(self, name: str) -> SelfTraining:
        """A new self-training scheme."""

    def preference_optimizer(self, name: str) -> PreferenceOptimizer:
        """A new preference optimizer."""

    def method(self, name: str) -> Method:
        """Another method, to start from its stages."""


class Method(ABC):
    """A recipe: an ordered list of stages; each one starts from the one before."""

    @abstractmethod
    def stages(self, task: TaskInfo, budget: Budget) -> list[StageSpec]:
        """The stages, first to last. Must be cheap and build no network."""

    def skip(self, task: TaskInfo, budget: Budget) -> str | None:
        """Why this method cannot run here, or None. The reason becomes the cell's status."""
        del task, budget
        return None


# ---------------------------------------------------------------------------------------------------------- protocols
@dataclass(frozen=True)
class SliceScore:
    """Scores of one slice, or why it takes no part (``empty on both sides``)."""

    z: int
    values: Mapping[str, float]
    left_out: str = ""


class EvaluationProtocol(ABC):
    """A versioned rule that turns predictions and labels into numbers, slice by slice; never holds a volume."""

    #: Names of the metrics that `result` gives, the headline first.
    metrics: tuple[str, ...] = ("dice", "aji", "pq")
    #: Whether `update` wants true instance ids rather than binary labels.
    wants_instances: bool = False

    @abstractmethod
    def update(self, z: int, prediction: Array, label: Array) -> SliceScore:
        """Take one slice: prediction ``(H, W)`` bool, label ``(H, W)`` 0/1/255, or instance ids."""

    @abstractmethod
    def result(self) -> dict[str, float]:
        """The metrics over all slices so far, plus ``n`` counted and ``left_out`` slices. NaN only when n is 0."""

"""Label-free choice of checkpoint and threshold: the candidates, what a selector may use, and the choice."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from numbers import Real
from typing import TypeVar

import torch

from dabench.annotation.desk import AnnotationDesk
from dabench.components.assembly import Assembly
from dabench.errors import ConfigError, PluginError
from dabench.inference.volume import predict_slices
from dabench.interfaces import Candidate, CandidateSlice, Predictor, SelectionData, Selector, Volume
from dabench.ops.agreement import Clicks
from dabench.runs.config import RunConfig
from dabench.runs.task import TaskData
from dabench.tracking.events import Regret, Selected
from dabench.training.sampling import gap_slices
from dabench.types import Array

_T = TypeVar("_T")


#: Among which given points choose by themselves, the preferred first.
_THRESHOLDS = (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8, 0.1, 0.9)


@dataclass(frozen=True)
class Choice:
    """The rule that chooses checkpoint and threshold, by its registered name, and the thresholds to choose among."""

    name: str
    selector: Selector
    thresholds: tuple[float, ...]


def choice_of(config: RunConfig, assembly: Assembly, *, own: bool) -> Choice:
    """The rule that a run names; with ``auto`` the last checkpoint or, on a volume of one's ``own``, the points given.

    Thresholds that were named stay.
    """
    if config.selector != "auto":
        return Choice(config.selector, assembly.selector(config.selector), config.thresholds)
    if own:
        for name in assembly.registry.names("selector"):
            selector = assembly.selector(name)
            if selector.chooses_by_points:
                plain = config.thresholds == RunConfig.model_fields["thresholds"].default
                return Choice(name, selector, _THRESHOLDS if plain else config.thresholds)
    return Choice("last", assembly.selector("last"), config.thresholds)


def snapshot_updates(total: int, count: int) -> tuple[int, ...]:
    """Updates after which a stage is a candidate: evenly spread, the last one among them, at most one an update."""
    return tuple(sorted({math.ceil(total * (i + 1) / count) for i in range(count)}))


def candidates(updates: Sequence[int], thresholds: Sequence[float]) -> tuple[Candidate, ...]:
    """Every update at every threshold; among equals the first is preferred: late before early, then as given."""
    return tuple(Candidate(u, t) for u in sorted(updates, reverse=True) for t in thresholds)


def check_candidates(config: RunConfig, found: Sequence[Candidate]) -> None:
    """Raises ConfigError for a selector that has nothing to choose among."""
    if len(found) == 1 and config.selector not in ("auto", "last"):
        raise ConfigError(
            f"selector {config.selector!r}: there is only one candidate (update {found[0].update}, threshold "
            f"{found[0].threshold:g}), so there is nothing to choose.",
            "Keep several checkpoints (--snapshots 5) or name several thresholds (--set thresholds=[0.3,0.5,0.7]).",
        )


def why_not(selector: Selector, name: str, task: TaskData, *, points: bool, source: bool) -> str:
    """Why a selector cannot choose in this run; "" when it can.

    Args:
        selector: the rule.
        name: its registered name.
        task: the run's data; the source is opened only where the selector wants it.
        points: whether the desk hands out points to a stage of this run.
        source: whether a stage of this run learns from the source.
    """
    if "points" in selector.looks_at and not points:
        return f"selector {name!r} needs given points, and this run has none"
    if "source" in selector.looks_at and not source:
        return f"selector {name!r} needs the source's labels, but this run has no source"
    if "source" in selector.looks_at and task.source_validation is None:
        return f"selector {name!r} needs labelled source slices that no stage trains on, and {task.source!r} has none"
    return ""


@dataclass(frozen=True)
class Stack:
    """Slices that candidates are tried on: images float32 [0, 1], nm a slice, labels where they may be seen."""

    images: Volume
    thickness: float
    labels: Volume | None = None

    def spread(self, most: int, among: Sequence[int] | None = None) -> list[int]:
        """At most so many slices, evenly spread over the stack or over some of its slices."""
        numbers = range(self.images.shape[0]) if among is None else sorted(among)
        count = min(most, len(numbers))
        return [numbers[(2 * i + 1) * len(numbers) // (2 * count)] for i in range(count)]


@dataclass(frozen=True)
class CandidateData(SelectionData):
    """What a selector looks at, made of images alone: the desk's points come as numbers, the target has no labels.

    ``predictor`` gives the model after so many updates; ``target``, ``source`` and ``given`` are None where
    `Selector.looks_at` does not name them.
    """

    predictor: Callable[[int], Predictor] = field(repr=False)
    tile: int
    device: torch.device
    target_stack: Stack | None = None
    source_stack: Stack | None = None
    given: Mapping[int, Clicks] | None = None
    share: float = 0.0

    def target(self, update: int, most: int, among: Sequence[int] | None = None) -> Iterator[CandidateSlice]:
        stack = _named(self.target_stack, "target")
        return self._predict(update, stack, stack.spread(most, among))

    def source(self, update: int, most: int) -> Iterator[CandidateSlice]:
        stack = _named(self.source_stack, "source")
        return self._predict(update, stack, stack.spread(most))

    def points(self) -> Mapping[int, Array]:
        return {z: clicks.points for z, clicks in self.clicks().items()}

    def clicks(self) -> Mapping[int, Clicks]:
        return _named(self.given, "points")

    def point_share(self) -> float:
        _named(self.given, "points")
        return self.share

    def _predict(self, update: int, stack: Stack, slices: Sequence[int]) -> Iterator[CandidateSlice]:
        """Automatic mode: points as prompts would be found by any model."""
        model = self.predictor(update)
        gap = gap_slices(model.neighbour, stack.thickness, stack.images.shape[0])
        for z, seen in predict_slices(model, stack.images, self.tile, device=self.device, slices=slices, gap=gap):
            label = None if stack.labels is None else stack.labels.read(z)
            yield CandidateSlice(z, seen.probability, model.finish, label)


def _named(value: _T | None, what: str) -> _T:
    if value is None:
        raise ConfigError(f"a selector looks at {what!r}, which its looks_at does not name.")
    return value


def open_data(
    selector: Selector,
    task: TaskData,
    desk: AnnotationDesk,
    asks: Sequence[str],
    predictor: Callable[[int], Predictor],
    tile: int,
    device: torch.device,
) -> CandidateData:
    """What this selector may look at of a run.

    Args:
        selector: says so in ``looks_at``.
        task: of the run.
        desk: of the run.
        asks: what the run's stages asked for already; nothing else is handed out.
        predictor: gives the model after so many updates.
        tile: side of a tile in pixels.
        device: where the models are.
    """
    looks, source = selector.looks_at, None
    if "source" in looks and (split := task.source_validation) is not None:
        source = Stack(task.seen(split), split.voxel[0], task.seen_labels(split))
    return CandidateData(
        predictor,
        tile,
        device,
        Stack(task.target_images, task.target_train.voxel[0]) if "target" in looks else None,
        source,
        desk.clicks(asks) if "points" in looks else None,
        desk.for_stage(asks).point_budget() if "points" in looks else 0.0,
    )


def choose(
    stage: str, name: str, selector: Selector, found: Sequence[Candidate], data: SelectionData
) -> tuple[Candidate, Selected]:
    """The best candidate, with the event that says why. Raises PluginError for scores that are none.

    Args:
        stage: name of the last stage.
        name: the selector's registered name.
        selector: the rule.
        found: the candidates, the preferred first.
        data: what the rule may look at.
    """
    scores = list(selector.scores(found, data))
    if len(scores) != len(found) or not all(isinstance(s, Real) and math.isfinite(s) for s in scores):
        raise PluginError(f"selector {name!r} scored {len(found)} candidates with {scores}: expected a number for each")
    chosen = best(found, scores)
    about = Selected(stage, name, chosen.update, chosen.threshold, float(max(scores)), listing(found, scores))
    return chosen, about


def best(found: Sequence[Candidate], scores: Sequence[float]) -> Candidate:
    """The candidate of the highest score; among equals the first."""
    return found[max(range(len(found)), key=scores.__getitem__)]


def listing(found: Sequence[Candidate], scores: Sequence[float]) -> tuple[Mapping[str, float], ...]:
    """Candidates with their scores, as an event has them."""
    return tuple({**asdict(c), "score": float(s)} for c, s in zip(found, scores, strict=True))


def regret(
    stage: str, metric: str, found: Sequence[Candidate], metrics: Sequence[Mapping[str, float]], chosen: Candidate
) -> Regret:
    """What target labels would have chosen among the candidates, and what the choice without them has lost.

    Args:
        stage: name of the last stage.
        metric: the protocol's headline metric.
        found: the candidates, the preferred first.
        metrics: of each on the target's test split; a split without a slice that counts has none, which is 0 here.
        chosen: the one that predicts.
    """
    scores = [one.get(metric, 0.0) for one in metrics]
    top, ours = best(found, scores), scores[found.index(chosen)]
    return Regret(stage, metric, top.update, top.threshold, max(scores), ours, listing(found, scores))

"""What the given points say of the teacher: from which probability it is right, and how many objects there are.

A share of all centres was given, so the whole number is known roughly. Components of a sample of slices are ranked by
mean probability: the likeliest are trusted as foreground, those past the number are background. Without this a false
object that the teacher is sure of is never contradicted, for points only ever say where something is. IPL ranks its
detections by such a count; Prompt-DAS speaks of "the highest local maxima" and leaves the number open.

Where the target holds more foreground than the source did, the teacher is unsure of true foreground and labels it
background. A threshold below one half that agrees better with the points shows that; the odds are then shifted
(`shift_odds`). A higher one is never taken: it only removes false objects, which is what the ranking is for, and makes
the others too small. With a lower threshold nothing is rejected: the components are parts of objects, not objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from dabench.ops.agreement import Agreement, Clicks
from dabench.ops.calibration import shift_odds
from dabench.ops.components import component_sizes, label_components
from dabench.ops.patches import tile_windows
from dabench.plugin import IGNORE, Array, CropId, PointAnswer, PseudoTargets, SelfTraining, TargetCrops, TrainingData

_TILES_AT_ONCE = 16
#: Components of fewer pixels are not counted as objects.
_SMALLEST = 100
#: Thresholds that are tried; that of the lowest is where the teacher's probabilities begin to be noise.
THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
#: How much better than at one half the agreement has to be, and how far below the best it may stay.
_MARGIN = 0.02
#: Points below which they say nothing of the threshold.
_FEWEST = 10


@dataclass(frozen=True)
class Limits:
    """Mean probability from which a component is foreground, and below which it is background; 0 and 0 trust all."""

    accept: float = 0.0
    reject: float = 0.0


def expected_count(given: Iterable[int], share: float) -> float:
    """Objects on slices of which ceil(share * n) centres each were given: half a point is the mean rounding."""
    return sum(max(0.0, points - 0.5) for points in given) / share


def counted_slices(answers: Mapping[int, PointAnswer], slices: list[int], share: float) -> tuple[list[int], float]:
    """Those of some slices on which points imply a count, and the objects that they imply there.

    A fair draw of a share of all objects does everywhere; a person's clicks where the whole slice was clicked.
    """
    said = {z: answer.regions for z, answer in answers.items() if answer.regions is not None}
    if not said:
        return slices, expected_count((len(answers[z].points) for z in slices if z in answers), share)
    whole = {z: region.objects for z, regions in said.items() for region in regions if region.window is None}
    chosen = [sorted(whole)[i] for i in sampled_slices(len(whole), len(slices))]
    return chosen, float(sum(whole[z] for z in chosen))


def limits_of(scores: Array, expected: float, accept: float, reject: float) -> Limits:
    """The scores at ranks ``accept * expected`` and ``reject * expected``; 0 where there are fewer components."""
    ranked = np.sort(scores)[::-1]

    def at(share: float) -> float:
        rank = round(share * expected)
        return float(ranked[rank]) if rank < len(ranked) else 0.0

    return Limits(at(accept), at(reject))


def sampled_slices(depth: int, most: int) -> list[int]:
    """Evenly spread slices, at most so many; always the same."""
    return sorted({round(z) for z in np.linspace(0, depth - 1, min(depth, most)).tolist()})


class Thresholds:
    """Adds up slices; `chosen` is the threshold that the points speak for, `scores` the components above it."""

    def __init__(self, share: float, tried: tuple[float, ...] = THRESHOLDS) -> None:
        """Points that are a ``share`` of all objects, unless they state regions; one half is always tried."""
        self._share = share
        self._agreement = {threshold: Agreement() for threshold in {*tried, 0.5}}
        self._scores: dict[float, list[Array]] = {threshold: [] for threshold in self._agreement}

    def add(self, probability: Array, answer: PointAnswer | None) -> None:
        """One slice ``(H, W)`` in [0, 1] and its points, if any."""
        clicks = answer and Clicks.of(answer, self._share)
        for threshold, agreement in self._agreement.items():
            shifted = shift_odds(probability, threshold)
            self._scores[threshold].append(_scores(shifted))
            if clicks:
                agreement.add(shifted > 0.5, clicks)

    def chosen(self) -> float:
        """One half, or the highest lower threshold whose agreement is as good as the best and better than at one half.

        >>> Thresholds(0.15).chosen()
        0.5
        """
        score = {threshold: found.score() for threshold, found in self._agreement.items()}
        if self._agreement[0.5].given < _FEWEST:
            return 0.5
        return max(t for t in score if score[t] >= max(score.values()) - _MARGIN)

    def scores(self, threshold: float) -> Array:
        """Mean shifted probability of every component, all slices together."""
        return np.concatenate([np.zeros(0), *self._scores[threshold]])


@torch.no_grad()
def probabilities(
    data: TrainingData, scheme: SelfTraining, slices: list[int], size: int
) -> Iterator[tuple[int, Array]]:
    """Some slices ``(H, W)`` of the target's training split as the scheme sees them, and their numbers."""
    _, height, width = data.target_shape()
    windows = tile_windows(height, width, size)
    generator = torch.Generator().manual_seed(0)
    for z in slices:
        whole = np.zeros((max(height, size), max(width, size)), np.float32)
        for first in range(0, len(windows), _TILES_AT_ONCE):
            crops = _crops(data, [CropId(z, window) for window in windows[first : first + _TILES_AT_ONCE]])
            confidence = scheme.targets(crops, generator).confidence.float().cpu().numpy()
            for origin, seen in zip(crops.origins, confidence, strict=True):
                whole[origin.window.slices] = seen
        yield z, whole[:height, :width]


def _crops(data: TrainingData, places: list[CropId]) -> TargetCrops:
    """Plain target crops with the given points of their slices."""
    images = torch.stack([torch.from_numpy(data.target_crop(place).copy()) for place in places])[:, None]
    answers = data.desk.points()
    nothing = torch.zeros(0, 2)
    points = [
        torch.from_numpy(place.window.to_local(answers[place.z].points)) if place.z in answers else nothing
        for place in places
    ]
    return TargetCrops(images, points, places).to(data.device)


def _scores(probability: Array) -> Array:
    """Mean probability of the components of one slice that are large enough."""
    means, sizes = _means(probability)
    return means[1:][sizes[1:] >= _SMALLEST]


def _means(probability: Array) -> tuple[Array, Array]:
    """Mean probability and pixels of each component above one half; entry 0 is the background."""
    labels = label_components(probability > 0.5)
    sizes = component_sizes(labels)
    return np.bincount(labels.ravel(), weights=probability.ravel()) / np.maximum(sizes, 1), sizes


def ranked(pseudo: PseudoTargets, given: list[Tensor], limits: Limits) -> PseudoTargets:
    """Pseudo-targets after the ranking; components that hold a given point are always trusted.

    Foreground of a component below ``accept`` is ignored. One below ``reject`` is background with all its pixels, and
    its centres are dropped.
    """
    if limits == Limits():
        return pseudo
    labels, points = [], []
    for row, confidence in enumerate(pseudo.confidence):
        new = _ranked(pseudo.labels[row], confidence, pseudo.points[row], given[row], limits)
        labels.append(new[0])
        points.append(new[1])
    return replace(pseudo, labels=torch.stack(labels), points=points)


def _ranked(labels: Tensor, confidence: Tensor, points: Tensor, given: Tensor, limits: Limits) -> tuple[Tensor, Tensor]:
    """One crop of `ranked`: labels ``(H, W)`` and points ``(N, 2)``."""
    seen = confidence.float().cpu().numpy()
    components = torch.from_numpy(label_components(seen > 0.5)).long()
    score = torch.from_numpy(_means(seen)[0])
    score[_at(components, given)] = 1.0
    score[0] = 1.0
    everywhere = score[components].to(labels.device)
    labels = labels.masked_fill((everywhere < limits.accept) & (labels == 1), IGNORE)
    labels = labels.masked_fill(everywhere < limits.reject, 0)
    keep = score[_at(components, points)] >= limits.reject
    return labels, points[keep.to(points.device)]


def _at(components: Tensor, points: Tensor) -> Tensor:
    """Component under each point ``(N, 2)`` (x, y)."""
    columns, rows = points.cpu().round().long().unbind(dim=1)
    height, width = components.shape
    return components[rows.clamp(0, height - 1), columns.clamp(0, width - 1)]

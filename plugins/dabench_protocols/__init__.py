"""The rules of scoring: `das-2d@1` (the published one), `das-2d-pooled@1`, and those of instances, in 2-D and in 3-D.

A rule has a version and no settings: a changed rule gets another name. All work slice by slice and keep a few numbers
per slice. Formulae and edge cases: docs/protocol.md.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from dabench.ops.components import label_components
from dabench.ops.metrics import Overlap, aji, dice, overlap_table, panoptic
from dabench.ops.splitting import split_touching
from dabench.plugin import IGNORE, Component, EvaluationProtocol, Register, SliceScore, hookimpl
from dabench_protocols.instances_3d import Instances3d

if TYPE_CHECKING:
    from dabench.types import Array

EMPTY = "empty on both sides"


def known_pixels(prediction: Array, label: Array) -> tuple[Array, Array]:
    """Prediction and truth as ``(H, W)`` bool, with ignored pixels (255) background on both sides."""
    ignored = label == IGNORE
    truth, predicted = label.astype(bool), prediction.astype(bool, copy=False)
    if ignored.any():
        truth, predicted = truth & ~ignored, predicted & ~ignored
    return predicted, truth


class SliceMeanProtocol(EvaluationProtocol):
    """Scores each slice from its objects and takes the unweighted mean of slices that have any."""

    metrics = ("dice", "aji", "pq")

    def __init__(self) -> None:
        """Start without slices."""
        self._scores: list[dict[str, float]] = []
        self._left_out = 0

    @abstractmethod
    def overlap(self, prediction: Array, label: Array) -> Overlap:
        """The slice's objects: which overlap by how much."""

    def update(self, z: int, prediction: Array, label: Array) -> SliceScore:
        """Score one slice; its row also has dq, sq and the numbers of objects."""
        overlap = self.overlap(prediction, label)
        if overlap.empty:
            self._left_out += 1
            return SliceScore(z, {}, EMPTY)
        quality = panoptic(overlap)
        values = {"dice": dice(overlap), "aji": aji(overlap), "pq": quality.pq, "dq": quality.dq, "sq": quality.sq}
        self._scores.append(values)
        return SliceScore(z, {**values, "n_true": overlap.true_area.size, "n_pred": overlap.predicted_area.size})

    def result(self) -> dict[str, float]:
        """Unweighted means over the slices that count; NaN when there is none."""
        n = len(self._scores)
        means = {m: math.fsum(s[m] for s in self._scores) / n if n else math.nan for m in self.metrics}
        return {**means, "n": float(n), "left_out": float(self._left_out)}


class Das2d(SliceMeanProtocol):
    """Published rule: 8-connected components on both sides, predicted ones of <= 15 px dropped, mean over slices."""

    def overlap(self, prediction: Array, label: Array) -> Overlap:
        """Components of the binary slice and of the prediction, after small predicted ones are dropped."""
        predicted, truth = known_pixels(prediction, label)
        return overlap_table(label_components(truth), label_components(predicted)).without_small()


class Instances2d(SliceMeanProtocol):
    """As `Das2d`, but truth is the card's ids: touching mitochondria stay apart, pieces with one id together.

    The same holds for predicted ids, of a method that makes objects; of a mask they are the components.
    """

    wants_instances = True
    takes_instances = True

    def overlap(self, prediction: Array, label: Array) -> Overlap:
        """True ids (0 background, below 0 ignored) against predicted ids, or components of a mask."""
        if label.dtype.kind == "i" and label.min(initial=0) < 0:
            prediction, label = np.where(label >= 0, prediction, prediction.dtype.type(0)), np.maximum(label, 0)
        ids = self.objects(prediction) if prediction.dtype == bool else prediction
        return overlap_table(label, ids).without_small()

    def objects(self, mask: Array) -> Array:
        """Ids ``(H, W)`` of the objects of a predicted mask."""
        return label_components(mask)


class Watershed2d(Instances2d):
    """As `Instances2d`, but a predicted mask is cut at its necks first: touching mitochondria are counted apart."""

    def objects(self, mask: Array) -> Array:
        """The parts of its components, see `split_touching`."""
        return split_touching(mask)


class Das2dPooled(EvaluationProtocol):
    """Dice and IoU over all pixels of all slices at once; nothing is dropped. A row is the slice's own Dice and IoU."""

    metrics = ("dice", "iou")

    def __init__(self) -> None:
        """Start without slices."""
        self._both = self._sum = self._n = self._left_out = 0

    def update(self, z: int, prediction: Array, label: Array) -> SliceScore:
        """Add one slice's pixels."""
        predicted, truth = known_pixels(prediction, label)
        both = int(np.count_nonzero(predicted & truth))
        total = int(np.count_nonzero(predicted)) + int(np.count_nonzero(truth))
        if not total:
            self._left_out += 1
            return SliceScore(z, {}, EMPTY)
        self._both, self._sum, self._n = self._both + both, self._sum + total, self._n + 1
        return SliceScore(z, _pooled(both, total))

    def result(self) -> dict[str, float]:
        """Dice and IoU of the pooled counts; NaN when every slice was empty on both sides."""
        return {**_pooled(self._both, self._sum), "n": float(self._n), "left_out": float(self._left_out)}


def _pooled(both: int, total: int) -> dict[str, float]:
    if not total:
        return {"dice": math.nan, "iou": math.nan}
    return {"dice": 2 * both / total, "iou": both / (total - both)}


_RULES: tuple[tuple[str, Any, str, str], ...] = (
    (
        "das-2d@1",
        Das2d,
        "Published rule: 2-D 8-connected components, <= 15 px dropped from the prediction, mean over slices.",
        "Metrics of WDA-Net, IPL, Prompt-DAS and Prefer-DAS; after HoVer-Net (Graham et al. 2019, arXiv:1812.06499)",
    ),
    (
        "das-2d-pooled@1",
        Das2dPooled,
        "Dice and IoU over all pixels of the volume at once, nothing dropped.",
        "UALR (Wu et al., MICCAI 2021) reports this kind of number",
    ),
    (
        "instances-2d@1",
        Instances2d,
        "As das-2d@1 against the card's true instance ids; of predicted ids where a method makes objects.",
        "dabench",
    ),
    (
        "instances-2d-watershed@1",
        Watershed2d,
        "As instances-2d@1, but predicted components are cut at their necks (touching mitochondria in muscle).",
        "dabench",
    ),
    (
        "instances-3d@1",
        Instances3d,
        "Whole 3-D objects against true ids: AP at IoU 0.75 and 0.5 (of ids or 26-connected components), PQ, Dice.",
        "MitoEM (Wei et al., MICCAI 2020) and its challenge's code; PQ: Kirillov et al. 2019, arXiv:1801.00868",
    ),
)


@hookimpl
def register_protocols(register: Register) -> None:
    """Register the rules."""
    for name, rule, summary, paper in _RULES:
        register(Component(name, _factory(rule), summary=summary, paper=paper, licence="Apache-2.0"))


def _factory(rule: Any) -> Any:
    return lambda config: rule()  # noqa: ARG005

"""Does a stage end worse than it began? Judged without labels, on a few slices of the target's training split.

Every stage is compared with the last good one before it, the source model first. Seen are the predicted share of
foreground and, where points were given, how well predicted objects agree with them (`dabench.ops.agreement`). A model
that finds nothing, everything, a quarter or ten times of what its start found, or agrees with the points less than its
start did, has fallen behind. A start that finds nothing or everything is no measure. A model that agrees with hardly
any point is named, too: where its start was no better, nothing has fallen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import torch

from dabench.inference.volume import predict_slices
from dabench.interfaces import Candidate, Predictor
from dabench.ops.agreement import Agreement, Clicks
from dabench.runs.plan import Plan
from dabench.runs.selection import Stack
from dabench.runs.stages import StageChain
from dabench.runs.task import TaskData
from dabench.tracking.events import Guarded
from dabench.training.sampling import gap_slices

#: Slices that every model predicts.
SLICES = 4
#: Shares of foreground below and above which a model has found nothing, or everything.
NOTHING, EVERYTHING = 1e-4, 0.95
#: Factors of the start's foreground to which a model may shrink and grow where no points say that it is right. A start
#: across a domain gap misses more than it invents, so growth is more often right.
SHRINK, GROWTH = 0.25, 10.0
#: Agreement with the points (estimated F1) that a stage may lose, and points from which it is asked.
LOSS, POINTS = 0.1, 5
#: Agreement below which the model that predicts is named.
POOR = 0.25


@dataclass(frozen=True)
class Look:
    """What is seen of a model without labels.

    Attributes:
        foreground: share of pixels, in [0, 1].
        agreement: estimated F1 of detection against the given points, in [0, 1].
        points: given ones on the slices that were looked at; below `POINTS` the agreement means nothing.
        counted: whether they imply how many objects there are: then a share of foreground that grew may be right.
    """

    foreground: float
    agreement: float = 0.0
    points: int = 0
    counted: bool = True


def behind(start: Look, end: Look) -> str:
    """Why ``end`` has fallen behind ``start``, or ""; two models that saw the same slices.

    >>> behind(Look(0.08), Look(0.01))
    'foreground went from 8.0 % of the pixels to 1.0 %'
    >>> behind(Look(0.08, 0.5, 9), Look(0.35, 0.7, 9))
    ''
    """
    told = f"foreground went from {start.foreground:.1%} of the pixels to {end.foreground:.1%}".replace("%", " %")
    if not NOTHING <= start.foreground <= EVERYTHING:
        return ""
    if not NOTHING <= end.foreground <= EVERYTHING:
        return told
    if end.points >= POINTS:
        if start.agreement - end.agreement > LOSS:
            return f"agreement with the points went from {start.agreement:.2f} to {end.agreement:.2f}"
        return "" if end.counted or end.foreground / start.foreground <= GROWTH else told
    return "" if SHRINK <= end.foreground / start.foreground <= GROWTH else told


def poor(look: Look) -> str:
    """What is to be said of a model that agrees with hardly any point, or "".

    >>> poor(Look(0.3, 0.05, 11))
    'agrees with the points by 0.05 of 1 only: are voxel size and points right, and objects as dark as in the source?'
    >>> poor(Look(0.3, 0.05, 4)), poor(Look(0.3, 0.8, 11))
    ('', '')
    """
    if look.points < POINTS or look.agreement >= POOR:
        return ""
    return (
        f"agrees with the points by {look.agreement:.2f} of 1 only: are voxel size and points right, and objects as "
        "dark as in the source?"
    )


def seen_slices(stack: Stack, given: Mapping[int, Clicks]) -> list[int]:
    """The slices that every model predicts: `SLICES`, spread over those with points.

    A person may have clicked on a few objects of many slices, and all of one. So there these are `POINTS` slices with a
    point, which hold `POINTS` of them, and `SLICES` with a region, where points imply a count.
    """
    if not any(clicks.regions is not None for clicks in given.values()):
        return stack.spread(SLICES, sorted(given) or None)
    pointed = [z for z, clicks in given.items() if clicks.judged.any()]
    regions = [z for z, clicks in given.items() if clicks.regions]
    return sorted({*stack.spread(POINTS, pointed or list(given)), *stack.spread(SLICES, regions)})


class Guard:
    """Looks at the stages of a finished run."""

    def __init__(self, plan: Plan, stages: StageChain, given: Mapping[int, Clicks]) -> None:
        """``given`` clicks by slice of the target's training split."""
        self.plan, self.stages, self.given = plan, stages, given

    def look(self, predictor: Predictor, threshold: float, tile: int) -> Look:
        """What a model finds, in automatic mode: points as prompts would be found by any model."""
        stack = stack_of(self.plan.task)
        slices = seen_slices(stack, self.given)
        gap = gap_slices(predictor.neighbour, stack.thickness, stack.images.shape[0])
        device: torch.device = self.stages.device
        found, agreement = 0.0, Agreement()
        for z, seen in predict_slices(predictor, stack.images, tile, device=device, slices=slices, gap=gap):
            mask = predictor.finish(seen.probability >= threshold)
            found += float(mask.mean()) / len(slices)
            if z in self.given:
                agreement.add(mask, self.given[z])
        return Look(found, agreement.score(), agreement.given, agreement.counted)

    def check(self, chosen: Candidate, *, falls_back: bool) -> tuple[int, Candidate, Guarded]:
        """The stage and the candidate that predict, and what is to be said of it.

        Args:
            chosen: the last stage's candidate.
            falls_back: let the last good model predict; otherwise the last stage does, and the event warns.
        """
        last = len(self.plan.stages) - 1
        looks = [self._of(index, chosen if index == last else None) for index in range(last + 1)]
        good, reason = 0, ""
        for index in range(1, last + 1):
            if found := behind(looks[good], looks[index]):
                reason = f"{self._name(index)} fell behind {self._name(good)}: {found}"
            else:
                good, reason = index, ""
        word = "good" if good == last else "fell back" if falls_back else "behind"
        used = good if word == "fell back" else last
        if found := poor(looks[used]):
            word = "poor" if word == "good" else word
            reason = "; ".join(filter(None, (reason, f"{self._name(used)} {found}")))
        candidate = chosen if used == last else self._candidate(used)
        return used, candidate, Guarded(self._name(last), word, self._name(used), reason, self._listing(looks))

    def _of(self, index: int, chosen: Candidate | None) -> Look:
        candidate, spec = chosen or self._candidate(index), self.plan.stages[index].spec
        return self.look(self.stages.predictor(index, candidate.update), candidate.threshold, spec.crops.size)

    def _candidate(self, index: int) -> Candidate:
        return Candidate(self.plan.stages[index].spec.iterations, self.plan.choice.thresholds[0])

    def _name(self, index: int) -> str:
        return self.plan.stages[index].spec.name

    def _listing(self, looks: Sequence[Look]) -> tuple[Mapping[str, float | str], ...]:
        return tuple({"stage": self._name(i), **asdict(look)} for i, look in enumerate(looks))


def stack_of(task: TaskData) -> Stack:
    """The target's training images."""
    return Stack(task.target_images, task.target_train.voxel[0])

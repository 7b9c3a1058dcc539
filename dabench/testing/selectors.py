"""Checks of selectors: a number for every candidate, from nothing but what was declared, whatever was predicted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real

import numpy as np
import torch

from dabench.components.registry import Registered
from dabench.errors import ConfigError
from dabench.interfaces import LOOKS, Candidate, Predictor, Selector
from dabench.ops.agreement import Clicks
from dabench.ops.centres import component_centres
from dabench.runs.selection import CandidateData, Stack, candidates
from dabench.testing.fixtures import SIDE, Fixtures, discs
from dabench.testing.outcomes import Check, Violation, expect
from dabench.types import Prediction

_THRESHOLDS = (0.5, 0.3, 0.7)


class _Model(Predictor):
    """Foreground is what is darker than a level, the surer the steeper."""

    def __init__(self, level: float, steepness: float) -> None:
        self.level, self.steepness = level, steepness

    def predict(
        self, images: torch.Tensor, points: Sequence[torch.Tensor] | None = None, *, density: bool = False
    ) -> Prediction:
        del points, density
        return Prediction(torch.sigmoid((self.level - images[:, 0]) * self.steepness))


#: By update: unsure, good, too much, and the two that have collapsed.
_MODELS = {10: _Model(0.45, 2), 20: _Model(0.45, 40), 30: _Model(0.55, 40), 40: _Model(-99, 40), 50: _Model(99, 40)}


def _data(selector: Selector, given: int = 2, slices: int = 3) -> CandidateData:
    """Two synthetic stacks, of which the selector gets what it declares; points on the first slices only."""
    images, labels = discs(seed=7, slices=slices)
    centres = {z: component_centres(labels.read(z) == 1) for z in range(slices)}
    points = {z: Clicks.drawn(centres[z][: given if z < 2 else 0], 0.5) for z in centres}
    looks = selector.looks_at
    return CandidateData(
        _MODELS.__getitem__,
        SIDE,
        torch.device("cpu"),
        Stack(images, 30.0) if "target" in looks else None,
        Stack(images, 30.0, labels) if "source" in looks else None,
        {z: clicks for z, clicks in points.items() if clicks} if "points" in looks else None,
        0.5 if "points" in looks else 0.0,
    )


def _scores(selector: Selector, found: Sequence[Candidate], data: CandidateData) -> list[float]:
    try:
        return list(selector.scores(found, data))
    except ConfigError as error:
        raise Violation(f"scores(): {error}") from error


def declares(fixtures: Fixtures, item: Registered) -> None:
    """What it looks at are words that the core knows, so that a run can tell whether it has that."""
    looks = fixtures.assembly.selector(item.name).looks_at
    expect(isinstance(looks, tuple), f"looks_at is {looks!r}, not a tuple")
    unknown = sorted(set(looks) - set(LOOKS))
    expect(not unknown, f"looks_at names {unknown}: use {', '.join(LOOKS)}")


def scores_all(fixtures: Fixtures, item: Registered) -> None:
    """One finite number per candidate, also for collapsed models, using only what it declares."""
    selector, found = fixtures.assembly.selector(item.name), candidates(list(_MODELS), _THRESHOLDS)
    scores = _scores(selector, found, _data(selector))
    expect(len(scores) == len(found), f"{len(scores)} scores of {len(found)} candidates")
    for candidate, score in zip(found, scores, strict=True):
        expect(isinstance(score, Real) and math.isfinite(score), f"the score of {candidate} is {score!r}")


def nothing_there(fixtures: Fixtures, item: Registered) -> None:
    """No point on any slice, and no candidate that finds anything: numbers all the same."""
    selector, found = fixtures.assembly.selector(item.name), candidates([40], _THRESHOLDS)
    scores = _scores(selector, found, _data(selector, given=0, slices=1))
    expect(all(math.isfinite(score) for score in scores), f"scores are {scores!r}")


def repeatable(fixtures: Fixtures, item: Registered) -> None:
    """The same candidates get the same scores, in any order: nothing is drawn, nothing is kept."""
    selector, found = fixtures.assembly.selector(item.name), candidates(list(_MODELS), _THRESHOLDS)
    order = np.random.default_rng(0).permutation(len(found))
    first = _scores(selector, found, _data(selector))
    second = _scores(selector, [found[i] for i in order], _data(selector))
    other = [i for i, score in zip(order, second, strict=True) if score != first[i]]
    expect(not other, f"{len(other)} of {len(found)} scores change when candidates are listed in another order")


CHECKS = (
    Check("declares what it looks at", declares),
    Check("scores all", scores_all),
    Check("nothing there", nothing_there),
    Check("repeatable", repeatable),
)

"""How good the chosen candidates are by labels, compared with no answers and with the best answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dabench.annotation.answers import Answer, decisive
from dabench.annotation.preference_set import PreferenceSet, Question
from dabench.interfaces import Truth
from dabench.ops.choice import dice_scores
from dabench.statistics.intervals import Interval
from dabench.statistics.resampling import multinomial_weights
from dabench.types import IGNORE, Array

#: The threshold that predicts where nobody is asked.
USUAL = 0.5
_RESAMPLES, _LEVEL = 2000, 0.95


@dataclass(frozen=True)
class Ceiling:
    """Mean Dice to labels over the questions that a rater decided, with 95 % intervals (questions drawn again).

    ``best``: of the best candidate of each, as if every answer were right; ``chosen``: of what was chosen (the mean of
    those that tie); ``usual``: of the candidate at the threshold .5. ``reached``: the share of the way from ``usual``
    to ``best`` that the answers went; None where there is no way to go. "All bad" chooses nothing and is left out.
    """

    rater: str
    questions: int
    best: Interval
    chosen: Interval
    usual: Interval
    reached: float | None


def ceilings(choices: PreferenceSet, answers: Mapping[str, Sequence[Answer]], truth: Truth) -> tuple[Ceiling, ...]:
    """One entry per rater who chose something, in their order; empty where candidates were not made by thresholds.

    Args:
        choices: the set, for its masks.
        answers: of each rater.
        truth: labels on the pixels of the questions.

    Raises:
        DataError: masks are missing or damaged.
    """
    dice: dict[str, Array] = {}
    found = []
    for rater, given in answers.items():
        rows = []
        for name, answer in decisive(given).items():
            question = choices.question(name)
            if answer.chosen and question.thresholds:
                if name not in dice:
                    dice[name] = _dice(choices, question, truth)
                scores, usual = dice[name], int(np.argmin(np.abs(np.array(question.thresholds) - USUAL)))
                rows.append((scores.max(), scores[list(answer.chosen)].mean(), scores[usual]))
        if rows:
            found.append(_summary(rater, np.array(rows)))
    return tuple(found)


def _dice(choices: PreferenceSet, question: Question, truth: Truth) -> Array:
    label = truth.labels(question.z)[question.window.slices]
    return dice_scores(choices.masks(question), label == 1, label != IGNORE)


def _summary(rater: str, rows: Array) -> Ceiling:
    n = len(rows)
    draws = multinomial_weights(np.random.default_rng(0), n, n, _RESAMPLES) @ rows
    low, high = np.quantile(draws, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2], axis=0)
    best, chosen, usual = (
        Interval(float(mean), float(a), float(b)) for mean, a, b in zip(rows.mean(axis=0), low, high, strict=True)
    )
    way = best.mean - usual.mean
    reached = (chosen.mean - usual.mean) / way if way > 1e-9 else None
    return Ceiling(rater, n, best, chosen, usual, reached)

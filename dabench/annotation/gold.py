"""Questions whose correct answer is known: from labels, or from the answers of a trusted rater."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from dabench.annotation.answers import Answer, decisive
from dabench.annotation.preference_set import Question
from dabench.interfaces import Truth
from dabench.ops.choice import candidate_scores
from dabench.types import IGNORE, Array, Window

#: By how much Dice the best candidate leads where its being the best is beyond doubt for a person.
LEAD = 0.05


def known_answers(shown: Iterable[tuple[int, Window, Array]], truth: Truth) -> dict[int, int]:
    """Questions of which labels leave no doubt what is right, and the right candidate.

    Args:
        shown: slice, patch and candidates ``(K, h, w)`` bool of each question.
        truth: labels of the slices, on the pixels of the patches.

    Returns:
        Number of the question -> index of the candidate that leads the second by at least `LEAD` of Dice.
    """
    found = {}
    for number, (z, window, masks) in enumerate(shown):
        label = truth.labels(z)[window.slices]
        scores = candidate_scores(masks, label == 1, label != IGNORE)
        if scores is not None and scores.max() > 0:
            second, best = np.sort(scores)[-2:]
            if best - second >= LEAD:
                found[number] = int(np.argmax(scores))
    return found


def draw_gold(known: dict[int, int], count: int, rng: np.random.Generator) -> dict[int, tuple[int, ...]]:
    """``count`` of the known answers at random, fewer only where there are fewer; as `Question.gold` has them."""
    numbers = rng.permutation(sorted(known))[:count]
    return {int(number): (known[int(number)],) for number in numbers}


def gold_of(questions: Sequence[Question], answers: Sequence[Answer]) -> list[Question]:
    """The questions with the answers of a trusted rater as the right ones; where that rater skipped, none is known."""
    right = {name: answer.chosen for name, answer in decisive(answers).items()}
    return [question.model_copy(update={"gold": right.get(question.id)}) for question in questions]

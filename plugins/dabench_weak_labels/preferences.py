"""Weak label ``preferences``: which of several candidate masks is best, patch by patch (Prefer-DAS, LPO and SLPO).

The simulated person takes the candidate with the highest Dice against truth (FACTS 13); one who errs takes another
candidate that differs from it, each equally likely. Whether a question is answered wrongly depends on the seed, the
place and what was shown, never on the other questions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from dabench.ops.choice import best_candidate, candidate_digests
from dabench.plugin import (
    IGNORE,
    ConfigError,
    DataError,
    PreferenceAnswer,
    PreferenceQuestion,
    PreferenceRequest,
    Settings,
    Truth,
    WeakLabel,
    Window,
)
from dabench_weak_labels.preference_files import read_preferences, write_preferences

#: Names a question: its slice, its patch, and what was shown.
QuestionKey = tuple[int, Window, tuple[str, ...]]


class PreferenceSettings(Settings):
    """Price of an answer."""

    seconds_per_patch: float = Field(
        5.0,
        ge=0,
        description="Seconds to look at five contours on one patch and pick one; an assumption, no paper reports it.",
    )


class Preferences(WeakLabel):
    """Patch preferences."""

    suffix: ClassVar[str] = ".jsonl"
    of_model: ClassVar[bool] = True

    def __init__(self, config: PreferenceSettings) -> None:
        """Take the settings."""
        self.config = config
        self.seconds_per_unit = config.seconds_per_patch

    def simulate(
        self, request: PreferenceRequest, truth: Truth, rng: np.random.Generator, error_rate: float
    ) -> list[PreferenceAnswer]:
        """Judge each patch against truth; ignored pixels (255) do not count."""
        base = int(rng.integers(1 << 62))
        return [self._judge(question, truth, base, error_rate) for question in request.questions]

    def _judge(self, question: PreferenceQuestion, truth: Truth, base: int, error_rate: float) -> PreferenceAnswer:
        label = truth.labels(question.z)[question.window.slices]
        digests = candidate_digests(question.candidates)
        choice = best_candidate(question.candidates, label == 1, label != IGNORE)
        seed = [base, question.z, *(int(digest[:8], 16) for digest in digests)]
        rng = np.random.default_rng([*seed, question.window.y, question.window.x])
        if choice is not None and rng.random() < error_rate:
            others = [i for i, digest in enumerate(digests) if digest != digests[choice]]
            choice = int(rng.choice(others))
        seconds = self.config.seconds_per_patch
        rater = f"simulated:{error_rate:g}"
        return PreferenceAnswer(question.z, question.window, choice, seconds, rater, candidate_digests=digests)

    def match(self, request: PreferenceRequest, recorded: Sequence[PreferenceAnswer]) -> list[PreferenceAnswer]:
        """Look each question up by place and by what was shown; None where the person did not answer it.

        The order of the candidates may differ: the chosen mask is found by its digest. The last of several answers to
        one question counts.
        """
        known = {(a.z, a.window, frozenset(a.candidate_digests)): a for a in recorded}
        return [self._look_up(question, known) for question in request.questions]

    def _look_up(
        self,
        question: PreferenceQuestion,
        known: Mapping[tuple[int, Window, frozenset[str]], PreferenceAnswer],
    ) -> PreferenceAnswer:
        digests = candidate_digests(question.candidates)
        found = known.get((question.z, question.window, frozenset(digests)))
        if found is None:
            return PreferenceAnswer(question.z, question.window, None, 0.0, "recorded", candidate_digests=digests)
        choice = None if found.choice is None else digests.index(found.candidate_digests[found.choice])
        return replace(found, choice=choice, candidate_digests=digests)

    def write(self, answers: Sequence[PreferenceAnswer], path: Path, about: Mapping[str, str] | None = None) -> None:
        """Write JSON lines, atomically; ``about`` goes into every line."""
        write_preferences(answers, path, about or {})

    def read(self, path: Path) -> list[PreferenceAnswer]:
        """Read JSON lines. Raises DataError with line and value."""
        return read_preferences(path)

    def answer_self(self, request: PreferenceRequest) -> list[PreferenceAnswer]:
        """The candidate of the highest Dice against each question's own hint (UPO). Raises ConfigError without one."""
        return [_by_hint(question) for question in request.questions]

    def request(self, share: float, slices: Sequence[int]) -> None:
        """None: which candidates a patch has, only a stage knows."""

    def key(self, request: PreferenceRequest, shape: tuple[int, int, int]) -> tuple[QuestionKey, ...]:
        """Every question with what was shown. Raises DataError for one that leaves the split or does not fit."""
        for question in request.questions:
            _check_place(question.z, question.window, shape)
            shown, window = question.candidates, question.window
            if shown.ndim != 3 or len(shown) < 1 or shown.shape[1:] != (window.height, window.width):
                raise DataError(f"a question on slice {question.z}: candidates {shown.shape} do not fit {window}")
        return tuple((q.z, q.window, candidate_digests(q.candidates)) for q in request.questions)

    def charge(self, keys: Sequence[tuple[QuestionKey, ...]], shape: tuple[int, int, int]) -> float:
        """Share of all patches that were asked about: each once, and the last one counts as soon as it begins to fit.

        So 15 % of 96 patches are 15: the 15th is begun when 14 are charged.
        """
        shares = [patch_share(shape, window) for _, window in {(z, window) for key in keys for z, window, _ in key}]
        rest = max(shares, default=0.0) * (1 - 1e-6)
        # Whoever may ask about every patch may also lay them out in another way.
        return min(1.0, sum(shares) - rest)

    def check(self, answers: Sequence[PreferenceAnswer], shape: tuple[int, int, int]) -> None:
        """Patches lie on the split. Raises DataError for the first one that does not."""
        for answer in answers:
            _check_place(answer.z, answer.window, shape)

    def price(self, answers: Sequence[PreferenceAnswer]) -> float:
        """Seconds: what each answer took; recorded ones carry their own time."""
        return sum(answer.seconds for answer in answers)


def patch_share(shape: tuple[int, int, int], window: Window) -> float:
    """Share of the patch budget that one patch takes: 1 / N, N patches of its size covering every slice.

    Args:
        shape: (slices, rows, columns) of the split.
        window: the patch.
    """
    slices, height, width = shape
    return 1 / (slices * math.ceil(height / window.height) * math.ceil(width / window.width))


def _check_place(z: int, window: Window, shape: tuple[int, int, int]) -> None:
    slices, height, width = shape
    inside = 0 <= window.y <= height - window.height and 0 <= window.x <= width - window.width
    if not (0 <= z < slices and inside):
        raise DataError(
            f"a patch on slice {z}, {window}, leaves the training split of {slices} slices of "
            f"{height} x {width} pixels.",
            "Preferences belong to the volume that they were recorded on.",
        )


def _by_hint(question: PreferenceQuestion) -> PreferenceAnswer:
    if question.hint is None:
        raise ConfigError(
            f"rater 'self': the question on slice {question.z} carries no hint to rank against.", "Use --po upo."
        )
    choice = best_candidate(question.candidates, question.hint.astype(bool))
    digests = candidate_digests(question.candidates)
    return PreferenceAnswer(question.z, question.window, choice, 0.0, "self", candidate_digests=digests)

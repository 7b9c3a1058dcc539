"""Weak label ``preferences``: which of several candidate masks is best, patch by patch (Prefer-DAS, LPO and SLPO).

The simulated person takes the candidate with the highest Dice against truth; one who errs takes another
candidate that differs from it, each equally likely. A confused one draws by how good the candidates are, a hasty one
takes what is shown first (`RaterErrors`). An answer depends on the seed, the place and what was shown, never on the
other questions.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from dabench.ops.choice import best_candidate, candidate_digests, candidate_scores, confused_choice, pack_question
from dabench.plugin import (
    IGNORE,
    Array,
    Combine,
    ConfigError,
    DataError,
    PreferenceAnswer,
    PreferenceQuestion,
    PreferenceRequest,
    PreferenceSet,
    RaterErrors,
    Settings,
    Truth,
    WeakLabel,
    Window,
    combine_answers,
    set_answers,
    set_questions,
    write_set,
)
from dabench_weak_labels.preference_files import read_preferences

#: Names a question: its slice, its patch, and what was shown.
QuestionKey = tuple[int, Window, tuple[str, ...]]


class PreferenceSettings(Settings):
    """Price of an answer."""

    seconds_per_patch: float = Field(
        5.0,
        ge=0,
        description="Seconds to look at five contours on one patch and pick one; an assumption, no paper reports it.",
    )
    raters: Combine = Field(
        "majority",
        description="How the answers of several raters are combined: by majority (equal counts: a tie), with equal "
        "weights (all), or weighted by the consistency of a rater's repeated answers (consistency).",
    )
    gold: bool = Field(
        False, description="Train on a data set's gold questions too, whose correct answers come from labels."
    )


class Preferences(WeakLabel):
    """Patch preferences."""

    suffix: ClassVar[str] = ""  # a folder
    of_model: ClassVar[bool] = True

    def __init__(self, config: PreferenceSettings) -> None:
        """Take the settings."""
        self.config = config
        self.seconds_per_unit = config.seconds_per_patch

    def simulate(
        self, request: PreferenceRequest, truth: Truth, rng: np.random.Generator, error_rate: float
    ) -> list[PreferenceAnswer]:
        """Judge each patch against truth; ignored pixels (255) do not count."""
        return self.simulate_person(request, truth, rng, RaterErrors(error_rate))

    def simulate_person(
        self, request: PreferenceRequest, truth: Truth, rng: np.random.Generator, errors: RaterErrors
    ) -> list[PreferenceAnswer]:
        """Judge each patch against truth as a person with these errors would."""
        base = int(rng.integers(1 << 62))
        return [self._judge(question, truth, base, errors) for question in request.questions]

    def _judge(self, question: PreferenceQuestion, truth: Truth, base: int, errors: RaterErrors) -> PreferenceAnswer:
        label = truth.labels(question.z)[question.window.slices]
        digests = candidate_digests(question.candidates)
        scores = candidate_scores(question.candidates, label == 1, label != IGNORE)
        seed = [base, question.z, *(int(digest[:8], 16) for digest in digests), question.window.y, question.window.x]
        # One order per question for all raters: a combined answer has one.
        shown = tuple(int(i) for i in np.random.default_rng([*seed[1:], 2]).permutation(len(digests)))
        choice = None if scores is None else _choose(scores, digests, errors, seed, shown[0])
        return _answer(question, choice, self.config.seconds_per_patch, errors.label, digests, shown)

    def combine(self, given: Sequence[Sequence[PreferenceAnswer]]) -> list[PreferenceAnswer]:
        """One answer per question, as the setting ``raters`` says."""
        return [combine_answers(said, self.config.raters) for said in zip(*given, strict=True)]

    def match(self, request: PreferenceRequest, recorded: Sequence[PreferenceAnswer]) -> list[PreferenceAnswer]:
        """Look each question up by place and by what was shown; nothing chosen where the person did not answer it.

        The order of the candidates may differ: the chosen mask is found by its digest. The last of several answers to
        one question counts (a data set has one a question, see `set_answers`).
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
            return _answer(question, None, 0.0, "recorded", digests)

        def here(chosen: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(sorted(digests.index(found.candidate_digests[i]) for i in chosen))

        votes = tuple(replace(vote, chosen=here(vote.chosen)) for vote in found.votes)
        packed = pack_question(question)
        return replace(found, chosen=here(found.chosen), votes=votes, candidate_digests=digests, question=packed)

    def write(self, answers: Sequence[PreferenceAnswer], path: Path, about: Mapping[str, Any] | None = None) -> None:
        """Write a data set without images, atomically; what its manifest knows of ``about`` goes there."""
        write_set(path, answers, about or {})

    def read(self, path: Path) -> list[PreferenceAnswer]:
        """Read a data set, one answer per question, or JSON lines. Raises DataError with file, line and value."""
        if not _is_set(path):
            return read_preferences(path)
        return set_answers(PreferenceSet.open(path), self.config.raters, gold=self.config.gold)

    def recorded_request(self, path: Path) -> PreferenceRequest | None:
        """The answered questions of a data set, with their masks; JSON lines hold none."""
        if not _is_set(path):
            return None
        choices = PreferenceSet.open(path)
        return PreferenceRequest(tuple(set_questions(choices, self.read(path), gold=self.config.gold)))

    def check_file(self, path: Path, split: Mapping[str, Any]) -> None:
        """Raises DataError for a data set of other images, or on other pixels."""
        if _is_set(path):
            _check_origin(PreferenceSet.open(path), split)

    def digest(self, path: Path) -> str:
        """Names the questions and answers; images and repeated answers decide nothing."""
        return _set_digest(PreferenceSet.open(path), self.read(path)) if _is_set(path) else super().digest(path)

    def used(self, asked: Sequence[PreferenceAnswer], answers: Sequence[PreferenceAnswer]) -> dict[str, int]:
        """Questions, how many were answered, how many answers are of use here, and ties and all bad among these."""
        said = [answer for answer in answers if answer.answered]
        return {
            "asked": len(asked),
            "answered": sum(answer.answered for answer in asked),
            "used": len(said),
            "ties": sum(len(answer.chosen) > 1 for answer in said),
            "bad": sum(answer.bad for answer in said),
        }

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

    def units(self, answers: Sequence[PreferenceAnswer]) -> int:
        """Patches that a rater looked at."""
        return sum(answer.answered or answer.seconds > 0 for answer in answers)

    def price(self, answers: Sequence[PreferenceAnswer]) -> float:
        """Seconds: what each answer took; recorded ones carry their own time."""
        return sum(answer.seconds for answer in answers)


def _choose(scores: Array, digests: Sequence[str], errors: RaterErrors, seed: Sequence[int], first: int) -> int:
    """An index into the candidates. Each kind of error has its own generator, so that none changes another's draw."""
    rng, confused, hasty = (np.random.default_rng([*seed, *more]) for more in ((), (1,), (3,)))
    best = int(np.argmax(scores))
    choice = confused_choice(scores, errors.confusion, confused) if errors.confusion else best
    if rng.random() < errors.rate:
        choice = int(rng.choice([i for i, digest in enumerate(digests) if digest != digests[best]]))
    return first if hasty.random() < errors.first else choice


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


def _is_set(path: Path) -> bool:
    return path.is_dir() or PreferenceSet.is_set(path)


def _set_digest(choices: PreferenceSet, answers: Sequence[PreferenceAnswer]) -> str:
    said = [(a.chosen, a.bad, [(vote.chosen, vote.weight) for vote in a.votes]) for a in answers]
    return hashlib.sha256(f"{choices.manifest.identity}{said}".encode()).hexdigest()


def _check_origin(choices: PreferenceSet, split: Mapping[str, Any]) -> None:
    """Raises DataError where a set's manifest names other images than those of the split, or pixels of another size."""
    made = choices.manifest
    if made.images_digest and made.images_digest != split.get("images_digest", made.images_digest):
        raise DataError(
            f"{choices.path}: its questions show {made.domain!r} ({made.split}, images {made.images_digest[:8]}), this "
            f"run adapts to {split.get('domain')!r} (images {split['images_digest'][:8]}).",
            "Preferences belong to the images that they were given on.",
        )
    if any(made.shape) and tuple(made.shape) != tuple(split["shape"]):
        seen = " x ".join(map(str, split["shape"]))
        raise DataError(
            f"{choices.path}: its questions lie on {' x '.join(map(str, made.shape))} pixels, this run sees {seen}.",
            "Both need the same --pixel-size.",
        )


def _answer(
    question: PreferenceQuestion,
    choice: int | None,
    seconds: float,
    rater: str,
    digests: tuple[str, ...],
    shown: tuple[int, ...] = (),
) -> PreferenceAnswer:
    chosen, packed = () if choice is None else (choice,), pack_question(question)
    return PreferenceAnswer(
        question.z, question.window, chosen, seconds, rater, candidate_digests=digests, question=packed, shown=shown
    )


def _by_hint(question: PreferenceQuestion) -> PreferenceAnswer:
    if question.hint is None:
        raise ConfigError(
            f"rater 'self': the question on slice {question.z} carries no hint to rank against.", "Use --po upo."
        )
    choice = best_candidate(question.candidates, question.hint.astype(bool))
    return _answer(question, choice, 0.0, "self", candidate_digests(question.candidates))

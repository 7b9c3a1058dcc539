"""Between preference data sets and the questions and answers that a desk and a stage know."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dabench.annotation.answers import Answer, decisive
from dabench.annotation.preference_set import Manifest, PreferenceSet, Question
from dabench.errors import DataError
from dabench.ops.choice import candidate_digests, unpack_masks
from dabench.types import Array, PreferenceAnswer, PreferenceQuestion, Vote, Window

if TYPE_CHECKING:
    from pathlib import Path

#: How the answers of several raters to one question become one: what most say, each with an equal weight, or each
#: with the weight that its rater's repeated answers earn.
Combine = Literal["majority", "all", "consistency"]
_SAME = 1e-9


# ------------------------------------------------------------------------------------------------------------- reading
def set_questions(
    choices: PreferenceSet, answers: Sequence[PreferenceAnswer], *, gold: bool = True
) -> list[PreferenceQuestion]:
    """The questions of a set that were answered, with their masks; without images, which are not needed any more.

    Args:
        choices: the set.
        answers: what `set_answers` gave with the same ``gold``.
        gold: whether questions whose right answer is known are among them.

    Raises:
        DataError: masks are missing or damaged.
    """
    pairs = zip(_asked(choices, gold), answers, strict=True)
    return [_shown(choices, question) for question, answer in pairs if answer.answered]


def _asked(choices: PreferenceSet, gold: bool) -> list[Question]:
    return [question for question in choices.questions if gold or question.gold is None]


def _shown(choices: PreferenceSet, question: Question) -> PreferenceQuestion:
    prompts = np.asarray(question.prompts, np.float32).reshape(-1, 2)[:, ::-1].copy()
    return PreferenceQuestion(
        question.z,
        question.window,
        np.zeros((0, 0), np.float32),
        choices.masks(question),
        thresholds=question.thresholds,
        prompts=prompts,
        tile=question.tile,
        draw=question.draw,
    )


def set_answers(choices: PreferenceSet, combine: Combine = "majority", *, gold: bool = True) -> list[PreferenceAnswer]:
    """One answer per question of the set, in their order; nothing is chosen where there is no answer.

    The first answer of a rater to a question counts; what it repeats costs its seconds and teaches nothing. Of several
    raters the majority counts: the candidates that most chose (those who tie k count 1/k for each), equally often
    chosen ones tie, and all are bad where more said so than chose any. ``all`` and ``consistency`` keep every rater's
    answer as a vote beside the majority; its weights sum to 1 over those who answered, and one of "all bad" goes
    nowhere. A rater's consistency is (n + 1) / (N + 1), n of N repeated answers being the same as the first. Without
    ``gold`` questions whose right answer is known are left out: they tell of the raters.

    Raises:
        DataError: a damaged answer; names file and line.
    """
    given = {rater: choices.answers(rater) for rater in choices.raters}
    counted = {rater: decisive(answers) for rater, answers in given.items()}
    worth = {rater: consistency(answers) if combine == "consistency" else 1.0 for rater, answers in given.items()}
    seconds: dict[str, float] = {}
    for answer in (answer for answers in given.values() for answer in answers):
        seconds[answer.question] = seconds.get(answer.question, 0.0) + answer.seconds
    found = []
    for question in _asked(choices, gold):
        said = {rater: answers[question.id] for rater, answers in counted.items() if question.id in answers}
        chosen, bad = majority([answer.chosen for answer in said.values()])
        votes = () if combine == "majority" or len(said) < 2 else _votes(said, worth)
        rater, when = "+".join(sorted(said)) or "nobody", max((answer.time for answer in said.values()), default="")
        took = seconds.get(question.id, 0.0)
        found.append(
            PreferenceAnswer(
                question.z, question.window, chosen, took, rater, when, question.digests, bad=bad, votes=votes
            )
        )
    return found


def combine_answers(said: Sequence[PreferenceAnswer], combine: Combine) -> PreferenceAnswer:
    """One answer of those of several raters to the same question, who have repeated none; the seconds of all count.

    Args:
        said: their answers, candidates in one order; those who chose nothing could not say.
        combine: as in `set_answers`; without repeats ``consistency`` is ``all``.
    """
    able = [answer for answer in said if answer.answered]
    seconds = sum(answer.seconds for answer in said)
    if not able:
        return replace(said[0], seconds=seconds)
    chosen, bad = majority([answer.chosen for answer in able])
    votes = tuple(Vote(answer.chosen, 1 / len(able), answer.rater) for answer in able)
    names = "+".join(answer.rater for answer in able)
    kept = () if combine == "majority" else votes
    return replace(said[0], chosen=chosen, bad=bad, votes=kept, seconds=seconds, rater=names)


def majority(answers: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], bool]:
    """The candidates that most raters chose, and whether all are bad instead; an empty answer says "all bad".

    Example:
        >>> majority([(0,), (0, 1), ()])
        ((0,), False)
        >>> majority([(0,), (2,)])
        ((0, 2), False)
    """
    votes: dict[int, float] = {}
    for chosen in answers:
        for candidate in chosen:
            votes[candidate] = votes.get(candidate, 0.0) + 1 / len(chosen)
    most, bad = max(votes.values(), default=0.0), sum(not chosen for chosen in answers)
    if bad > most:
        return (), True
    return tuple(sorted(candidate for candidate, count in votes.items() if count > most - _SAME)), False


def consistency(answers: Sequence[Answer]) -> float:
    """(n + 1) / (N + 1), where n of N repeated answers of a rater are the same as the first; 1 without repeats."""
    first, repeats, same = decisive(answers), 0, 0
    for answer in answers:
        if answer.answer != "skip" and answer is not first[answer.question]:
            repeats += 1
            same += set(answer.chosen) == set(first[answer.question].chosen)
    return (same + 1) / (repeats + 1)


def _votes(said: Mapping[str, Answer], worth: Mapping[str, float]) -> tuple[Vote, ...]:
    total = sum(worth[rater] for rater in said)
    return tuple(Vote(answer.chosen, worth[rater] / total, rater) for rater, answer in sorted(said.items()))


# ------------------------------------------------------------------------------------------------------------- writing
def write_set(path: Path, answers: Iterable[PreferenceAnswer], about: Mapping[str, Any]) -> PreferenceSet:
    """Write what was asked and answered as a set without images; one that is there is replaced.

    Args:
        path: folder or zip.
        answers: each with its `PreferenceAnswer.question`.
        about: fields of the `Manifest`; others are left out.

    Raises:
        DataError: an answer came without its question.
    """
    kept = list(answers)
    known = {name: value for name, value in about.items() if name in Manifest.model_fields and value is not None}
    shown = [answer.question.thresholds for answer in kept if answer.question is not None]
    thresholds = tuple(sorted({t for part in shown for t in part}))
    manifest = Manifest(**{"thresholds": thresholds, **known})
    lines: dict[str, list[dict[str, Any]]] = {}

    def items() -> Iterator[tuple[Question, Array, Mapping[int, Array]]]:
        for number, answer in enumerate(kept):
            question, masks = _as_stored(number, answer)
            for rater, line in _lines(answer, question):
                lines.setdefault(rater, []).append({"n": len(lines.get(rater, ())) + 1, **line})
            yield question, masks, {}

    return PreferenceSet.write(path, manifest, items(), lines, replace=True)


def question_id(number: int) -> str:
    """Name of the n-th question of a set."""
    return f"q{number:05d}"


def distinct(masks: Array, thresholds: Sequence[float]) -> tuple[Array, tuple[float, ...], tuple[str, ...]]:
    """Candidates, each once, with their thresholds and digests."""
    digests = candidate_digests(masks)
    first = sorted({digest: digests.index(digest) for digest in digests}.values())
    kept = tuple(thresholds[i] for i in first) if thresholds else ()
    return masks[first], kept, tuple(digests[i] for i in first)


def _as_stored(number: int, answer: PreferenceAnswer) -> tuple[Question, Array]:
    packed = answer.question
    if packed is None:
        raise DataError(f"an answer on slice {answer.z}, {answer.window}, came without its question: it is not kept.")
    masks, thresholds, digests = distinct(unpack_masks(packed), packed.thresholds)
    tile: Window = packed.tile or answer.window
    question = Question(
        id=question_id(number),
        z=answer.z,
        window=answer.window,
        context=answer.window,
        tile=tile,
        thresholds=thresholds,
        digests=digests,
        prompts=tuple((y, x) for x, y in packed.prompts),
        draw=packed.draw,
    )
    return question, masks


def _lines(answer: PreferenceAnswer, question: Question) -> Iterator[tuple[str, dict[str, Any]]]:
    """The answer as lines of raters' files: one, or one a vote."""
    if not answer.answered and not answer.seconds:
        return
    order = answer.shown or range(len(answer.candidate_digests))
    shown = list(dict.fromkeys(question.digests.index(answer.candidate_digests[i]) for i in order))
    for vote in answer.votes or (Vote(answer.chosen, 1.0, answer.rater),):
        stored = sorted({question.digests.index(answer.candidate_digests[i]) for i in vote.chosen})
        kind = {0: "bad" if answer.answered else "skip", 1: "choose"}.get(len(stored), "tie")
        yield (
            rater_name(vote.rater),
            {
                "question": question.id,
                "shown": shown,
                "answer": kind,
                "chosen": stored,
                "seconds": answer.seconds / max(1, len(answer.votes)),
                "time": answer.when,
                "repeat": False,
            },
        )


def rater_name(label: str) -> str:
    """A rater's label as the name of their file: ``simulated:0.1`` is ``simulated-0.1``."""
    return re.sub(r"[^a-z0-9._-]+", "-", label.lower()).strip("-._")[:64] or "rater"

"""What the answers to a preference data set tell of those who gave them: agreement, consistency, bias, time.

Counted is each rater's first answer to a question that is no ``skip`` (`decisive`). Two answers are the same when they
name the same candidates, or both say that all are bad. Nothing is claimed of few cases: see `LEAST`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dabench.annotation.answers import Answer, decisive
from dabench.annotation.ceiling import Ceiling
from dabench.annotation.preference_set import PreferenceSet, Question
from dabench.errors import ConfigError, DataError
from dabench.statistics.agreement import MISSING, Agreement, agreement, cohen_kappa
from dabench.statistics.choices import Share, chance_of_at_least, luce_strengths, share
from dabench.statistics.intervals import Interval
from dabench.statistics.resampling import multinomial_weights

#: Questions below which nothing is claimed: with 30, an agreement of 80 % is known to some 14 points either way.
LEAST = 30
#: Repeated questions below which nothing is said of a rater's consistency.
LEAST_REPEATS = 10
_LEVEL = 0.95
_RESAMPLES = 1000


@dataclass(frozen=True)
class FirstPlace:
    """How often what was shown first was chosen: ``taken`` of ``of`` answers, ``expected`` if the place did not matter.

    ``chance`` is the probability of so many or more, if the place did not matter.
    """

    taken: int
    of: int
    expected: float
    chance: float


@dataclass(frozen=True)
class RaterSummary:
    """One rater: questions decided and skipped, shares of these decisions, consistency, bias and seconds per answer."""

    rater: str
    questions: int
    skipped: int
    bad: Share
    tied: Share
    same_again: Share
    first_place: FirstPlace
    on_gold: Share
    median_seconds: float | None
    mean_seconds: float | None


@dataclass(frozen=True)
class Strength:
    """How strong an option (a threshold, or a stored index) is: P(k) = strength_k / sum over those shown.

    Of the ``compared`` answers that compare it with others ``chosen`` take it; one of k tied candidates counts 1 / k.
    """

    option: str
    strength: Interval
    chosen: float
    compared: float


@dataclass(frozen=True)
class RatersReport:
    """All that is said; what is not known, or of too few cases, is None or empty."""

    questions: int
    raters: tuple[RaterSummary, ...]
    shared: int
    agreement: Agreement | None
    cohen: dict[str, float | None]
    strengths: tuple[Strength, ...]
    ceilings: tuple[Ceiling, ...] = ()
    least: int = LEAST


#: A rater's answers in their order, by name.
Answers = Mapping[str, Sequence[Answer]]


def gather(paths: Iterable[Path]) -> tuple[list[Question], dict[str, list[Answer]], list[str]]:
    """Questions, answers by rater, and notes, of answer files and whole sets (folders or zips).

    Files may lie in different copies of a set. Of two files of the same name the second is named after its folder.

    Raises:
        DataError: a file is not there, lies in no set, or in a set of other questions; or an answer is damaged.
        ConfigError: no rater.
    """
    found: dict[str, list[Answer]] = {}
    notes: list[str] = []
    first: PreferenceSet | None = None
    for path in paths:
        whole, choices = not _is_file(path), set_of(path)
        first = first or choices
        if choices.manifest.identity != first.manifest.identity:
            raise DataError(f"{path}: its questions differ from those of {first.path}.")
        if not whole and path.stem not in choices.raters:
            raise DataError(f"{path}: no such file; raters with answers: {', '.join(choices.raters) or 'none'}.")
        for rater in choices.raters if whole else [path.stem]:
            name = rater if rater not in found else f"{choices.path.name}/{rater}"
            found[name] = choices.answers(rater)
        notes += [note for note in choices.notes() if note not in notes]
    if first is None or not any(found.values()):
        raise ConfigError("there are no answers yet.", "Give answer files, or a set with answers.")
    return first.questions, found, notes


def set_of(path: Path) -> PreferenceSet:
    """The data set that a path names, or that an answer file lies in. Raises DataError where there is none."""
    return PreferenceSet.open(path.parent if _is_file(path) else path)


def _is_file(path: Path) -> bool:
    return path.suffix == ".jsonl" and not path.is_dir()


def report(questions: Sequence[Question], answers: Answers) -> RatersReport:
    """Summarise raters, each alone and together.

    Args:
        questions: of the set.
        answers: a rater's answers in their order, those taken back left out.
    """
    by_id = {question.id: question for question in questions}
    decided = {rater: decisive(given) for rater, given in answers.items()}
    raters = tuple(_summary(rater, given, by_id) for rater, given in answers.items())
    codes = _codes(by_id, decided)
    shared = int(((codes != MISSING).sum(axis=1) > 1).sum())
    enough = shared >= LEAST
    return RatersReport(
        len(by_id),
        raters,
        shared,
        agreement(codes, level=_LEVEL) if enough else None,
        _cohen(list(decided), codes) if enough else {},
        _strengths(by_id, decided) if (codes != MISSING).any(axis=1).sum() >= LEAST else (),
    )


# -------------------------------------------------------------------------------------------------------- each rater
def _category(answer: Answer) -> tuple[int, ...]:
    """What two answers to a question are compared by; all bad: empty."""
    return tuple(sorted(answer.chosen))


def _summary(rater: str, given: Sequence[Answer], by_id: Mapping[str, Question]) -> RaterSummary:
    first = decisive(given)
    counted = list(first.values())
    said = [answer for answer in given if answer.answer != "skip"]
    again = [answer for answer in said if answer is not first[answer.question]]
    kinds = Counter(answer.answer for answer in counted)
    gold = [(answer, by_id[answer.question].gold) for answer in counted]
    known = [(answer, right) for answer, right in gold if right is not None]
    seconds = [answer.seconds for answer in said]
    return RaterSummary(
        rater,
        len(counted),
        len({answer.question for answer in given} - set(first)),
        share(kinds["bad"], len(counted)),
        share(kinds["tie"], len(counted)),
        share(sum(_category(a) == _category(first[a.question]) for a in again), len(again)),
        _first_place([answer for answer in said if answer.chosen]),
        share(sum(_right(answer, right) for answer, right in known), len(known)),
        float(np.median(seconds)) if seconds else None,
        float(np.mean(seconds)) if seconds else None,
    )


def _right(answer: Answer, gold: Sequence[int]) -> bool:
    """Only right candidates were chosen; where none is right, none was."""
    return set(answer.chosen) <= set(gold) and bool(answer.chosen) == bool(gold)


def _first_place(answers: Sequence[Answer]) -> FirstPlace:
    """Orders are random: k chosen of J shown hold the first place with probability k / J if it does not matter.

    Where all were shown as they are stored, the order was not drawn and nothing can be said.
    """
    if all(answer.shown == tuple(sorted(answer.shown)) for answer in answers):
        return FirstPlace(0, 0, 0.0, 1.0)
    expected = [len(answer.chosen) / len(answer.shown) for answer in answers]
    taken = sum(answer.shown[0] in answer.chosen for answer in answers)
    return FirstPlace(taken, len(answers), sum(expected), chance_of_at_least(expected, taken))


# ---------------------------------------------------------------------------------------------------------- together
Decided = Mapping[str, Mapping[str, Answer]]


def _option(question: Question, index: int) -> str:
    return f"{question.thresholds[index]:g}" if question.thresholds else f"#{index}"


def _codes(by_id: Mapping[str, Question], decided: Decided) -> NDArray[np.int64]:
    """(questions, raters) numbers of categories: the options named, the same option on other questions being one."""
    numbers: dict[tuple[str, ...], int] = {}
    codes = np.full((len(by_id), len(decided)), MISSING)
    for row, question in enumerate(by_id.values()):
        for column, given in enumerate(decided.values()):
            if (answer := given.get(question.id)) is not None:
                named = tuple(_option(question, index) for index in _category(answer))
                codes[row, column] = numbers.setdefault(named, len(numbers))
    return codes


def _cohen(raters: Sequence[str], codes: NDArray[np.int64]) -> dict[str, float | None]:
    """Cohen's κ of every two raters on the questions that both answered, where these are enough."""
    found = {}
    for one, other in combinations(range(len(raters)), 2):
        both = codes[(codes[:, [one, other]] != MISSING).all(axis=1)]
        if len(both) >= LEAST:
            found[f"{raters[one]}, {raters[other]}"] = cohen_kappa(both[:, one].tolist(), both[:, other].tolist())
    return found


def _strengths(by_id: Mapping[str, Question], decided: Decided) -> tuple[Strength, ...]:
    """Bradley-Terry-Luce strengths of the options over all raters; questions are drawn again for the intervals.

    k tied candidates have each won against the others, with weight 1 / k, never against each other; "all bad" says
    nothing of any two.
    """
    names = sorted({_option(q, i) for q in by_id.values() for i in range(len(q.digests))})
    found = list(_comparisons(list(by_id.values()), decided, names))
    if not found:
        return ()
    of_question, weights, chosen, shown = (np.array(column) for column in zip(*found, strict=True))
    n, once = len(by_id), weights.astype(np.float64)
    drawn = multinomial_weights(np.random.default_rng(0), n, n, _RESAMPLES)[:, of_question] * n
    exact = luce_strengths(chosen, shown, once[None])[0]
    low, high = np.quantile(luce_strengths(chosen, shown, drawn * once), [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2], axis=0)
    wins, compared = once @ chosen, once @ shown
    return tuple(
        Strength(name, Interval(float(exact[k]), float(low[k]), float(high[k])), float(wins[k]), float(compared[k]))
        for k, name in enumerate(names)
        if compared[k]
    )


def _comparisons(
    questions: Sequence[Question], decided: Decided, names: Sequence[str]
) -> Iterator[tuple[int, float, list[bool], list[bool]]]:
    """Number of the question, weight, and by option whether it was chosen and whether it was among those compared."""
    for number, question in enumerate(questions):
        for answer in (given[question.id] for given in decided.values() if question.id in given):
            losers = {_option(question, i) for i in range(len(question.digests)) if i not in answer.chosen}
            for index in answer.chosen if losers else ():
                winner = _option(question, index)
                among = [name == winner or name in losers for name in names]
                yield number, 1 / len(answer.chosen), [name == winner for name in names], among

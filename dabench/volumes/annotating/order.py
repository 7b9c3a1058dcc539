"""In which order a rater sees questions and their candidates: decided by a seed, the same after every restart."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dabench.errors import ConfigError

#: Questions between a question and its repetition: enough to forget the first answer.
_GAP = (10, 40)


@dataclass(frozen=True)
class Place:
    """One place in a rater's queue: a question's index, whether it comes a second time, and how it was drawn."""

    question: int
    repeat: bool
    draw: str


def question_order(scores: Sequence[float] | None, count: int, random_share: float, seed: int) -> list[tuple[int, str]]:
    """All questions, each once, with the draw that put it there: "random" or "informative".

    The random order is the same for all raters, so that the first n questions of two raters are the same ones.

    Args:
        scores: of each question, larger is asked sooner; None draws all at random.
        count: questions.
        random_share: in [0, 1]: chance that the next question is drawn at random, although there are scores.
        seed: of the draw.

    Raises:
        ConfigError: a share outside [0, 1].
    """
    _need_share("random share", random_share)
    rng = np.random.default_rng([seed, zlib.crc32(b"order")])
    drawn = [int(i) for i in rng.permutation(count)]
    if scores is None:
        return [(i, "random") for i in drawn]
    ranked = sorted(drawn, key=lambda i: -scores[i])  # equal scores: at random
    sources = {"random": iter(drawn), "informative": iter(ranked)}
    order: dict[int, str] = {}
    for at_random in rng.random(count) < random_share:
        draw = "random" if at_random else "informative"
        order[next(i for i in sources[draw] if i not in order)] = draw
    return list(order.items())


def with_repeats(order: Sequence[tuple[int, str]], share: float, seed: int, rater: str) -> list[Place]:
    """The queue of a rater: a share of the questions comes again, some ten to forty questions later.

    Args:
        order: of `question_order`.
        share: of questions that are repeated, in [0, 1].
        seed: of the draw, which is each rater's own.
        rater: name.

    Raises:
        ConfigError: a share outside [0, 1].
    """
    _need_share("share of repeats", share)
    rng = np.random.default_rng([seed, zlib.crc32(rater.encode()), zlib.crc32(b"repeats")])
    count = len(order)
    early = max(count - _GAP[0], count // 2)  # the last ones would return at once
    again = rng.permutation(early)[: round(share * count)]
    later = again + rng.integers(*_GAP, size=len(again)) + 0.5
    keyed = [(float(i), Place(q, False, draw)) for i, (q, draw) in enumerate(order)]
    keyed += [(float(k), Place(order[i][0], True, order[i][1])) for i, k in zip(again, later, strict=True)]
    return [place for _, place in sorted(keyed, key=lambda pair: pair[0])]


def candidate_order(count: int, seed: int, rater: str, question: str, *, repeat: bool) -> list[int]:
    """In which order a rater sees the candidates of a question; another one when it comes again.

    Args:
        count: candidates.
        seed: of all orders.
        rater: name.
        question: id.
        repeat: whether the question comes a second time.

    Returns:
        A permutation of ``range(count)``: the candidate at each place.
    """
    keys = [seed, zlib.crc32(rater.encode()), zlib.crc32(question.encode())]
    first = [int(i) for i in np.random.default_rng(keys).permutation(count)]
    if not repeat:
        return first
    again = [int(i) for i in np.random.default_rng([*keys, 1]).permutation(count)]
    return again if again != first else first[1:] + first[:1]


def _need_share(name: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise ConfigError(f"{name} {share:g}: must be between 0 and 1.")

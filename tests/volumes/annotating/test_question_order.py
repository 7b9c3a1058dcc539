"""What is asked in which order, and masks as outlines."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dabench.errors import ConfigError
from dabench.ops.choice import disagreement
from dabench.volumes.annotating.order import Place, candidate_order, question_order, with_repeats
from dabench.volumes.annotating.outlines import outline


# ---------------------------------------------------------------- questions
def test_the_random_order_is_a_permutation_that_the_seed_decides():
    orders = [question_order(None, 50, 0.3, seed) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(q for q, _ in orders[0]) == list(range(50))
    assert {draw for _, draw in orders[0]} == {"random"}


def test_informative_first_with_a_share_at_random():
    scores = [float(i % 100) for i in range(400)]
    assert [q for q, _ in question_order(scores, 400, 0.0, 0)][:4] == sorted((99, 199, 299, 399), key=order_at(scores))
    mixed = question_order(scores, 400, 0.3, 0)
    assert sorted(q for q, _ in mixed) == list(range(400))
    assert Counter(draw for _, draw in mixed)["random"] == pytest.approx(120, abs=30)
    drawn = [q for q, draw in mixed if draw == "random"]
    assert drawn == [q for q, _ in question_order(None, 400, 0.3, 0) if q in drawn], "they follow the random order"


def order_at(scores):
    order = [q for q, _ in question_order(scores, len(scores), 0.0, 0)]
    return order.index


def test_questions_of_equal_scores_are_in_random_order():
    assert [q for q, _ in question_order([1.0] * 50, 50, 0.0, 3)] == [q for q, _ in question_order(None, 50, 0.0, 3)]


@given(count=st.integers(1, 120), share=st.floats(0, 0.5), seed=st.integers(0, 9))
def test_every_question_comes_once_and_some_again_later(count, share, seed):
    queue = with_repeats(question_order(None, count, 0, seed), share, seed, "anna")
    first = {place.question: i for i, place in enumerate(queue) if not place.repeat}
    again = {place.question: i for i, place in enumerate(queue) if place.repeat}
    assert sorted(first) == list(range(count))
    assert len(again) == len(queue) - count <= round(share * count)
    assert all(i > first[q] for q, i in again.items())
    if count >= 20:
        assert all(i - first[q] > 9 for q, i in again.items()), "time to forget"


def test_a_share_of_eight_percent_repeats_eight_of_a_hundred():
    queue = with_repeats(question_order(None, 100, 0, 0), 0.08, 0, "anna")
    assert sum(place.repeat for place in queue) == 8
    assert queue != with_repeats(question_order(None, 100, 0, 0), 0.08, 0, "ben")


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_shares_lie_between_0_and_1(share):
    with pytest.raises(ConfigError, match="must be between 0 and 1"):
        question_order(None, 3, share, 0)
    with pytest.raises(ConfigError, match="must be between 0 and 1"):
        with_repeats([(0, "random")], share, 0, "anna")


# ---------------------------------------------------------------- candidates
def test_candidates_are_shuffled_by_rater_and_question():
    orders = {
        (seed, rater, question): tuple(candidate_order(5, seed, rater, question, repeat=False))
        for seed in (0, 1)
        for rater in ("anna", "ben")
        for question in ("q1", "q2")
    }
    assert len(set(orders.values())) > 4
    assert all(sorted(order) == [0, 1, 2, 3, 4] for order in orders.values())
    assert orders[0, "anna", "q1"] == tuple(candidate_order(5, 0, "anna", "q1", repeat=False))


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_question_that_comes_again_has_another_order(count):
    for q in range(40):
        first, again = (candidate_order(count, 0, "anna", f"q{q}", repeat=repeat) for repeat in (False, True))
        assert sorted(again) == sorted(first)
        assert again != first


def test_no_place_is_preferred():
    """Each of three candidates stands first in about a third of 3,000 questions."""
    first = Counter(candidate_order(3, 0, "anna", f"q{q}", repeat=False)[0] for q in range(3000))
    assert all(count == pytest.approx(1000, abs=100) for count in first.values())


def test_places_are_told_apart():
    assert Place(1, False, "random") != Place(1, True, "random")


# ---------------------------------------------------------------- outlines
def test_an_outline_runs_along_the_edges():
    mask = np.zeros((6, 6), bool)
    mask[1:4, 2:5] = True
    numbers = np.array(re.findall(r"[\d.]+", outline(mask)), float).reshape(-1, 2)
    assert (numbers.min(axis=0).tolist(), numbers.max(axis=0).tolist()) == ([2, 1], [5, 4])
    moved = np.array(re.findall(r"[\d.]+", outline(mask, 10, 20)), float).reshape(-1, 2)
    assert (moved - numbers == [20, 10]).all()


def test_holes_and_parts_are_polygons_of_their_own():
    ring = np.zeros((9, 9), bool)
    ring[1:8, 1:8] = True
    ring[3:6, 3:6] = False
    assert outline(ring).count("Z") == 2
    assert outline(np.zeros((4, 4), bool)) == ""
    assert outline(np.ones((4, 4), bool)).count("Z") == 1, "a mask that fills the patch is closed at its rim"


def test_disagreement_by_hand():
    a, b = np.zeros((2, 4), bool), np.zeros((2, 4), bool)
    a[0], b[0, :2] = True, True  # 4 and 2 pixels, 2 in common: Dice 2/3
    assert disagreement(np.stack([a, b])) == pytest.approx(1 / 3)
    assert disagreement(np.stack([a, a])) == 0
    assert disagreement(np.stack([a, b, np.zeros_like(a)])) == pytest.approx(1 - (2 / 3) / 3)
    assert disagreement(a[None]) == 0

"""Answers of several raters become one; what a desk handed out is written as a set and read back."""

from __future__ import annotations

import numpy as np
import pytest

from dabench.annotation.preference_set import Manifest, PreferenceSet, Question
from dabench.annotation.set_answers import consistency, majority, rater_name, set_answers, set_questions, write_set
from dabench.errors import DataError
from dabench.ops.choice import candidate_digests, pack_question
from dabench.types import PreferenceAnswer, PreferenceQuestion, Vote, Window

WINDOW, TILE = Window(8, 9, 10, 12), Window(0, 0, 32, 32)


def masks_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((3, 10, 12)) > 0.5


@pytest.fixture
def choices(tmp_path):
    items = []
    for number in range(4):
        masks = masks_of(number)
        places = {"window": WINDOW, "context": TILE, "tile": TILE}
        made = Question(id=f"q{number}", z=number, digests=candidate_digests(masks), prompts=((3.0, 4.5),), **places)
        items.append((made, masks, {}))
    return PreferenceSet.write(tmp_path / "choices", Manifest(domain="toy", shape=(4, 40, 50)), items)


def say(choices, rater, number, kind="choose", *chosen, seconds=2.0, repeat=False):
    record = {"question": f"q{number}", "shown": [2, 0, 1], "answer": kind, "chosen": list(chosen)}
    choices.append(rater, record | {"seconds": seconds, "repeat": repeat})


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([], ((), False)),
        ([(1,)], ((1,), False)),
        ([(1,), (1,), (2,)], ((1,), False)),
        ([(1,), (2,)], ((1, 2), False)),
        ([(0,), (0, 1)], ((0,), False)),
        ([(0, 1), (1, 2)], ((1,), False)),
        ([(), (1,)], ((1,), False)),
        ([(), (), (1,)], ((), True)),
        ([(), (0,), (1,)], ((0, 1), False)),
        ([(0, 1, 2), (0, 1, 2), (0, 1, 2)], ((0, 1, 2), False)),
    ],
)
def test_the_majority_by_hand(answers, expected):
    assert majority(answers) == expected


def test_one_rater_first_answers_repeats_and_skips(choices):
    say(choices, "a", 0, "choose", 1)
    say(choices, "a", 1, "tie", 0, 2, seconds=3.5)
    say(choices, "a", 2, "bad", seconds=1.5)
    say(choices, "a", 3, "skip")
    say(choices, "a", 0, "choose", 2, seconds=5.0, repeat=True)
    found = set_answers(choices)
    assert [(a.chosen, a.bad, a.answered) for a in found] == [
        ((1,), False, True),
        ((0, 2), False, True),
        ((), True, True),
        ((), False, False),
    ]
    assert [a.seconds for a in found] == [7.0, 3.5, 1.5, 2.0]  # a repeated answer costs its seconds
    assert [a.weights(3) for a in found] == [[(0.0, 1.0, 0.0)], [(0.5, 0.0, 0.5)], [], []]
    assert [a.rater for a in found] == ["a", "a", "a", "nobody"]


def test_several_raters_by_majority_and_each_with_a_weight(choices):
    for rater, chosen in (("a", 0), ("b", 1), ("c", 1)):
        say(choices, rater, 0, "choose", chosen)
    say(choices, "a", 1, "choose", 2)
    say(choices, "b", 1, "bad")
    say(choices, "c", 0, "choose", 0, repeat=True)  # c says otherwise at the second time
    first, second = set_answers(choices)[:2]
    assert (first.chosen, first.votes, first.weights(3)) == ((1,), (), [(0.0, 1.0, 0.0)])
    assert (second.chosen, second.bad) == ((2,), False)
    first, second = set_answers(choices, "all")[:2]
    third = pytest.approx(1 / 3)
    assert first.weights(3) == [(third, 0, 0), (0, third, 0), (0, third, 0)]
    assert second.weights(3) == [(0, 0, 0.5)]  # half of it said that all are bad
    first = set_answers(choices, "consistency")[0]
    assert [vote.weight for vote in first.votes] == pytest.approx([0.4, 0.4, 0.2])


def test_consistency_by_hand(choices):
    for chosen in (1, 1, 2, 1):  # the first, and three repeats, two of which agree
        say(choices, "a", 0, "choose", chosen, repeat=chosen != 1)
    assert consistency(choices.answers("a")) == pytest.approx(3 / 4)
    assert consistency([]) == 1


def test_answered_questions_come_with_masks_and_prompts(choices):
    say(choices, "a", 2, "choose", 1)
    (question,) = set_questions(choices, set_answers(choices))
    assert (question.z, question.window, question.tile) == (2, WINDOW, TILE)
    assert np.array_equal(question.candidates, masks_of(2))
    assert question.prompts.tolist() == [[4.5, 3.0]]  # stored (y, x), used (x, y)


def test_what_was_handed_out_is_a_set(tmp_path):
    masks = masks_of(7)
    repeated = masks[[0, 1, 0, 2]]  # a stage may bring a candidate twice
    prompts = np.array([[4.5, 3.0]], np.float32)
    asked = PreferenceQuestion(2, WINDOW, np.zeros((10, 12), np.float32), repeated, prompts=prompts, tile=TILE)
    common = {"candidate_digests": candidate_digests(repeated), "question": pack_question(asked)}
    place = (2, WINDOW)
    given = [
        PreferenceAnswer(*place, (3,), 5.0, "simulated:0.1", **common),
        PreferenceAnswer(*place, (1, 2), 4.0, "simulated:0.1", **common),
        PreferenceAnswer(*place, (), 3.0, "simulated:0.1", bad=True, **common),
        PreferenceAnswer(*place, (), 2.0, "simulated:0.1", **common),
        PreferenceAnswer(*place, (1,), 6.0, "a+b", votes=(Vote((1,), 0.5, "a"), Vote((3,), 0.5, "b")), **common),
    ]
    made = write_set(tmp_path / "set", given, {"domain": "toy", "seed": "3", "fraction": "0.15", "nothing": 1})
    assert (made.manifest.domain, made.manifest.seed, made.manifest.images) == ("toy", 3, False)
    assert made.raters == ["a", "b", "simulated-0.1"]
    assert np.array_equal(made.masks(made.questions[0]), masks)
    assert made.questions[0].prompts == ((3.0, 4.5),)
    read = set_answers(made)
    assert [a.chosen for a in read] == [(2,), (0, 1), (), (), (1, 2)]
    assert [a.bad for a in read] == [False, False, True, False, False]
    assert [a.seconds for a in read] == [5.0, 4.0, 3.0, 2.0, 6.0]
    again = write_set(tmp_path / "set", given[:1], {"domain": "toy"})
    assert len(again.questions) == 1


def test_an_answer_without_its_question_is_not_kept(tmp_path):
    with pytest.raises(DataError, match="without its question"):
        write_set(tmp_path / "set", [PreferenceAnswer(0, WINDOW, (0,), 1.0, "a")], {})
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("label", "name"), [("simulated:0.1", "simulated-0.1"), ("Anna B.", "anna-b"), ("a+b", "a-b"), ("::", "rater")]
)
def test_labels_as_file_names(label, name):
    assert rater_name(label) == name

"""The desk with a person's data set: what is asked, what it costs, and what it refuses before anything trains."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from dabench.annotation.preference_set import PreferenceSet
from dabench.ops.choice import informative
from dabench.plugin import BudgetError, DataError

ABOUT = {"domain": "toy", "split": "train", "shape": (4, 64, 96), "images_digest": "a" * 64}


@pytest.fixture
def asked(make_desk, grid_questions, tmp_path):
    """Eight questions that a simulated rater answered, as a set; the questions themselves, and their answers."""
    questions = [q for q in grid_questions() if informative(q.candidates)][:8]
    desk = make_desk()
    answers = desk.preferences(questions)
    (path,) = desk.write(tmp_path, ABOUT)
    return questions, answers, path


@pytest.fixture
def with_set(make_desk):
    def make(path, **options):
        return make_desk(**{"truth": None, "points": 0.0, "recorded": {"preferences": path}, "about": ABOUT, **options})

    return make


def person(path, answers):
    """Take the simulated answers out, and give others: kind and chosen by number of the question."""
    choices = PreferenceSet.open(path)
    for rater in choices.raters:
        (path / f"{rater}.jsonl").unlink()
    for number, (kind, *chosen) in answers.items():
        question = choices.questions[number]
        shown = list(range(len(question.digests)))
        record = {"question": question.id, "shown": shown, "answer": kind, "chosen": chosen, "seconds": 3.0}
        choices.append("anna", record)
    return path


def test_the_masks_of_the_set_are_handed_out_with_their_answers(asked, with_set):
    questions, answers, path = asked
    desk = with_set(path)
    desk.check(("preferences",))
    held = desk.recorded_questions()
    assert len(held) == 8
    found = desk.preferences(held)
    for question, answer, stored, given in zip(questions, answers, held, found, strict=True):
        best = question.candidates[answer.choice]
        assert np.array_equal(stored.candidates[given.choice], best)
        assert given.seconds == answer.seconds
    assert desk.for_stage(()).recorded_questions() is None
    assert len(desk.for_stage(("preferences",)).recorded_questions()) == 8
    entry = desk.ledger()[0]
    assert (entry["count"], entry["rater"]) == (8, "recorded")
    assert {name: entry[name] for name in ("asked", "answered", "used", "ties", "bad")} == {
        "asked": 8,
        "answered": 8,
        "used": 8,
        "ties": 0,
        "bad": 0,
    }


def test_ties_and_all_bad_are_paid_and_repeats_cost_seconds_alone(asked, with_set):
    path = person(asked[2], {0: ("choose", 1), 1: ("tie", 0, 1), 2: ("bad",), 3: ("choose", 0), 4: ("skip",)})
    PreferenceSet.open(path).append(
        "anna",
        {
            "question": "q00000",
            "shown": list(range(len(PreferenceSet.open(path).questions[0].digests))),
            "answer": "choose",
            "chosen": [0],
            "seconds": 10.0,
            "repeat": True,
        },
    )
    desk = with_set(path)
    found = desk.preferences(desk.recorded_questions())
    assert [(a.chosen, a.bad) for a in found] == [((1,), False), ((0, 1), False), ((), True), ((0,), False)]
    entry = desk.ledger()[0]
    assert [entry[name] for name in ("asked", "answered", "used", "ties", "bad", "count")] == [8, 4, 4, 1, 1, 4]
    assert entry["seconds"] == pytest.approx(4 * 3.0 + 10.0)


def test_more_answers_than_the_budget_are_refused(asked, with_set):
    patches = 4 * 4 * 6
    desk = with_set(asked[2], patches=5 / patches)
    with pytest.raises(BudgetError, match="No answers were given"):
        desk.preferences(desk.recorded_questions())
    assert with_set(asked[2], patches=0.0).recorded_questions() is None


def test_less_than_half_is_an_error_unless_it_is_allowed(asked, with_set, make_desk, grid_questions):
    path = person(asked[2], {0: ("choose", 1), 1: ("bad",), 2: ("skip",), 3: ("choose", 0)})
    with pytest.raises(DataError, match=r"of 8 questions 3 are answered and 3 of the answers can be used \(38%\)"):
        with_set(path).check(("preferences",))
    desk = with_set(path, allow_unanswered=True)
    desk.check(("preferences",))
    assert len(desk.preferences(desk.recorded_questions())) == 3
    # A set is asked about other questions than its own: nothing fits.
    others = [q for q in grid_questions() if informative(q.candidates)][20:25]
    with pytest.raises(DataError, match=r"0 of the answers can be used \(0%\)"):
        with_set(asked[2], allow_unanswered=False).preferences(others)


def test_lines_of_former_versions_answer_the_questions_of_the_stage(asked, with_set, tmp_path):
    """Three of four questions of the stage are found among eight lines."""
    questions, answers, _ = asked
    lines = [
        {"who": "anna", "patch": [a.z, a.window.y, a.window.x, a.window.height, a.window.width]}
        | {"candidates": list(a.candidate_digests), "choice": a.choice, "seconds": 2.0}
        for a in answers
    ]
    file = tmp_path / "choices.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines[1:]))
    desk = with_set(file)
    desk.check(("preferences",))
    assert desk.recorded_questions() is None
    assert [a.chosen for a in desk.preferences(questions[:4])] == [(), *(a.chosen for a in answers[1:4])]
    entry = desk.ledger()[0]
    assert [entry[name] for name in ("asked", "answered", "used", "count", "seconds")] == [4, 3, 3, 3, 6.0]
    changed = [replace(q, candidates=~q.candidates) for q in questions[:4]]
    with pytest.raises(DataError, match=r"of 4 questions 0 are answered and 0 of the answers can be used"):
        with_set(file).preferences(changed)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"images_digest": "b" * 64, "domain": "fly"}, r"show 'fly' \(train, images bbbbbbbb\).* adapts to 'toy'"),
        ({"shape": (4, 32, 48)}, r"lie on 4 x 32 x 48 pixels, this run sees 4 x 64 x 96"),
    ],
)
def test_a_set_of_other_images_or_pixels_is_refused(asked, with_set, change, problem):
    path = asked[2]
    changed = PreferenceSet.open(path).manifest.model_copy(update=change)
    (path / "manifest.json").write_text(changed.model_dump_json())
    with pytest.raises(DataError, match=problem):
        with_set(path).check(("preferences",))


def test_damage_is_found_before_anything_trains(asked, with_set):
    path = asked[2]
    (path / "masks.zip").write_bytes((path / "masks.zip").read_bytes()[:-40])
    with pytest.raises(DataError, match=r"masks\.zip"):
        with_set(path).check(("preferences",))
    with pytest.raises(DataError, match=r"nowhere: no such file"):
        with_set(path.with_name("nowhere")).check(("preferences",))


def test_what_decides_an_answer_is_in_the_key(asked, with_set):
    path = asked[2]
    before = with_set(path).digest(("preferences",))
    file = path / "simulated-0.jsonl"
    assert with_set(PreferenceSet.open(path).export(path.parent / "c.zip", images=False).path).digest(
        ("preferences",)
    ) == (before)
    person(path, {0: ("choose", 1)})
    assert not file.exists()
    assert with_set(path).digest(("preferences",)) != before


def test_every_kind_may_have_its_own_rater(asked, make_desk, tmp_path):
    """Recorded points with simulated preferences, and the reverse."""
    questions, answers, path = asked
    clicks = tmp_path / "clicks.csv"
    clicks.write_text("1,5,6\n")
    desk = make_desk(recorded={"points": clicks})
    assert desk.points()[1].points.tolist() == [[6.0, 5.0]]
    assert desk.preferences(questions) == answers
    assert [entry["rater"] for entry in desk.ledger()] == ["recorded", "simulated:0"]
    desk = make_desk(recorded={"preferences": path})
    assert len(desk.points()[3].points) == 3
    assert len(desk.preferences(desk.recorded_questions())) == 8
    assert [entry["rater"] for entry in desk.ledger()] == ["simulated:0", "recorded"]


def test_a_hint_is_no_part_of_what_is_kept(make_desk, grid_questions, tmp_path):
    hinted = [replace(q, hint=q.candidates[0]) for q in grid_questions() if informative(q.candidates)][:3]
    desk = make_desk()
    desk.preferences(hinted, rater="self")
    assert desk.write(tmp_path) == []

"""The desk: budgets, cost, the same answer every time, and keys that labels cannot reach."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dabench_weak_labels.preferences import patch_share

from dabench.ops.choice import informative
from dabench.plugin import BudgetError, ConfigError, DataError, PreferenceQuestion, Window


def informative_of(questions):
    return [q for q in questions if informative(q.candidates)]


@pytest.mark.parametrize(("share", "counts"), [(0.15, [0, 1, 2, 3]), (1.0, [0, 1, 7, 20]), (0.01, [0, 1, 1, 1])])
def test_points_follow_the_ceil_rule(make_desk, labels, share, counts):
    points = make_desk(points=share).points()
    assert [len(points[z].points) for z in range(4)] == counts
    for z, answer in points.items():
        for x, y in np.rint(answer.points).astype(int):
            assert labels[z, y, x] == 1


def test_no_budget_no_points_no_cost(make_desk):
    desk = make_desk(points=0.0, truth=None)
    assert desk.points() == {}
    assert desk.ledger() == []


def test_points_are_the_same_for_every_desk_and_paid_once(make_desk):
    first, second = make_desk(), make_desk()
    first.points()
    for z, answer in first.points().items():
        assert np.array_equal(answer.points, second.points()[z].points)
    assert first.ledger() == second.ledger()
    entry = first.ledger()[0]
    assert (entry["kind"], entry["count"], entry["rater"]) == ("points", 6, "simulated:0")
    assert entry["seconds"] == pytest.approx(6 * 2.4)
    assert make_desk(seed=1).points()[3].points.tolist() != first.points()[3].points.tolist()


def test_smaller_shares_are_nested_in_larger_ones(make_desk):
    small = {tuple(p) for p in make_desk(points=0.15).points()[3].points.tolist()}
    large = {tuple(p) for p in make_desk(points=0.5).points()[3].points.tolist()}
    assert small < large


def test_preferences_are_metered_and_equal_candidates_are_free(make_desk, grid_questions):
    desk, questions = make_desk(), grid_questions()
    answers = desk.preferences(questions)
    asked = informative_of(questions)
    assert 0 < len(asked) < len(questions)
    assert desk.ledger()[0]["count"] == len(asked)
    assert desk.ledger()[0]["seconds"] == pytest.approx(5.0 * len(asked))
    for question, answer in zip(questions, answers, strict=True):
        assert (answer.z, answer.window) == (question.z, question.window)
        assert (answer.choice is None) == (not informative(question.candidates))
        assert answer.seconds == (5.0 if informative(question.candidates) else 0.0)


def test_an_answer_depends_on_its_question_alone(make_desk, grid_questions):
    questions = grid_questions()
    forward = make_desk(rater_error=0.5).preferences(questions)
    desk = make_desk(rater_error=0.5)
    backward = desk.preferences(questions[::-1])[::-1]
    assert forward == backward
    paid = desk.ledger()
    assert desk.preferences(questions[:9]) == forward[:9]
    assert desk.ledger() == paid


def test_past_the_patch_budget_nothing_is_handed_out(make_desk, grid_questions):
    questions = informative_of(grid_questions())
    patches = 4 * 4 * 6
    allowed = int(np.ceil(0.15 * patches))
    desk = make_desk(patches=0.15)
    with pytest.raises(BudgetError, match=r"budget is 15\.0%\. No answers were given"):
        desk.preferences(questions[: allowed + 1])
    assert desk.ledger() == []
    assert len(desk.preferences(questions[:allowed])) == allowed
    assert len(desk.preferences(questions[:allowed])) == allowed
    with pytest.raises(BudgetError):
        desk.preferences(questions[allowed : allowed + 1])
    assert desk.ledger()[0]["count"] == allowed


def test_zero_patches_refuse_the_first_question_but_not_self(make_desk, grid_questions, labels):
    desk = make_desk(patches=0.0)
    question = informative_of(grid_questions())[0]
    with pytest.raises(BudgetError):
        desk.preferences([question])
    hint = labels[question.z][question.window.slices] == 1
    hinted = PreferenceQuestion(question.z, question.window, question.image, question.candidates, hint)
    answer = desk.preferences([hinted], rater="self")[0]
    assert (answer.rater, answer.seconds) == ("self", 0.0)
    assert answer.choice == make_desk().preferences([question])[0].choice
    assert desk.ledger() == []


def test_charge_counts_patches_of_one_size():
    assert patch_share((2, 64, 96), Window(0, 0, 16, 16)) == pytest.approx(1 / 48)
    assert patch_share((1, 65, 96), Window(0, 0, 16, 96)) == pytest.approx(1 / 5)


def test_the_key_is_independent_of_labels_where_nothing_is_asked(make_desk):
    scrambled = {"label_digest": "other"}
    for options, asks in [({}, ()), ({"points": 0.0}, ("points",)), ({"patches": 0.0}, ("preferences",))]:
        one = make_desk(label_digest="true", **options).digest(asks)
        assert one == make_desk(**scrambled, **options).digest(asks)
        assert one == make_desk(truth=None, rater_error=0.3, seed=9, **options).digest(asks)


def test_the_key_names_all_that_decides_an_answer(make_desk):
    changes = [{}, {"points": 0.5}, {"seed": 1}, {"rater_error": 0.1}, {"label_digest": "other"}]
    digests = {make_desk(**change).digest(("points",)) for change in changes}
    assert len(digests) == len(changes)
    assert make_desk(patches=0.5).digest(("points",)) == make_desk().digest(("points",))
    assert make_desk().digest(("preferences", "points")) == make_desk().digest(("points", "preferences"))


def test_what_was_handed_out_can_be_given_back_by_hand(make_desk, grid_questions, tmp_path):
    desk, questions = make_desk(), grid_questions()
    answers, points = desk.preferences(questions), desk.points()
    files = desk.write(tmp_path, {"domain": "toy"})
    assert [file.name for file in files] == ["points.csv", "preferences"]
    given = dict(zip(("points", "preferences"), files, strict=True))
    replay = make_desk(truth=None, rater="recorded", recorded=given)
    assert [a.choice for a in replay.preferences(questions)] == [a.choice for a in answers]
    for z, answer in points.items():
        assert np.array_equal(replay.points()[z].points, answer.points)
    assert [e["seconds"] for e in replay.ledger()] == [e["seconds"] for e in desk.ledger()[::-1]][::-1]
    assert replay.ledger()[0]["rater"] == "recorded"


def test_nothing_asked_nothing_written(make_desk, tmp_path):
    assert make_desk().write(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"points": 1.5}, "budget of points = 1.5"),
        ({"rater": "oracle"}, "rater 'oracle'"),
        ({"rater_error": 2.0}, "rater error 2.0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make_desk, options, text):
    with pytest.raises(ConfigError, match=text):
        make_desk(**options)


def test_questions_that_do_not_fit_are_named(make_desk):
    shown = np.zeros((2, 16, 16), dtype=bool)
    image = np.zeros((16, 16), dtype=np.float32)
    with pytest.raises(DataError, match="slice 4"):
        make_desk().preferences([PreferenceQuestion(4, Window(0, 0, 16, 16), image, shown)])
    with pytest.raises(DataError, match="do not fit"):
        make_desk().preferences([PreferenceQuestion(0, Window(0, 0, 8, 16), image, shown)])
    with pytest.raises(ConfigError, match="may name 'self'"):
        make_desk().preferences([], rater="truth")
    with pytest.raises(ConfigError, match="unknown weak label 'boxes'"):
        make_desk().digest(("boxes",))


def test_a_stage_gets_what_it_asks_for_and_nothing_else(make_desk, grid_questions):
    desk = make_desk(points=0.5)
    silent = desk.for_stage(())
    assert silent.points() == {}
    assert (silent.point_budget(), silent.patch_budget()) == (0, 0)
    with pytest.raises(ConfigError, match="is not in `asks`"):
        silent.preferences(grid_questions())
    assert desk.ledger() == []
    some = desk.for_stage(("points",))
    assert some.points() == desk.points() != {}
    assert some.point_budget() == 0.5
    both = desk.for_stage(("points", "preferences"))
    question = grid_questions()[-1:]
    assert both.preferences(question) == desk.preferences(question)
    assert both.patch_budget() == 1
    assert some.rng("x").random() == desk.rng("x").random()


def test_asking_nobody_is_open_to_every_stage(make_desk, grid_questions, labels):
    question = grid_questions()[-1]
    hinted = replace(question, hint=labels[question.z][question.window.slices])
    assert make_desk(patches=0.0).for_stage(()).preferences([hinted], rater="self")[0].seconds == 0

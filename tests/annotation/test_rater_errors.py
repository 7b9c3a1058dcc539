"""How a simulated person errs, as rates over many draws: confusion, missed objects, the first place, several raters."""

from __future__ import annotations

import math

import numpy as np
import pytest
from dabench_weak_labels import Preferences, PreferenceSettings

from dabench.annotation import AnnotationDesk
from dabench.annotation.answers import decisive
from dabench.annotation.panel import RaterPanel
from dabench.annotation.raters import Overlooked, TruthRater
from dabench.annotation.report import gather, report
from dabench.annotation.truth import VolumeTruth
from dabench.data.volumes import ArrayVolume
from dabench.files.digests import digest_of
from dabench.ops.choice import candidate_scores, confused_choice, informative
from dabench.plugin import Budget, ConfigError, PreferenceQuestion, PreferenceRequest, RaterErrors, Window
from dabench.runs.config import validate_config

SIDE = 10


def stripes(*widths):
    """Candidates that are the first columns of a 10 x 10 patch."""
    return np.stack([np.arange(SIDE)[None, :] < width for width in widths]).repeat(SIDE, 1).reshape(-1, SIDE, SIDE)


@pytest.fixture
def ask(weak_labels):
    """Answers to the same choice on many slices, whose truth are the first five columns."""
    weak = weak_labels["preferences"]

    def ask(errors, *widths, count=2000, **options):
        truth = VolumeTruth(ArrayVolume(stripes(5).astype(np.uint8).repeat(count, 0)))
        window, image = Window(0, 0, SIDE, SIDE), np.zeros((SIDE, SIDE), dtype=np.float32)
        questions = tuple(PreferenceQuestion(z, window, image, stripes(*widths)) for z in range(count))
        rater = TruthRater(truth, 0, errors, "labels", **options)
        return np.array([a.chosen[0] for a in rater.answer("preferences", PreferenceRequest(questions), weak)])

    return ask


def test_near_equals_are_confused_and_others_are_not(ask):
    """Dice of 5 and 6 columns to 5: 1 and 10/11; of 5 and 9: 1 and 10/14."""
    near, far = 1 / 11, 4 / 14
    for widths, difference in (((5, 6), near), ((5, 9), far)):
        wrong = (ask(RaterErrors(confusion=near), *widths) != 0).mean()
        assert wrong == pytest.approx(1 / (1 + math.exp(difference / near)), abs=0.03)


def test_a_confused_choice_among_several_is_luces():
    scores, rng = np.array([0.9, 0.88, 0.5]), np.random.default_rng(0)
    shares = np.bincount([confused_choice(scores, 0.02, rng) for _ in range(20000)], minlength=3) / 20000
    assert shares == pytest.approx([math.e / (math.e + 1), 1 / (math.e + 1), 0], abs=0.015)


def test_where_nothing_overlaps_the_largest_is_worst():
    scores = candidate_scores(stripes(8, 4, 2), np.zeros((SIDE, SIDE), dtype=bool))
    assert scores == pytest.approx([-1, -0.5, -0.25])
    assert candidate_scores(stripes(3, 3), stripes(5)[0]) is None


def test_what_is_first_is_taken_unseen(ask):
    """A third of these choices is right by chance."""
    wrong = (ask(RaterErrors(first=0.3), 5, 6, 9) != 0).mean()
    assert wrong == pytest.approx(0.3 * 2 / 3, abs=0.03)


def test_errors_add_up_and_do_not_disturb_each_other(ask):
    rate, hasty = ask(RaterErrors(0.2), 5, 6, 9), ask(RaterErrors(0.2, first=0.3), 5, 6, 9)
    assert (rate != 0).mean() == pytest.approx(0.2, abs=0.03)
    assert (hasty != 0).mean() == pytest.approx(0.7 * 0.2 + 0.3 * 2 / 3, abs=0.03)
    assert (rate == hasty).mean() > 0.7


def test_missed_objects_get_no_points_and_what_covers_them_looks_wrong(labels, weak_labels, grid_questions):
    truth = VolumeTruth(ArrayVolume(labels))
    gone = [
        int(labels[z].sum() - Overlooked(truth, 0.2, seed).labels(z).sum()) / 56 for seed in range(200) for z in (2, 3)
    ]
    assert np.mean(gone) == pytest.approx(0.2 * (7 + 20) / 2, rel=0.05)
    assert all(share == int(share) for share in gone), "whole objects of 7 x 8 pixels"
    blind = TruthRater(truth, 0, RaterErrors(missed=1.0), "labels")
    request = weak_labels["points"].request(1.0, range(4))
    assert all(len(answer.points) == 0 for answer in blind.answer("points", request, weak_labels["points"]))
    questions = tuple(q for q in grid_questions() if informative(q.candidates))
    answers = blind.answer("preferences", PreferenceRequest(questions), weak_labels["preferences"])
    fewest = [q.candidates.sum(axis=(1, 2)).argmin() for q in questions]
    assert [a.chosen[0] for a in answers] == fewest


def test_missed_objects_keep_what_is_ignored(labels):
    labels[3, :, :48] = 255
    seen = Overlooked(VolumeTruth(ArrayVolume(labels)), 1.0, 0).labels(3)
    assert set(np.unique(seen)) == {0, 255}
    assert ((seen == 255) == (labels[3] == 255)).all()


def test_several_raters_err_on_other_questions(ask):
    first, second = (ask(RaterErrors(0.3), 5, 6, number=number) != 0 for number in (0, 1))
    assert first.mean() == pytest.approx(0.3, abs=0.03)
    assert second.mean() == pytest.approx(0.3, abs=0.03)
    assert (first & second).mean() == pytest.approx(0.09, abs=0.03)


def test_a_rate_alone_answers_as_it_always_did(make_desk, grid_questions):
    """Digests of the answers of the code that knew a rate alone."""
    desk = make_desk(points=1.0, seed=4, rater_error=0.3)
    choices = [a.chosen[0] if a.chosen else None for a in desk.preferences(grid_questions())]
    points = [answer.points.tolist() for answer in desk.points().values()]
    assert (digest_of(choices)[:16], digest_of(points)[:16]) == ("b7803784e807f96c", "82394cf8eceb179e")
    assert {e["rater"] for e in desk.ledger()} == {"simulated:0.3"}


def test_what_decides_the_answers_is_in_the_key_and_in_the_name(labels, weak_labels):
    truth = VolumeTruth(ArrayVolume(labels))
    plain = TruthRater(truth, 0, 0.1, "labels")
    other = TruthRater(truth, 0, RaterErrors(0.1, missed=0.2), "labels", number=2)
    assert plain.identity("points", weak_labels["points"]) == {
        "rater": "truth", "error": 0.1, "seed": 0, "labels": "labels"
    }  # fmt: skip
    more = other.identity("points", weak_labels["points"])
    assert more == plain.identity("points", weak_labels["points"]) | {"missed": 0.2, "number": 2}
    (answer,) = other.answer("points", weak_labels["points"].request(1.0, [3]), weak_labels["points"])
    assert answer.rater == other.label == "simulated:0.1 missed=0.2 rater=2"


@pytest.mark.parametrize(
    ("errors", "problem"),
    [({"rate": 1.2}, "1.2: it is a share"), ({"missed": -0.1}, "missed -0.1"), ({"confusion": -1}, "confusion -1")],
)
def test_errors_that_make_no_sense_are_refused(errors, problem):
    with pytest.raises(ConfigError, match=problem):
        RaterErrors(**errors)


def test_settings_of_a_run_and_names_of_cells_without_them():
    plain = {"method": "prefer-das", "task": "vnc2lucchi"}
    cell, said = validate_config(plain), validate_config({**plain, "budget": {"rater_missed": 0.2}})
    assert cell.budget.errors() == [RaterErrors()]
    assert said.budget.errors()[0].label == "simulated:0 missed=0.2"
    assert "rater_missed" not in cell.budget.model_dump()
    assert cell.cell_id != said.cell_id


# ---------------------------------------------------------------------------------------------------- several, in a set
@pytest.fixture
def panel(labels, grid_questions, tmp_path):
    """Answers of three simulated raters to every question, combined in a way, and the set that a run writes of them."""

    def make(combine, *errors):
        weak, truth = Preferences(PreferenceSettings(raters=combine)), VolumeTruth(ArrayVolume(labels))
        desk = AnnotationDesk(truth, labels.shape, Budget(0.0, 1.0), {"preferences": weak})
        desk.use("preferences", RaterPanel(truth, 0, errors, "labels"))
        questions = [q for q in grid_questions() if informative(q.candidates)]
        answers = desk.preferences(questions)
        (path,) = desk.write(tmp_path, {"domain": "toy"})
        return questions, answers, path

    return make


def test_a_majority_of_raters_errs_less(panel, make_desk, grid_questions):
    questions, answers, _ = panel("majority", *[RaterErrors(0.25)] * 5)
    right = [a.chosen for a in make_desk().preferences(questions)]
    alone = [a.chosen for a in make_desk(rater_error=0.25).preferences(questions)]
    wrong, of_one = (np.mean([a != b for a, b in zip(given, right, strict=True)]) for given in
                     ([a.chosen for a in answers], alone))  # fmt: skip
    assert wrong < 0.6 * of_one
    assert {a.seconds for a in answers} == {25.0}
    assert not answers[0].votes


def test_the_set_of_several_raters_is_reported(panel):
    """Each rater's answers are in the set, with their errors; the hasty one takes what is shown first."""
    questions, answers, path = panel("all", RaterErrors(0), RaterErrors(0.1), RaterErrors(0.4), RaterErrors(first=0.6))
    assert len(answers[0].votes) == 4
    found = report(*gather([path])[:2])
    names = [r.rater for r in found.raters]
    assert names == ["simulated-0", "simulated-0-first-0.6-rater-3", "simulated-0.1-rater-1", "simulated-0.4-rater-2"]
    assert {r.questions for r in found.raters} == {len(questions)}
    by_rater = gather([path])[1]
    right = decisive(by_rater[names[0]])
    wrong = [np.mean([a.chosen != right[a.question].chosen for a in by_rater[name]]) for name in names[2:]]
    assert wrong == pytest.approx([0.1, 0.4], abs=0.1)
    chances = {r.rater: r.first_place.chance for r in found.raters}
    assert chances.pop("simulated-0-first-0.6-rater-3") < 1e-6 < 0.001 < min(chances.values())


def test_a_panel_is_in_the_key_and_cannot_give_points(labels, weak_labels):
    rater = RaterPanel(VolumeTruth(ArrayVolume(labels)), 0, [RaterErrors(0), RaterErrors(0.2)], "labels")
    assert rater.label == "simulated:0 + simulated:0.2 rater=1"
    named = rater.identity("preferences", weak_labels["preferences"])
    assert [one["error"] for one in named["raters"]] == [0, 0.2]
    with pytest.raises(ConfigError, match="cannot be made one"):
        rater.answer("points", weak_labels["points"].request(1.0, [3]), weak_labels["points"])


def test_further_raters_are_a_setting():
    plain = {"method": "prefer-das", "task": "vnc2lucchi"}
    budget = validate_config({**plain, "budget": {"rater_error": 0.1, "rater_others": [0.2, 0.3]}}).budget
    assert [one.rate for one in budget.errors()] == [0.1, 0.2, 0.3]
    with pytest.raises(ConfigError, match=r"Did you mean 0\.015"):
        validate_config({**plain, "budget": {"rater_others": [1.5]}})

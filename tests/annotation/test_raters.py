"""Raters: how a simulated person errs, and what the others say when they cannot answer."""

from __future__ import annotations

import numpy as np
import pytest

from dabench.annotation import simulate_points
from dabench.annotation.truth import VolumeTruth
from dabench.data.volumes import ArrayVolume
from dabench.ops.choice import best_candidate, dice_scores, informative
from dabench.plugin import ConfigError, DataError


def nested(*sizes):
    """Square candidates of these sides in one corner of a 8 x 8 patch."""
    masks = np.zeros((len(sizes), 8, 8), dtype=bool)
    for mask, size in zip(masks, sizes, strict=True):
        mask[:size, :size] = True
    return masks


def test_the_best_candidate_has_the_highest_dice():
    candidates = nested(8, 6, 5, 3, 1)
    truth = nested(5)[0]
    assert best_candidate(candidates, truth) == 2
    assert dice_scores(candidates, truth)[3] == pytest.approx(2 * 9 / (9 + 25))


def test_among_equals_the_one_listed_first_wins():
    truth = nested(4)[0]
    assert best_candidate(nested(6, 4, 4, 4, 2), truth) == 1
    assert best_candidate(nested(4, 4, 6, 4, 4), truth) == 0


def test_nothing_to_say_where_all_are_equal():
    truth = nested(4)[0]
    assert best_candidate(nested(3, 3, 3), truth) is None
    assert best_candidate(nested(0, 0), np.zeros((8, 8), dtype=bool)) is None
    assert not informative(nested(3))
    valid = nested(3)[0]
    assert best_candidate(nested(5, 4, 3), truth, valid) is None


def test_on_empty_truth_the_fewest_false_positives_win():
    empty = np.zeros((8, 8), dtype=bool)
    assert best_candidate(nested(5, 3, 0), empty) == 2
    assert best_candidate(nested(5, 3, 1), empty) == 2


def test_preference_errors_are_uniform_over_the_other_candidates(make_desk, grid_questions):
    questions = [q for q in grid_questions() if informative(q.candidates)]
    right = [a.choice for a in make_desk().preferences(questions)]
    seen, wrong, total = set(), 0, 0
    for seed in range(12):
        answers = make_desk(rater_error=0.3, seed=seed).preferences(questions)
        for question, answer, truth in zip(questions, answers, right, strict=True):
            total += 1
            if answer.choice != truth:
                wrong += 1
                seen.add(answer.choice)
                assert (question.candidates[answer.choice] != question.candidates[truth]).any()
    assert wrong / total == pytest.approx(0.3, abs=0.05)
    assert seen >= {0, 1, 2, 4}
    always = make_desk(rater_error=1.0).preferences(questions)
    assert all(a.choice != truth for a, truth in zip(always, right, strict=True))


def test_point_errors_are_missing_or_on_background(make_desk, labels):
    missing = misplaced = total = 0
    for seed in range(20):
        exact = make_desk(points=1.0, seed=seed).points()
        erring = make_desk(points=1.0, seed=seed, rater_error=0.4).points()
        for z in range(4):
            total += len(exact[z].points)
            missing += len(exact[z].points) - len(erring[z].points)
            for x, y in np.rint(erring[z].points).astype(int):
                misplaced += labels[z, y, x] == 0
    assert missing / total == pytest.approx(0.2, abs=0.05)
    assert misplaced / total == pytest.approx(0.2, abs=0.05)
    assert all(len(a.points) <= 20 for a in make_desk(points=1.0, rater_error=1.0).points().values())


def test_ignored_pixels_are_neither_object_nor_background(make_desk, labels):
    labels = labels.copy()
    labels[:, :, :48] = 255
    points = make_desk(points=1.0, truth=labels, rater_error=0.5).points()
    assert len(points[3].points) > 0
    for z, answer in points.items():
        for x, y in np.rint(answer.points).astype(int):
            assert labels[z, y, x] != 255


def test_a_target_without_labels_cannot_be_simulated(make_desk, grid_questions):
    desk = make_desk(truth=None)
    with pytest.raises(DataError, match="no labels from which points could be simulated"):
        desk.points()
    with pytest.raises(DataError, match="preferences"):
        desk.preferences(grid_questions())


def test_self_gives_no_points_and_needs_a_hint(make_desk, grid_questions):
    desk = make_desk(rater="self")
    with pytest.raises(ConfigError, match="cannot give points"):
        desk.points()
    with pytest.raises(ConfigError, match="no hint"):
        desk.preferences(grid_questions())


def test_recorded_without_a_file_says_which(make_desk, tmp_path):
    with pytest.raises(ConfigError, match="no file with points"):
        make_desk(rater="recorded").points()
    missing = make_desk(rater="recorded", recorded={"points": tmp_path / "clicks.csv"})
    with pytest.raises(DataError, match=r"clicks\.csv: no such file"):
        missing.digest(("points",))


def test_recorded_answers_follow_the_masks_not_their_order(make_desk, grid_questions, tmp_path):
    questions = [q for q in grid_questions() if informative(q.candidates)]
    desk = make_desk()
    answers = desk.preferences(questions[:5])
    file = desk.write(tmp_path)[0]
    replay = make_desk(truth=None, rater="recorded", recorded={"preferences": file})
    turned = [type(q)(q.z, q.window, q.image, q.candidates[::-1]) for q in questions[:7]]
    found = replay.preferences(turned)
    for question, given, answer in zip(turned, answers, found[:5], strict=False):
        chosen = question.candidates[::-1][given.choice]
        assert np.array_equal(question.candidates[answer.choice], chosen)
    assert [a.choice for a in found[5:]] == [None, None]
    assert [a.seconds for a in found[5:]] == [0.0, 0.0]


def test_recorded_points_of_another_volume_are_refused(make_desk, tmp_path):
    for text, problem in [("9,1,1\n", "slice 9"), ("1,200,5\n", "outside 64 x 96")]:
        file = tmp_path / "clicks.csv"
        file.write_text(text)
        with pytest.raises(DataError, match=problem):
            make_desk(rater="recorded", recorded={"points": file}).points()


def test_test_points_come_from_the_same_draw(make_desk, labels, weak_labels):
    points = simulate_points(weak_labels["points"], VolumeTruth(ArrayVolume(labels)), 0.5, seed=0)
    desk = make_desk(points=0.5).points()
    assert all(np.array_equal(points[z].points, desk[z].points) for z in range(4))


def test_truth_names_a_strange_label_value(labels):
    labels = labels.copy()
    labels[2, 0, 0] = 7
    with pytest.raises(DataError, match="slice 2: label value 7"):
        VolumeTruth(ArrayVolume(labels)).labels(2)

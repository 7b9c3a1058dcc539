"""The count that given points imply, and what it does to pseudo-labels."""

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from dabench_mean_teacher import MeanTeacher, MeanTeacherSettings
from dabench_prompt_das import PromptDASStage
from dabench_prompt_das.ranking import (
    Limits,
    Thresholds,
    counted_slices,
    expected_count,
    limits_of,
    ranked,
    sampled_slices,
)
from dabench_prompt_das.settings import PromptDASSettings
from torch import Tensor

from dabench.interfaces import PseudoTargets, TrainingData
from dabench.testing.toys import ImageToy
from dabench.types import IGNORE, Array, PointAnswer, Region, Window

NOBODY = torch.zeros(0, 2)


def blobs(*values: float) -> torch.Tensor:
    """Squares of 10 x 10 pixels with these probabilities on a row, the rest at 0.1; ``(1, 20, 20 * n)``."""
    seen = torch.full((1, 20, 20 * len(values)), 0.1)
    for number, value in enumerate(values):
        seen[0, 5:15, 20 * number + 5 : 20 * number + 15] = value
    return seen


def centre(number: int) -> torch.Tensor:
    return torch.tensor([[20.0 * number + 10, 10.0]])


def pseudo(seen: torch.Tensor, points: torch.Tensor = NOBODY) -> PseudoTargets:
    labels = (seen > 0.5).to(torch.uint8)
    return PseudoTargets(labels, torch.ones_like(seen), [points], None, seen)


def test_the_count_takes_off_the_mean_rounding_of_each_slice() -> None:
    assert expected_count([3, 1, 0], 0.5) == pytest.approx((2.5 + 0.5) / 0.5)


@pytest.mark.parametrize("share", [0.05, 0.15, 0.5])
def test_the_count_is_right_on_average(share: float) -> None:
    truth = np.random.default_rng(0).integers(1, 60, 2000)
    given = np.ceil(share * truth - 1e-9).astype(int)
    assert expected_count(given.tolist(), share) == pytest.approx(truth.sum(), rel=0.03)


def test_limits_are_scores_at_ranks_and_0_where_components_run_out() -> None:
    scores: Array = np.array([0.6, 0.9, 0.7, 0.8])
    assert limits_of(scores, 2.0, 0.5, 1.0) == Limits(0.8, 0.7)
    assert limits_of(scores, 8.0, 0.25, 1.0) == Limits(0.7, 0.0)
    assert limits_of(np.zeros(0), 8.0, 0.5, 1.0) == Limits()


def test_components_are_trusted_doubted_or_background_by_rank() -> None:
    seen = blobs(0.95, 0.8, 0.6)
    out = ranked(pseudo(seen, torch.cat([centre(i) for i in range(3)])), [NOBODY], Limits(0.9, 0.7))
    assert [out.labels[0, 10, 20 * i + 10].item() for i in range(3)] == [1, IGNORE, 0]
    assert out.labels[0, 0, 0] == 0
    assert out.points[0].tolist() == torch.cat([centre(0), centre(1)]).tolist()


def test_a_given_point_is_never_contradicted() -> None:
    seen = blobs(0.95, 0.6)
    out = ranked(pseudo(seen, centre(1)), [centre(1)], Limits(0.9, 0.7))
    assert out.labels[0, 10, 30] == 1
    assert out.points[0].tolist() == centre(1).tolist()


def test_without_limits_and_without_components_nothing_changes() -> None:
    given = pseudo(blobs(0.6))
    assert ranked(given, [NOBODY], Limits()) is given
    empty = pseudo(blobs(0.2), centre(0))
    out = ranked(empty, [NOBODY], Limits(0.9, 0.7))
    assert torch.equal(out.labels, empty.labels)
    assert torch.equal(out.points[0], empty.points[0])


def test_slices_are_spread_and_bounded() -> None:
    assert sampled_slices(3, 12) == [0, 1, 2]
    assert sampled_slices(33, 12)[0] == 0
    assert sampled_slices(33, 12)[-1] == 32
    assert len(sampled_slices(1000, 12)) == 12


def test_a_persons_clicks_imply_a_count_where_the_whole_slice_was_clicked() -> None:
    def answer(z: int, count: int, *regions: Region, drawn: bool = False) -> PointAnswer:
        return PointAnswer(z, np.zeros((count, 2), np.float32), 0.0, "x", regions=None if drawn else regions)

    drawn = {z: answer(z, n, drawn=True) for z, n in ((0, 3), (2, 1))}
    assert counted_slices(drawn, [0, 1, 2], 0.5) == ([0, 1, 2], expected_count([3, 1], 0.5))
    box = Region(Window(0, 0, 8, 8), 4)
    person = {0: answer(0, 3), 4: answer(4, 5, box), 5: answer(5, 2, Region(None, 7)), 9: answer(9, 0, Region(None, 0))}
    assert counted_slices(person, [0, 5, 9], 0.15) == ([5, 9], 7.0)
    assert counted_slices({0: answer(0, 3), 4: answer(4, 5, box)}, [0, 4], 0.15) == ([], 0.0), "nothing is ranked"


def slice_of(probability: float, false: int = 0) -> tuple[Array, PointAnswer]:
    """Twenty objects of 12 x 12 pixels, half of them at .9 and half at so much, and false ones; all were clicked."""
    seen: Array = np.full((100, 100 + 20 * false), 0.01, np.float32)
    centres = [(20.0 * column + 10, 25.0 * row + 10) for row in range(4) for column in range(5)]
    for number, (x, y) in enumerate(centres):
        seen[int(y) - 6 : int(y) + 6, int(x) - 6 : int(x) + 6] = 0.9 if number % 2 else probability
    for number in range(false):
        seen[4:16, 100 + 20 * number + 4 : 100 + 20 * number + 16] = 0.55
    return seen, PointAnswer(0, np.array(centres, np.float32), 0.0, "x")


@pytest.mark.parametrize(
    ("probability", "threshold"),
    [(0.15, 0.1), (0.35, 0.3), (0.8, 0.5), (0.005, 0.5)],
)
def test_the_threshold_falls_to_where_clicked_objects_are_found(probability: float, threshold: float) -> None:
    seen = Thresholds(1.0)
    seen.add(*slice_of(probability))
    assert seen.chosen() == threshold
    count = 10 if probability < 0.05 else 20
    assert len(seen.scores(threshold)) == count, "components above the threshold that was chosen"


def test_false_objects_never_raise_the_threshold() -> None:
    seen = Thresholds(1.0)
    seen.add(*slice_of(0.8, false=5))
    assert seen.chosen() == 0.5


def test_a_few_points_no_points_and_one_threshold_choose_one_half() -> None:
    probability, answer = slice_of(0.15)
    for given in (replace(answer, points=answer.points[:9]), replace(answer, points=answer.points[:0]), None):
        seen = Thresholds(1.0)
        seen.add(probability, given)
        assert seen.chosen() == 0.5
    alone = Thresholds(1.0, ())
    alone.add(probability, answer)
    assert alone.chosen() == 0.5
    assert len(Thresholds(1.0).scores(0.5)) == 0


@pytest.mark.parametrize(
    ("probability", "calibrate", "rejects"), [(0.15, True, False), (0.15, False, True), (0.8, True, True)]
)
def test_where_objects_are_missed_labels_follow_the_threshold_and_nothing_is_rejected(
    probability: float, calibrate: bool, rejects: bool
) -> None:
    """More components than the points imply: those past the count are rejected, unless the threshold was lowered."""
    image, answer = slice_of(probability, false=25)
    data = SimpleNamespace(
        target_shape=lambda: (1, *image.shape),
        target_crop=lambda place: image[place.window.slices],
        desk=SimpleNamespace(points=lambda: {0: answer}),
        device="cpu",
    )
    scheme = MeanTeacher(MeanTeacherSettings(views=1))
    stage = PromptDASStage(PromptDASSettings(crop=96, calibrate=calibrate), ImageToy(density=Tensor.clone), scheme, 1.0)
    stage._rank(cast(TrainingData, data))
    lowered = calibrate and probability < 0.5
    assert scheme.state() == ({"threshold": torch.tensor(0.1, dtype=torch.float64)} if lowered else {})
    assert (stage.limits.reject > 0) == rejects

"""Mean teacher: what detection lets segmentation trust, the average itself, crops without anything."""

from __future__ import annotations

import pytest
import torch
from dabench_mean_teacher import MeanTeacher, MeanTeacherSettings, guarded
from torch import Tensor

from dabench.ops.discs import stamp_discs
from dabench.testing.toys import ImageToy
from dabench.types import IGNORE, CropId, TargetCrops, Window


def crops(image: Tensor, points: Tensor | None = None) -> TargetCrops:
    given = torch.zeros(0, 2) if points is None else points
    return TargetCrops(image[None, None], [given], [CropId(0, Window(0, 0, *image.shape))])


def test_a_component_without_a_centre_is_not_trusted_one_at_the_border_is() -> None:
    probability = torch.zeros(12, 12)
    probability[2:4, 2:4] = 0.9  # with a centre
    probability[6:8, 6:8] = 0.9  # without
    probability[10:12, 2:4] = 0.9  # cut by the border
    labels = (probability > 0.5).to(torch.uint8)
    out = guarded(labels, probability, torch.tensor([[2.6, 2.4]]), doubt=0)
    assert (out[2:4, 2:4] == 1).all()
    assert (out[6:8, 6:8] == IGNORE).all()
    assert (out[10:12, 2:4] == 1).all()
    assert (out[probability == 0] == 0).all()


def test_background_around_a_missed_centre_is_in_doubt() -> None:
    labels = torch.zeros(9, 9, dtype=torch.uint8)
    out = guarded(labels, torch.zeros(9, 9), torch.tensor([[4.0, 3.0]]), doubt=1.0)
    assert [tuple(p) for p in torch.nonzero(out == IGNORE).tolist()] == [(2, 4), (3, 3), (3, 4), (3, 5), (4, 4)]


def test_points_beyond_the_border_pixel_are_no_error() -> None:
    out = guarded(torch.zeros(4, 4, dtype=torch.uint8), torch.zeros(4, 4), torch.tensor([[3.49, -0.49]]), doubt=2.0)
    assert (out == IGNORE).any()


def test_discs_by_hand_and_radius_zero() -> None:
    plain = torch.zeros(3, 4, dtype=torch.uint8)
    assert stamp_discs(plain, torch.tensor([[1.0, 1.0]]), 1.0, 1).sum() == 5
    assert torch.equal(stamp_discs(plain, torch.tensor([[1.0, 1.0]]), 0.0, 1), plain)
    assert plain.sum() == 0


def test_the_teacher_is_the_average() -> None:
    student = ImageToy(0.0)
    scheme = MeanTeacher(MeanTeacherSettings(decay=0.75))
    scheme.start(student)
    with torch.no_grad():
        student.gain.fill_(1.0)
    scheme.after_update(student, 0)
    assert scheme.teacher.gain.item() == pytest.approx(0.25)  # type: ignore[union-attr]
    ramped = MeanTeacher(MeanTeacherSettings(decay=0.75, ramp=True))
    ramped.start(ImageToy(0.0))
    ramped.after_update(student, 0)
    assert ramped.teacher.gain.item() == 1.0  # type: ignore[union-attr]


def test_given_points_are_foreground_and_detections_join_them() -> None:
    image = torch.zeros(40, 40)
    image[8:13, 8:13] = 0.95
    image[10, 10] = 1.0
    scheme = MeanTeacher(MeanTeacherSettings(views=3, disc=2, doubt=0))
    scheme.start(ImageToy(density=Tensor.clone))
    pseudo = scheme.targets(crops(image, torch.tensor([[30.0, 25.0]])), torch.Generator().manual_seed(0))
    assert pseudo.labels[0, 25, 30] == 1
    assert (pseudo.labels[0, 8:13, 8:13] == 1).all()
    found = sorted(tuple(p) for p in pseudo.points[0].round().tolist())
    assert found == [(10.0, 10.0), (30.0, 25.0)]


def test_a_crop_with_nothing_in_it() -> None:
    scheme = MeanTeacher(MeanTeacherSettings(strong_weight=True))
    scheme.start(ImageToy(density=Tensor.clone))
    pseudo = scheme.targets(crops(torch.zeros(16, 16)), torch.Generator().manual_seed(0))
    assert (pseudo.labels == 0).all()
    assert len(pseudo.points[0]) == 0
    assert torch.isfinite(pseudo.weights).all()


def test_start_comes_first() -> None:
    with pytest.raises(RuntimeError, match="start"):
        _ = MeanTeacher(MeanTeacherSettings()).teacher


def test_a_moved_threshold_moves_labels_and_confidence_and_is_resumed() -> None:
    image = torch.full((40, 40), 0.001)
    image[8:13, 8:13] = 0.9
    image[28:33, 28:33] = 0.3
    scheme = MeanTeacher(MeanTeacherSettings(guard=False, disc=0))
    scheme.start(ImageToy(density=Tensor.clone))

    def seen(teacher: MeanTeacher) -> list[float]:
        found = teacher.targets(crops(image), torch.Generator().manual_seed(0))
        return [found.labels[0, 30, 30].item(), found.labels[0, 10, 10].item(), found.confidence[0, 30, 30].item()]

    assert seen(scheme) == [IGNORE, 1, pytest.approx(0.3)]
    assert scheme.state() == {}
    scheme.set_threshold(0.1)
    odds = 0.3 / 0.7 / (0.1 / 0.9)
    assert seen(scheme) == [IGNORE, 1, pytest.approx(odds / (1 + odds))]
    scheme.set_threshold(0.05)
    assert seen(scheme)[:2] == [1, 1]
    resumed = MeanTeacher(MeanTeacherSettings(guard=False, disc=0))
    resumed.start(ImageToy(density=Tensor.clone))
    resumed.load_state(scheme.state())
    assert seen(resumed) == seen(scheme)

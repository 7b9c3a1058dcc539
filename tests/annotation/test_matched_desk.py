"""Annotation where a model sees other pixels than are stored: marked on the stored ones, handed out on the model's."""

from __future__ import annotations

import numpy as np
import pytest

from dabench.annotation.truth import VolumeTruth
from dabench.data.resampled import ResampledLabels
from dabench.data.volumes import ArrayVolume, read_all
from dabench.errors import ConfigError, DataError
from dabench.interfaces import WeakLabel
from dabench.ops.resampling import Resampling

HALVED = Resampling((64, 96), (32, 48))


@pytest.fixture
def seen(labels):
    return read_all(ResampledLabels(ArrayVolume(labels), HALVED))


@pytest.fixture
def matched(make_desk, seen):
    def make(**options):
        return make_desk(resampling=HALVED, seen=VolumeTruth(ArrayVolume(seen)), **options)

    return make


def test_points_are_those_of_the_stored_labels_moved(matched, make_desk, tmp_path):
    stored, desk = make_desk(points=0.5), matched(points=0.5)
    for z, answer in stored.points().items():
        np.testing.assert_array_equal(desk.points()[z].points, HALVED.points(answer.points))
    assert desk.ledger() == stored.ledger(), "the same answers at the same price"
    for one, name in ((stored, "a"), (desk, "b")):
        one.write(tmp_path / name)
    assert (tmp_path / "a" / "points.csv").read_bytes() == (tmp_path / "b" / "points.csv").read_bytes()


def test_a_persons_points_are_voxels_of_the_stored_slices(matched, tmp_path):
    path = tmp_path / "clicks.csv"
    path.write_text("z,y,x\n2,63,95\n")
    desk = matched(truth=None, rater="recorded", recorded={"points": path})
    desk.check(["points"])
    np.testing.assert_allclose(desk.points()[2].points, [[47.25, 31.25]])
    path.write_text("z,y,x\n2,64,95\n")
    with pytest.raises(DataError, match="outside 64 x 96"):
        matched(truth=None, rater="recorded", recorded={"points": path}).check(["points"])


def test_patches_are_judged_on_the_models_pixels(matched, grid_questions, seen):
    questions = grid_questions(seen)
    answers = matched().preferences(questions)
    chosen = [a.choice for q, a in zip(questions, answers, strict=True) if q.z and a.choice is not None]
    assert chosen
    outside = grid_questions(np.zeros((4, 64, 96), np.uint8))
    with pytest.raises(DataError, match="32 x 48"):
        matched().preferences(outside)


def test_a_kind_that_cannot_be_moved_is_refused_before_training(matched, weak_labels):
    class Boxes(type(weak_labels["points"])):
        resampled = WeakLabel.resampled

    weak_labels["points"] = Boxes(weak_labels["points"].config)
    with pytest.raises(ConfigError, match=r"Boxes(.|\n)*--pixel-size native"):
        matched(points=0.5).check(["points"])
    matched(points=0.0).check(["points"])

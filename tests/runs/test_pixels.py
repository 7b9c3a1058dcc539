"""Pixel sizes of a run: equal ones change nothing; others are in the keys; a matched run resumes bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from dabench.files.digests import digest_file
from dabench.files.workspace import Workspace
from dabench.interfaces.observer import Observer
from dabench.runs.pixels import far, model_pixel, spacing
from dabench.runs.plan import describe, make_plan
from dabench.runs.runner import run_cell
from tests.conftest import few

#: 8 nm and 5 nm.
APART = {"task": "human2lucchi++"}


def planned(registry, workspace, method="prompt-das", **changes):
    return make_plan(few(method, **changes), registry, workspace)


def keys(plan):
    return [stage.key for stage in plan.stages]


def test_equal_sizes_change_nothing_but_the_setting(registry, workspace):
    plans = [planned(registry, workspace, pixel_size=size) for size in ("match", "native", "auto")]
    assert keys(plans[0]) == keys(plans[1]) == keys(plans[2])
    assert [plan.task.pixel_size for plan in plans] == ["match", "native", "native"]
    assert len({plan.config.cell_id for plan in plans}) == 3
    assert all(plan.task.resampling(plan.task.target_train) is None for plan in plans)
    assert all(plan.notes == () for plan in plans)
    images = [plan.task.target_images.read(2) for plan in plans]
    np.testing.assert_array_equal(images[0], images[1])


def test_other_sizes_are_in_the_keys_of_what_sees_the_target(registry, workspace):
    matched, native = (planned(registry, workspace, pixel_size=size, **APART) for size in ("match", "native"))
    assert keys(matched)[0] == keys(native)[0]
    assert keys(matched)[1] != keys(native)[1]
    assert matched.task.target_images.shape == (12, 160, 160)
    assert matched.task.unit(matched.task.target_train).shape == (12, 256, 256)
    assert planned(registry, workspace, **APART).task.pixel_size == "native", "a registered domain is left as it is"


def test_which_pixels_a_model_knows(registry, workspace):
    def known(method, size):
        plan = planned(registry, workspace, method, pixel_size=size, **APART)
        assert describe(plan)["pixel_nm"] == model_pixel(plan.task, [s.spec for s in plan.stages])
        return describe(plan)["pixel_nm"]

    assert known("source-only", "native") == known("source-only", "match") == (8, 8)
    assert known("prompt-das", "match") == (8, 8)
    assert known("prompt-das", "native") == known("oracle", "native") == (5, 5)


def test_an_oracle_learns_labels_on_the_same_pixels(registry, workspace):
    plan = planned(registry, workspace, "oracle", pixel_size="match", **APART)
    slices = plan.task.labelled(plan.stages[0].spec.crops)
    assert slices.images.shape == slices.labels.shape == (12, 160, 160)
    stored = plan.task.target_train.labels.read(0)
    assert slices.labels.read(0).mean() == pytest.approx((stored == 1).mean(), rel=0.05)


class StopsAt(Observer):
    def __init__(self, stage, step):
        self.at = stage, step

    def advanced(self, work, done, total, values=None):
        if (work, done) == self.at:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_a_matched_run_resumes_bit_for_bit(registry, workspace, tmp_path):
    config = few("prompt-das", pixel_size="match", checkpoint_every=2, **APART)
    stage = planned(registry, workspace, pixel_size="match", **APART).stages[1].spec.name
    with pytest.raises(KeyboardInterrupt):
        run_cell(config, registry, workspace, observer=StopsAt(stage, 5))
    assert make_plan(config, registry, workspace).stages[1].state == "resumes"
    other = Workspace(tmp_path / "other")
    for place in (workspace, other):
        run_cell(config, registry, place)
    found = [make_plan(config, registry, place).stages[1].folder.weights for place in (workspace, other)]
    assert digest_file(found[0]) == digest_file(found[1])
    predictions = [place.runs / config.cell_id / "predictions" / "target_test.tif" for place in (workspace, other)]
    assert digest_file(predictions[0]) == digest_file(predictions[1])


def test_spacing_is_the_median_distance_to_the_nearest_point_of_a_slice():
    row = np.array([[0, 0], [3, 4], [6, 8], [6, 18]], np.float32)
    assert spacing({0: row, 1: row[:2]}) == 5
    assert spacing({0: row[:2], 1: row[:1]}) == 0, "too few to say"
    assert far((8, 8), (4, 16)) == 2

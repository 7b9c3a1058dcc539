"""Instance-aware pseudo-labels: counting, which peaks are taken, which components, ellipses, rounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dabench_instance_aware import CountedPointsSettings, InstanceAware, InstanceAwareSettings
from dabench_instance_aware.selection import (
    components_above,
    estimated_count,
    instance_labels,
    scaled_density,
    select_centres,
    with_ellipses,
)
from pydantic import ValidationError
from torch import Tensor

from dabench.annotation.desk import AnnotationDesk
from dabench.components.registry import Registry
from dabench.data.volumes import ArrayVolume
from dabench.interfaces import Budget
from dabench.ops.density import density_maps
from dabench.ops.prompts import pad_points
from dabench.testing.toys import ImageToy
from dabench.training.stage_data import StageData
from dabench.types import IGNORE, CropId, PointAnswer, TargetCrops, Window

NOTHING = torch.zeros(0, 2)


def bumps(*points: tuple[float, float], size: int = 200) -> Tensor:
    """Density of one slice."""
    return density_maps(pad_points([torch.tensor(points)]), (size, size))[0]


# --------------------------------------------------------------------------------------------------------- counting
def test_isolated_bumps_are_counted() -> None:
    assert estimated_count(bumps((40.0, 40.0), (150.0, 50.0), (100.0, 160.0))) == pytest.approx(3, rel=1e-3)


def test_density_is_scaled_to_its_highest_but_an_empty_slice_stays_empty() -> None:
    low = np.array([[0.3, -0.2], [0.15, 0.0]], np.float32)
    assert torch.allclose(scaled_density(low, 0.15), torch.tensor([[1.0, 0.0], [0.5, 0.0]]))
    assert scaled_density(low / 10, 0.15).max() == pytest.approx(0.2)
    assert scaled_density(np.zeros((2, 2), np.float32), 0.0).max() == 0


# -------------------------------------------------------------------------------------------------------- selection
def test_the_highest_peaks_are_taken_as_many_as_the_ratio_says() -> None:
    density = torch.maximum(bumps((40.0, 40.0)), 0.6 * bumps((150.0, 60.0)))
    density = torch.maximum(density, 0.3 * bumps((60.0, 150.0)))  # count: 1.9
    free = torch.zeros(200, 200, dtype=torch.long)
    assert select_centres(density, free, NOTHING, 0.0, 15).tolist() == []
    assert select_centres(density, free, NOTHING, 0.5, 15).tolist() == [[40, 40]]  # ceil(0.95)
    assert select_centres(density, free, NOTHING, 0.6, 15).tolist() == [[40, 40], [150, 60]]  # ceil(1.14)
    assert len(select_centres(density, free, NOTHING, 1.0, 15)) == 2


def test_a_peak_in_a_component_that_a_given_point_marks_is_left_out() -> None:
    density = torch.maximum(bumps((40.0, 40.0)), 0.6 * bumps((150.0, 60.0)))
    components = torch.zeros(200, 200, dtype=torch.long)
    components[30:50, 30:50] = 1
    given = torch.tensor([[33.0, 47.0]])
    assert select_centres(density, components, given, 0.5, 15).tolist() == [[150, 60]]
    # A given point on no component marks nothing.
    assert select_centres(density, components, torch.tensor([[1.0, 1.0]]), 0.5, 15).tolist() == [[40, 40]]


def test_components_under_trusted_centres_are_instances_the_rest_is_ignored() -> None:
    probability = np.full((8, 8), 0.1, np.float32)
    probability[1:3, 1:3] = 0.9
    probability[5:7, 5:7] = 0.9
    probability[1, 5:7] = 0.5
    components = components_above(probability, 0.8)
    labels, missed = instance_labels(probability, components, torch.tensor([[1.0, 2.0], [0.0, 7.0]]), 0.2)
    assert (labels[1:3, 1:3] == 1).all()
    assert (labels[5:7, 5:7] == IGNORE).all()
    assert (labels[1, 5:7] == IGNORE).all()
    assert int((labels == 1).sum()) == 4
    assert int((labels == IGNORE).sum()) == 6
    assert missed.tolist() == [False, True]


def test_no_component_and_no_centre_is_legal() -> None:
    probability = np.zeros((4, 4), np.float32)
    labels, missed = instance_labels(probability, components_above(probability, 0.8), NOTHING, 0.2)
    assert (labels == 0).all()
    assert len(missed) == 0


def test_a_missed_point_is_an_ellipse_in_a_ring_of_doubt() -> None:
    labels = torch.zeros(9, 11, dtype=torch.uint8)
    labels[4, 8] = 1  # an instance of another centre, in the ring
    out = with_ellipses(labels, torch.tensor([[5.0, 4.0]]), (1, 2), (3, 3))
    assert [tuple(p) for p in torch.nonzero(out == 1).tolist()] == [
        (2, 5),
        (3, 5),
        (4, 4),
        (4, 5),
        (4, 6),
        (4, 8),
        (5, 5),
        (6, 5),
    ]
    assert out[4, 2] == IGNORE
    assert out[1, 5] == IGNORE
    assert out[4, 1] == 0
    assert out[0, 5] == 0
    assert labels.sum() == 1


def test_ellipses_at_the_edge_are_cut_and_size_zero_stamps_nothing() -> None:
    labels = torch.zeros(4, 4, dtype=torch.uint8)
    out = with_ellipses(labels, torch.tensor([[0.0, 0.0]]), (1, 1), (2, 2))
    assert int((out == 1).sum()) == 3
    assert torch.equal(with_ellipses(labels, torch.tensor([[1.0, 1.0]]), (0, 0), (0, 0)), labels)


# ----------------------------------------------------------------------------------------------------------- rounds
def painted() -> ImageToy:
    """Probability is the image, below 0.95; density has bumps of height 1 at pixels of value 1."""
    return ImageToy(
        answer=lambda plane: plane.clamp(max=0.95), density=lambda plane: 0.8 * (plane == 1).float() + 0.001 * plane
    )


class Given:
    """A desk with one given point on slice 0."""

    def __init__(self, share: float) -> None:
        self.share = share

    def points(self) -> dict[int, PointAnswer]:
        return {0: PointAnswer(0, np.array([[20.0, 40.0]], np.float32), 0.0, "test")} if self.share else {}

    def point_budget(self) -> float:
        return self.share


def image() -> np.ndarray[Any, Any]:
    """Two slices: an object with a strong centre, one with none, and a given point (20, 40) on nothing."""
    planes = np.full((2, 64, 64), 0.05, np.float32)
    planes[:, 5:12, 5:12] = 0.9
    planes[:, 8, 8] = 1.0
    planes[:, 40:50, 40:50] = 0.9
    return planes


def make_data(tmp_path: Path, share: float) -> StageData:
    return StageData(ArrayVolume(image()), Given(share), torch.device("cpu"), 0, "test", None, tmp_path / "kept")  # type: ignore[arg-type]


def crops(window: Window, z: int = 0) -> TargetCrops:
    return TargetCrops(
        torch.zeros(1, 1, window.height, window.width), [torch.tensor([[20.0, 40.0]])], [CropId(z, window)]
    )


def scheme(data: StageData, **changes: Any) -> InstanceAware:
    made = InstanceAware(InstanceAwareSettings(tile=64, ratios=(0.0, 1.0), **changes))
    made.start(painted())
    made.attach(data)
    return made


WHOLE = Window(0, 0, 64, 64)


def labels_of(made: InstanceAware, window: Window = WHOLE, z: int = 0) -> Tensor:
    return made.targets(crops(window, z), torch.Generator()).labels[0]


def test_the_first_round_has_the_given_points_the_second_the_detected_ones(tmp_path: Path) -> None:
    data = make_data(tmp_path, 0.15)
    made = scheme(data)
    made.refresh(painted(), data)
    first = labels_of(made)
    assert (first[5:12, 5:12] == IGNORE).all()
    assert first[40, 20] == 1  # the ellipse
    assert first[34, 20] == 1
    assert first[33, 20] == IGNORE  # its ring
    assert first[60, 60] == 0
    made.refresh(painted(), data)
    second = labels_of(made)
    assert (second[5:12, 5:12] == 1).all()
    assert (second[40:50, 40:50][:, 2:] == IGNORE).all()
    made.refresh(painted(), data)
    assert torch.equal(labels_of(made), second), "a round beyond the last ratio takes the last"


def test_selected_centres_join_the_given_points_of_a_crop(tmp_path: Path) -> None:
    data = make_data(tmp_path, 0.15)
    made = scheme(data)
    made.refresh(painted(), data)
    made.refresh(painted(), data)
    found = made.targets(crops(Window(4, 3, 16, 16)), torch.Generator())
    assert found.points[0].tolist() == [[20, 40], [5, 4]]
    assert found.confidence[0, 4, 5] == pytest.approx(0.95, abs=0.01)


def test_without_points_other_ratios_hold(tmp_path: Path) -> None:
    data = make_data(tmp_path, 0.0)
    made = scheme(data, ratios_without_points=(1.0,))
    made.refresh(painted(), data)
    assert (labels_of(made)[5:12, 5:12] == 1).all()


def test_a_crop_over_the_edge_is_ignored_there(tmp_path: Path) -> None:
    data = make_data(tmp_path, 0.0)
    made = scheme(data)
    made.refresh(painted(), data)
    seen = labels_of(made, Window(60, 60, 8, 8))
    assert (seen[4:] == IGNORE).all()
    assert (seen[:4, :4] == 0).all()


def test_a_new_start_goes_on_in_the_round_of_its_state(tmp_path: Path) -> None:
    data = make_data(tmp_path, 0.15)
    made = scheme(data)
    made.refresh(painted(), data)
    state, first = made.state(), labels_of(made)
    made.refresh(painted(), data)  # the round that was written last, after the checkpoint
    again = scheme(make_data(tmp_path, 0.15))
    again.load_state(state)
    assert torch.equal(labels_of(again), first)
    again.refresh(painted(), make_data(tmp_path, 0.15))
    assert torch.equal(labels_of(again), labels_of(made))
    assert torch.equal(again.state()["centres"], made.state()["centres"])


def test_refresh_comes_first(tmp_path: Path) -> None:
    made = scheme(make_data(tmp_path, 0.0))
    with pytest.raises(RuntimeError, match="refresh"):
        labels_of(made)


def test_settings_refuse_what_cannot_be() -> None:
    with pytest.raises(ValidationError, match="odd"):
        InstanceAwareSettings(peak_kernel=4)
    with pytest.raises(ValidationError, match="between 0 and 1"):
        InstanceAwareSettings(ratios=(0.5, 1.5))
    with pytest.raises(ValidationError):
        CountedPointsSettings(ratios=())


def test_both_names_are_registered_with_the_papers_rounds(registry: Registry) -> None:
    paper = {
        name: registry.get("self_training", name).component.presets["paper"]
        for name in ("instance-aware", "counted-points")
    }
    assert paper["instance-aware"]["ratios"] == (0.0, 0.5, 0.95)
    assert paper["counted-points"]["ratios"] == (0.2, 0.4, 0.6, 0.8)


def test_the_desk_of_a_run_decides_the_ratio(tmp_path: Path) -> None:
    volume = ArrayVolume(image())
    desk = AnnotationDesk(None, volume.shape, Budget(points=0.0), {})
    data = StageData(volume, desk, torch.device("cpu"), 0, "test", None, tmp_path)
    made = scheme(data, ratios_without_points=(1.0,))
    made.refresh(painted(), data)
    assert len(made.state()["centres"]) == 2

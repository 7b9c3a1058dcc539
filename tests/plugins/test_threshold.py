"""Threshold: labels by hand, given points, rounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dabench_threshold import Threshold, ThresholdSettings

from dabench.annotation.desk import AnnotationDesk
from dabench.data.volumes import ArrayVolume
from dabench.interfaces import Budget
from dabench.testing.toys import ImageToy
from dabench.training.stage_data import StageData
from dabench.types import IGNORE, CropId, TargetCrops, Window


def started(tmp_path: Path, **changes: Any) -> tuple[Threshold, StageData]:
    plane = np.full((1, 32, 32), 0.1, np.float32)
    plane[0, 2:6, 2:6] = 0.9
    plane[0, 20:26, 20:26] = 0.85
    plane[0, 10, :] = 0.5
    volume = ArrayVolume(plane)
    desk = AnnotationDesk(None, volume.shape, Budget(), {})
    data = StageData(volume, desk, torch.device("cpu"), 0, "test", None, tmp_path)
    scheme = Threshold(ThresholdSettings(tile=32, **changes))
    scheme.start(ImageToy())
    scheme.attach(data)
    return scheme, data


def crops(*points: tuple[float, float]) -> TargetCrops:
    given = torch.tensor(points).reshape(-1, 2)
    return TargetCrops(torch.zeros(1, 1, 32, 32), [given], [CropId(0, Window(0, 0, 32, 32))])


def test_each_pixel_has_the_label_of_its_own_probability(tmp_path: Path) -> None:
    scheme, data = started(tmp_path)
    scheme.refresh(ImageToy(), data)
    pseudo = scheme.targets(crops(), torch.Generator())
    labels = pseudo.labels[0]
    assert (labels[2:6, 2:6] == 1).all()
    assert (labels[20:26, 20:26] == 1).all()
    assert (labels[10] == IGNORE).all()
    assert int((labels == 0).sum()) == 32 * 32 - 32 - 16 - 36
    assert pseudo.points[0].tolist() == [[3.5, 3.5], [22.5, 22.5]]


def test_a_given_point_is_a_disc_and_the_centre_of_its_component(tmp_path: Path) -> None:
    scheme, data = started(tmp_path, disc=1.0)
    scheme.refresh(ImageToy(), data)
    pseudo = scheme.targets(crops((4.0, 5.0), (15.0, 15.0)), torch.Generator())
    assert int((pseudo.labels[0] == 1).sum()) == 16 + 36 + 6  # one pixel of the first disc lies outside its component
    assert pseudo.points[0].tolist() == [[4, 5], [15, 15], [22.5, 22.5]]


def test_rounds_are_kept_apart_and_found_again(tmp_path: Path) -> None:
    scheme, data = started(tmp_path)
    scheme.refresh(ImageToy(), data)
    state, first = scheme.state(), scheme.targets(crops(), torch.Generator())
    scheme.refresh(ImageToy(0.5), data)
    assert (scheme.targets(crops(), torch.Generator()).labels != 1).all()
    again, _ = started(tmp_path)
    again.load_state(state)
    assert torch.equal(again.targets(crops(), torch.Generator()).labels, first.labels)


def test_refresh_comes_first(tmp_path: Path) -> None:
    scheme, _ = started(tmp_path)
    with pytest.raises(RuntimeError, match="refresh"):
        scheme.targets(crops(), torch.Generator())

"""Rounds of labels: what is kept of a slice, how it is cut, and where a restart goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dabench.annotation.desk import AnnotationDesk
from dabench.data.volumes import ArrayVolume
from dabench.interfaces import Budget, PseudoTargets, TrainingData
from dabench.plugin import RoundLabels
from dabench.training.stage_data import StageData
from dabench.types import Array, CropId, TargetCrops, Window

STUDENT = nn.Identity()


class Numbered(RoundLabels):
    """Keeps the number of slice and round, and of the pixel; beyond the edge 9 and what is reflected."""

    name, dtype, beyond = "numbered", "uint8", (9, None)

    def look(self, student: nn.Module, data: TrainingData) -> Iterator[Array]:
        depth, height, width = data.target_shape()
        pixels = np.arange(height * width).reshape(height, width)
        for z in range(depth):
            yield np.stack([np.full_like(pixels, 10 * z + self.round), pixels])

    def targets(self, crops: TargetCrops, generator: torch.Generator) -> PseudoTargets:
        planes = self.kept(crops)
        return PseudoTargets(planes[:, 0], planes[:, 1].float(), list(crops.points), None, planes[:, 1].float())


def view_in(folder: Path | None) -> StageData:
    desk = AnnotationDesk(None, (3, 4, 5), Budget(), {})
    return StageData(ArrayVolume(np.zeros((3, 4, 5), np.float32)), desk, torch.device("cpu"), 0, "test", None, folder)


def crops(*origins: CropId) -> TargetCrops:
    side = origins[0].window.height
    return TargetCrops(torch.zeros(len(origins), 1, side, side), [torch.zeros(0, 2)] * len(origins), list(origins))


def seen(scheme: Numbered) -> Tensor:
    return scheme.kept(crops(CropId(1, Window(0, 0, 2, 2))))[0, 0]


def test_crops_are_cut_from_their_own_slice_in_the_kept_type() -> None:
    scheme = Numbered()
    scheme.refresh(STUDENT, view_in(None))
    planes = scheme.kept(crops(CropId(2, Window(1, 2, 2, 2)), CropId(0, Window(0, 0, 2, 2))))
    assert planes.dtype == torch.uint8
    assert planes.tolist() == [[[[20, 20], [20, 20]], [[7, 8], [12, 13]]], [[[0, 0], [0, 0]], [[0, 1], [5, 6]]]]


def test_beyond_the_edge_each_plane_has_its_value_or_is_reflected() -> None:
    scheme = Numbered()
    scheme.refresh(STUDENT, view_in(None))
    filled, reflected = scheme.kept(crops(CropId(0, Window(3, 4, 2, 2))))[0]
    assert filled.tolist() == [[0, 9], [9, 9]]
    assert reflected.tolist() == [[19, 19], [19, 19]]


def test_a_restart_goes_on_in_the_round_of_its_state_and_redoes_the_next(tmp_path: Path) -> None:
    first = Numbered()
    first.start(STUDENT)
    first.attach(view_in(tmp_path))
    first.refresh(STUDENT, view_in(tmp_path))
    state = first.state()
    first.refresh(STUDENT, view_in(tmp_path))  # kept after the checkpoint
    assert (seen(first) == 11).all()
    again = Numbered()
    again.start(STUDENT)
    again.attach(view_in(tmp_path))
    again.load_state(state)
    assert (seen(again) == 10).all()
    again.refresh(STUDENT, view_in(tmp_path))
    assert (seen(again) == 11).all()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["numbered-0.npy", "numbered-1.npy"]


def test_a_new_start_forgets_the_rounds() -> None:
    scheme = Numbered()
    scheme.refresh(STUDENT, view_in(None))
    scheme.start(STUDENT)
    with pytest.raises(RuntimeError, match=r"numbered: .*refresh"):
        seen(scheme)


def test_without_a_view_there_is_nothing_to_cut() -> None:
    scheme = Numbered()
    scheme.load_state({"round": torch.tensor(0)})
    with pytest.raises(RuntimeError, match=r"numbered: attach"):
        seen(scheme)

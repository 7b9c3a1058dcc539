"""What stages share with their siblings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dabench.training.stage_data import StageData


def data_in(memory: Path | None) -> StageData:
    return StageData(None, None, torch.device("cpu"), 0, "stage", memory)  # type: ignore[arg-type]


@pytest.mark.parametrize("on_disk", [True, False])
def test_what_is_remembered_is_what_was_filled(tmp_path: Path, on_disk: bool) -> None:
    def fill(values: np.ndarray) -> None:
        values[:] = np.arange(24).reshape(2, 3, 4)

    found = data_in(tmp_path if on_disk else None).remember("a", (2, 3, 4), fill)
    assert found.dtype == np.float16
    assert np.array_equal(found, np.arange(24).reshape(2, 3, 4))


def test_a_sibling_finds_it_and_does_not_fill_again(tmp_path: Path) -> None:
    data_in(tmp_path).remember("a", (5,), lambda values: values.fill(7))

    def refuse(values: np.ndarray) -> None:
        raise AssertionError("filled twice")

    assert (data_in(tmp_path).remember("a", (5,), refuse) == 7).all()


def test_killed_while_filling_nothing_is_remembered(tmp_path: Path) -> None:
    def kill(values: np.ndarray) -> None:
        values[0] = 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        data_in(tmp_path).remember("a", (5,), kill)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("on_disk", [True, False])
def test_what_is_kept_is_a_stages_own_and_written_anew(tmp_path: Path, on_disk: bool) -> None:
    own = StageData(None, None, torch.device("cpu"), 0, "stage", None, tmp_path if on_disk else None)  # type: ignore[arg-type]
    with pytest.raises(KeyError, match="round-0"):
        own.kept("round-0")
    own.keep("round-0", (3,), "uint8", lambda values: values.fill(1))
    found = own.keep("round-0", (3,), "uint8", lambda values: values.fill(2))
    assert found.dtype == np.uint8
    assert own.kept("round-0").tolist() == [2, 2, 2]
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 1


def test_what_is_kept_outlives_a_restart(tmp_path: Path) -> None:
    def again() -> StageData:
        return StageData(None, None, torch.device("cpu"), 0, "stage", None, tmp_path)  # type: ignore[arg-type]

    again().keep("round-1", (2, 2), "uint8", lambda values: values.fill(255))
    assert (again().kept("round-1") == 255).all()

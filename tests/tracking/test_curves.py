"""The picture of the loss curves."""

from __future__ import annotations

from dabench.tracking import CurveLog
from dabench.tracking.curves import plot_curves


def test_picture_is_small_and_is_a_png(tmp_path, make_run):
    path = plot_curves(make_run(tmp_path))
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size < 200_000


def test_no_curves_no_picture(tmp_path):
    assert plot_curves(tmp_path) is None


def test_losses_below_zero_or_not_numbers(tmp_path):
    with CurveLog(tmp_path / "curves" / "s.jsonl") as log:
        log.append(0, {"loss": -1.0, "other": float("nan"), "lr": 0.1})
    assert plot_curves(tmp_path).exists()

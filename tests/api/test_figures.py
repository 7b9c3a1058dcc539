"""Pictures of runs: which slices and windows are shown, whose scores a box holds, and that the commands write them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from dabench.api.figures import box_plots, compare_slices, fullest_window, save_figure
from dabench.cli.figure import app
from dabench.errors import ConfigError
from dabench.leaderboard.gather import load
from dabench.leaderboard.metric import Metric
from dabench.types import Window
from dabench.volumes.viewer.targets import Given, Opener


@pytest.fixture
def found(trained):
    return load(trained.workspace)


@pytest.fixture
def open_run(trained, registry):
    opener = Opener(registry, trained.workspace)
    return lambda path: opener.open(path, Given())


def test_the_fullest_window_is_that_of_brute_force():
    mask = np.random.default_rng(0).random((13, 17)) > 0.7
    inside = {(y, x): mask[y : y + 5, x : x + 4].sum() for y in range(9) for x in range(14)}
    found = fullest_window(mask, 5, 4)
    assert inside[found.y, found.x] == max(inside.values())
    assert fullest_window(mask, 13, 17) == Window(0, 0, 13, 17)


def test_slices_are_shown_by_number_or_by_the_mean_dice(found, open_run):
    dice = found.rows[0].slices[Metric("dice")]
    figure = compare_slices(found, open_run, slices=[1, "best", "worst"], crop=48)
    captions = [axes.get_title() for axes in figure.axes]
    assert [c for c in captions if "image and truth" in c] == [
        "slice 1: image and truth",
        f"slice {np.nanargmax(dice)} (best): image and truth",
        f"slice {np.nanargmin(dice)} (worst): image and truth",
    ]
    assert f"(Dice {100 * dice[1]:.1f})" in captions[1]
    assert {axes.get_images()[0].get_array().shape for axes in figure.axes} == {(48, 48, 3)}


@pytest.mark.parametrize(
    ("asked", "message"),
    [({"slices": [99]}, "slices 0 to"), ({"slices": [0], "window": Window(0, 0, 9999, 8)}, "--window")],
)
def test_what_lies_outside_is_refused(found, open_run, asked, message):
    with pytest.raises(ConfigError, match=message):
        compare_slices(found, open_run, **asked)


def test_a_box_holds_the_scores_of_all_counted_slices(found):
    dice = found.rows[0].slices[Metric("dice")]
    (axes,) = box_plots(found, Metric("dice")).axes
    quartiles = 100 * np.nanpercentile(dice, (25, 50, 75))
    shown = [np.unique(line.get_xdata()).tolist() for line in axes.lines]
    assert pytest.approx(quartiles[[0, 2]].tolist()) in shown, "the box"
    assert pytest.approx([quartiles[1]]) in shown, "the median"
    with pytest.raises(ConfigError, match="no run here has scores of slices by 'nothing'"):
        box_plots(found, Metric("nothing"))


def test_commands_write_pictures(trained, tmp_path, found):
    place = {"DABENCH_WORKSPACE": str(trained.workspace.root)}
    picture, boxes = tmp_path / "a.png", tmp_path / "b.svg"
    cell = found.rows[0].cell_id
    done = CliRunner().invoke(
        app, ["slices", cell, "--slices", "0", "--crop", "64", "--output", str(picture)], env=place
    )
    assert done.exit_code == 0, done.output
    assert Image.open(picture).size[0] > 2 * 500
    assert CliRunner().invoke(app, ["boxes", "--output", str(boxes)], env=place).exit_code == 0
    assert boxes.read_text().lstrip().startswith("<?xml")
    for wrong, message in (
        (["slices", "--slices", "first"], "'first' is no slice number"),
        (["slices", "--window", "0,0,8,8", "--crop", "64"], "at once"),
        (["boxes", "--output", "boxes.txt"], "ends in .png"),
    ):
        refused = CliRunner().invoke(app, wrong, env=place)
        assert message in str(refused.exception)


def test_another_ending_is_refused(found, tmp_path):
    with pytest.raises(ConfigError, match=r"\.png, \.pdf or \.svg"):
        save_figure(box_plots(found, Metric("dice")), tmp_path / "boxes.jpg")

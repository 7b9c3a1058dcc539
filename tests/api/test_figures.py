"""Pictures of runs: which slices and windows are shown, whose scores a box holds, and that the commands write them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from dabench.api.curves import curves, quality_against_cost
from dabench.api.figures import box_plots, check_terms, compare_slices, fullest_window, save_figure
from dabench.cli.figure import app
from dabench.errors import ConfigError, UnknownNameError
from dabench.files.workspace import Workspace
from dabench.leaderboard.gather import load
from dabench.leaderboard.metric import Metric
from dabench.runs.domains import known_domains
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
    with pytest.raises(ConfigError, match="no run here has scores per slice for 'nothing'"):
        box_plots(found, Metric("nothing"))


def test_commands_write_pictures(trained, tmp_path, found):
    place = {"DABENCH_WORKSPACE": str(trained.workspace.root)}
    picture, boxes = tmp_path / "a.png", tmp_path / "b.svg"
    cell = found.rows[0].cell_id
    done = CliRunner().invoke(
        app, ["slices", cell, "--slices", "0", "--crop", "64", "--publish", "--output", str(picture)], env=place
    )
    assert done.exit_code == 0, done.output
    assert "images of phantom-stem: drawn by dabench (Apache-2.0)" in done.output
    assert Image.open(picture).size[0] > 2 * 500
    assert CliRunner().invoke(app, ["boxes", "--output", str(boxes)], env=place).exit_code == 0
    assert boxes.read_text().lstrip().startswith("<?xml")
    for wrong, message in (
        (["slices", "--slices", "first"], "'first' is not a slice number"),
        (["slices", "--window", "0,0,8,8", "--crop", "64"], "exclude each other"),
        (["boxes", "--output", "boxes.txt"], "ends in .png"),
    ):
        refused = CliRunner().invoke(app, wrong, env=place)
        assert message in str(refused.exception)


def test_another_ending_is_refused(found, tmp_path):
    with pytest.raises(ConfigError, match=r"\.png, \.pdf or \.svg"):
        save_figure(box_plots(found, Metric("dice")), tmp_path / "boxes.jpg")


def test_pictures_of_closed_targets_are_not_for_publication(found, registry, trained):
    domains = known_domains(registry, trained.workspace)
    closed = replace(
        found, rows=tuple(replace(r, tags={**r.tags, "data": "real", "target": "lucchi"}) for r in found.rows)
    )
    told = "images of lucchi may not be shared (Research use; redistribution unclear.)"
    assert check_terms(closed, domains, publish=False) == [f"not for publication: {told}"]
    with pytest.raises(ConfigError, match="--publish: images of lucchi may not"):
        check_terms(closed, domains, publish=True)


RECORD = Path(__file__).parents[2] / "benchmarks" / "results" / "baselines-small.jsonl"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    workspace = Workspace(tmp_path_factory.mktemp("none"))
    rows = ["method=prefer-das,prompt-das"]
    return load(workspace, suite="baselines-small", conditions=rows, uri=str(RECORD))


def test_a_curve_joins_the_rows_of_a_method(recorded):
    panels = curves(recorded, "points", Metric("dice")).axes
    assert [axes.get_title() for axes in panels] == ["lucchi2vnc", "vnc2lucchi"]
    lines = {bars.get_label(): bars.lines[0] for bars in panels[1].containers}
    assert set(lines) == {"prompt-das", *(f"prefer-das {name}" for name in ("upo", "gpo", "slpo", "lpo"))}
    assert lines["prompt-das"].get_xdata().tolist() == [0, 15]
    assert lines["prompt-das"].get_ydata() == pytest.approx([66.2, 76.4], abs=0.05)
    minutes = curves(recorded, "minutes", Metric("dice")).axes[1]
    (slpo,) = [bars.lines[0] for bars in minutes.containers if bars.get_label() == "prefer-das slpo"]
    assert slpo.get_xdata() == pytest.approx([83.0], abs=0.1)


def test_the_front_is_of_cost_and_quality(recorded):
    axes = quality_against_cost(recorded, "annotation").axes[0]
    points = axes.collections[0].get_offsets()
    assert len(points) == 7
    assert points[:, 1].max() == pytest.approx(80.6, abs=0.05), "lpo"
    corners = axes.lines[0].get_xydata()
    assert [corners[0][0], corners[-1][1]] == pytest.approx([0, 80.6], abs=0.05)


def test_wrong_axes_and_costs_are_answered(recorded):
    with pytest.raises(UnknownNameError, match="unknown axis 'dose'"):
        curves(recorded, "dose", Metric("dice"))
    with pytest.raises(ConfigError, match="no finished run has aji_3d"):
        curves(recorded, "points", Metric("aji_3d"))
    with pytest.raises(UnknownNameError, match="unknown cost 'money'"):
        quality_against_cost(recorded, "money")


def test_commands_draw_from_a_record(tmp_path):
    place = {"DABENCH_WORKSPACE": str(tmp_path / "w")}
    source = ["--suite", "baselines-small", "--from", str(RECORD), "--output", str(tmp_path / "a.svg")]
    for command in (["curve", "--x", "core-hours"], ["pareto", "--cost", "training"]):
        done = CliRunner().invoke(app, [*command, *source], env=place)
        assert done.exit_code == 0, done.output
        assert (tmp_path / "a.svg").read_text().count("<svg") == 1

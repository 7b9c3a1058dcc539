"""A volume of one's own without labels, or with some: runs to a model; what is missing is said before training."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from dabench.annotation.desk import AnnotationDesk
from dabench.cli.main import app
from dabench.data.adding import NewSplit, new_card
from dabench.data.card import save_card
from dabench.data.phantom_domain import PhantomDomain
from dabench.data.volumes import read_all
from dabench.errors import ConfigError, DabenchError, DataError
from dabench.interfaces import CropSpec
from dabench.runs.config import validate_config
from dabench.runs.domains import opener
from dabench.runs.events import started
from dabench.runs.plan import describe, make_plan
from dabench.runs.task import TaskData
from tests.conftest import FEW

CLICKS = "z,y,x\n0,40,40\n1,60,50\n2,30,90\n"


@pytest.fixture
def mine(workspace, registry, tmp_path, monkeypatch) -> Path:
    """A domain ``mine``: four slices of a phantom, no labels, no test split. Gives the folder of its files."""
    monkeypatch.setenv("DABENCH_WORKSPACE", str(workspace.root))
    split = PhantomDomain("phantom-stem", size=128, slices={"train": 4, "test": 1}).open("train", opener(registry))
    tifffile.imwrite(tmp_path / "scan.tif", read_all(split.images), photometric="minisblack")
    tifffile.imwrite(tmp_path / "mito.tif", read_all(split.labels)[1:3], photometric="minisblack")
    (tmp_path / "clicks.csv").write_text(CLICKS)
    add(registry, workspace, tmp_path, labels=False)
    return tmp_path


def add(registry, workspace, folder: Path, labels: bool, split: str = "train") -> None:
    new = NewSplit("mine", split, folder / "scan.tif")
    if labels:
        new = replace(new, labels=folder / "mito.tif", labelled=(1, 3))
    card = new_card(new, (30.0, 8.0, 8.0), opener(registry))
    workspace.cards.mkdir(parents=True, exist_ok=True)
    save_card(card, workspace.cards / "mine.yaml")


def config(method: str = "prefer-das", **changes: Any) -> Any:
    values = {"method": method, "task": "phantom-human2mine", "preset": "tiny", **changes}
    if method == "prefer-das":
        values.setdefault("po", "upo")
    return validate_config(values)


def recorded(folder: Path, text: str = CLICKS, **more: Any) -> dict[str, Any]:
    path = folder / "given.csv"
    path.write_text(text)
    return {"rater": "recorded", "points_file": str(path), **more}


def refused(workspace, registry, *args: Any, **changes: Any) -> DabenchError:
    with pytest.raises(DabenchError) as caught:
        make_plan(config(*args, **changes), registry, workspace)
    assert not workspace.stages.exists()
    return caught.value


def test_a_run_on_clicks_ends_with_a_model_and_no_scores(mine, workspace):
    sets = [f"--set={name}.{key}={value}" for name, values in FEW.items() for key, value in values.items()]
    flags = ["--method", "prefer-das", "--po", "upo", "--task", "phantom-human2mine", "--preset", "tiny", *sets]
    result = CliRunner().invoke(
        app, ["run", *flags, "--points", str(mine / "clicks.csv"), "--tracker", "none"], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    said = "no scores: 'mine' has no test split, so there is nothing to score"
    assert result.output.count(said) == 2
    assert "the points of" in result.output
    assert "panels:" not in result.output
    run = next(path for path in workspace.runs.iterdir() if path.is_dir())
    end = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()][-1]
    assert (end["status"], end["reason"]) == ("ok", said.removeprefix("no scores: "))
    assert (run / "annotation" / "points.csv").read_text().count("\n") == 4
    assert not list((run / "per_slice").glob("*"))


@pytest.mark.parametrize(
    ("method", "changes", "words"),
    [
        ("prefer-das", {}, ["no labels from which points could be simulated", "--points clicks.csv", "--points 0"]),
        ("oracle", {}, ["'mine' has no labels for its train split", "'oracle'", "dabench data add mine"]),
        ("prefer-das", {"po": "lpo", "budget": {"points": 0}}, ["preferences could be simulated", "--po upo"]),
        ("source-only", {"test_points": [0.15]}, ["test points 0.15: 'mine' has no test split", "--test-points"]),
        ("source-only", {"task": "mine2phantom-human"}, ["no training labels: it cannot be a source", "SOURCE2mine"]),
    ],
)
def test_what_is_missing_is_said_before_anything_trains(mine, workspace, registry, method, changes, words):
    error = refused(workspace, registry, method, **changes)
    assert all(word in str(error) for word in words), error
    assert error.exit_code in (2, 3)


def test_given_points_choose_the_threshold_by_themselves(mine, workspace, registry):
    clicks = recorded(mine)
    plan = make_plan(config("prompt-das", budget=clicks), registry, workspace)
    assert plan.choice.selector.chooses_by_points
    assert (plan.choice.thresholds[0], len(plan.candidates)) == (0.5, 9)
    named = make_plan(config("prompt-das", budget=clicks, thresholds=[0.4, 0.6]), registry, workspace)
    assert named.choice.thresholds == (0.4, 0.6)
    # Without points, by name, and on a target with test labels the last checkpoint predicts, cut at 0.5.
    for other in (
        config("prompt-das", budget={"points": 0}),
        config("prompt-das", budget=clicks, selector="last"),
        config("prompt-das", task="human2stem", data="phantom"),
    ):
        plain = make_plan(other, registry, workspace)
        assert (plain.choice.name, plain.choice.thresholds) == ("last", (0.5,))


MANY = "# region z=1\nz,y,x,kind\n" + "".join(f"{z},{y},{y + 9},\n" for z in (0, 1) for y in range(10, 88, 6))


def test_of_a_persons_points_a_fifth_is_held_out_for_the_choice_and_the_run_says_so(mine, workspace, registry):
    """26 clicks: five choose, the others train; negative ones and regions come along, and the row says it."""
    clicks = recorded(mine, MANY + "0,5,5,negative\n")
    plan = make_plan(config("prompt-das", budget=clicks), registry, workspace)
    assert describe(plan)["points_held_out"] == plan.desk.held_out == 5
    assert sum(len(a.points) for a in plan.desk.for_stage(plan.asks).points().values()) == 21
    tags = started(plan, registry, {}, "cpu").tags
    assert (tags["points_held_out"], tags["selector"]) == (5, "point-agreement")
    # Who chooses by nothing needs none, and a setting says otherwise.
    cases = (({"selector": "last"}, {}, 0), ({}, {"held_out": 0.5}, 13), ({}, {"held_out": 0}, 0))
    for changes, budget, expected in cases:
        other = make_plan(config("prompt-das", budget={**clicks, **budget}, **changes), registry, workspace)
        assert other.desk.held_out == expected
        assert ("points_held_out" in started(other, registry, {}, "cpu").tags) == (expected > 0)
    plain = config("prompt-das", budget=clicks)
    assert plain.cell_id == config("prompt-das", budget={**clicks, "held_out": None}).cell_id
    assert plain.cell_id != config("prompt-das", budget={**clicks, "held_out": 0}).cell_id


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# region z=4\nz,y,x\n0,5,9\n", r"given\.csv: points on slice 4: the split has slices 0 to 3"),
        ("z,y,x,kind\n0,5,9,negativ\n", r"given\.csv, line 2: kind = 'negativ'"),
        ("z,y,x\n0,5,900\n", r"given\.csv: point \(x 900, y 5\) on slice 0 lies outside 128 x 128"),
        ("z,y,x\n4,5,9\n", r"given\.csv: points on slice 4: the split has slices 0 to 3"),
        ("z,y,x\n", r"given\.csv: contains no points"),
        ("a,b\n1,2\n", r"given\.csv, line 1: no column z, y, x"),
    ],
)
def test_points_that_are_not_of_the_volume(mine, workspace, registry, text, words):
    error = refused(workspace, registry, budget=recorded(mine, text))
    assert isinstance(error, DataError)
    assert re.search(words, str(error))


def test_preferences_without_a_file_and_of_another_volume(mine, workspace, registry):
    error = refused(workspace, registry, po="slpo", budget=recorded(mine))
    assert isinstance(error, ConfigError)
    assert "no file with preferences" in str(error)
    assert "--po upo" in error.mend
    line = {"who": "anna", "patch": [0, 64, 64, 128, 128], "candidates": ["a" * 64], "choice": 0, "seconds": 1}
    (mine / "p.jsonl").write_text(json.dumps(line) + "\n")
    budget = recorded(mine, preferences_file=str(mine / "p.jsonl"))
    error = refused(workspace, registry, po="slpo", budget=budget)
    assert "p.jsonl: a patch on slice 0" in str(error)
    assert "leaves the training split of 4 slices of 128 x 128" in str(error)


def test_checking_hands_out_nothing(mine, registry, workspace):
    plan = make_plan(config(budget=recorded(mine)), registry, workspace)
    assert isinstance(plan.desk, AnnotationDesk)
    assert plan.desk.ledger() == []
    assert describe(plan)["unscored"].startswith("'mine' has no test split")


def test_methods_that_need_no_label_are_planned(mine, workspace, registry):
    for method in ("source-only", "prompt-das"):
        assert make_plan(config(method, budget={"points": 0}), registry, workspace).stages


def test_a_split_called_unlabelled_is_enough(mine, workspace, registry):
    add(registry, workspace, mine, labels=False, split="unlabelled")
    plan = make_plan(config(budget=recorded(mine)), registry, workspace)
    assert plan.task.target_train.name == "unlabelled"
    assert len(plan.stages) == 3


def test_some_labelled_slices_serve_the_rater_and_the_oracle(mine, workspace, registry):
    add(registry, workspace, mine, labels=True)
    plan = make_plan(config(), registry, workspace)
    points = plan.desk.points()
    assert {z for z, answer in points.items() if len(answer.points)} == {1, 2}
    task = plan.task
    assert isinstance(task, TaskData)
    labelled = task.labelled(CropSpec(size=64, source=1, labelled="target"))
    assert labelled.images.shape == labelled.labels.shape == (2, 128, 128)
    np.testing.assert_array_equal(labelled.images.read(0), task.target_images.read(1))
    assert set(np.unique(read_all(labelled.labels))) <= {0, 1}
    assert make_plan(config("oracle"), registry, workspace).stages

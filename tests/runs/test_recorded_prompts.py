"""A person's points on the test split as prompts of a run: what they give, what is said, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dabench.api.run import configured
from dabench.errors import ConfigError, DabenchError
from dabench.leaderboard.labels import identity, labels
from dabench.leaderboard.rows import row_of
from dabench.runs.plan import make_plan
from dabench.runs.prompts import KEPT, prompts_at_test
from dabench.runs.runner import run_cell
from dabench.tracking.run_reader import read_run
from dabench.volumes.viewer.run_data import run_view_data
from dabench.volumes.viewer.targets import Opener
from tests.conftest import few

HEAD = "domain,split,z,y,x,who,kind\n"
DICE = "target_test/points_100/dice"


@pytest.fixture
def clicks(registry, workspace, tmp_path) -> Path:
    """A file of a person who clicks what a simulated one of the share 1 would, and one place that is none."""
    plan = make_plan(few("source-only", test_points=(1.0,)), registry, workspace)
    weak = plan.assembly.weak_labels()["points"]
    given = prompts_at_test(plan.task, weak)[1.0]
    rows = [f"phantom-stem,test,{z},{y!r},{x!r},anna,object" for z, a in given.items() for x, y in a.points.tolist()]
    path = tmp_path / "test.csv"
    path.write_text(HEAD + "\n".join([*rows, "phantom-stem,test,0,1,1,anna,negative"]) + "\n")
    return path


def test_recorded_prompts_are_those_that_the_model_is_shown(clicks, registry, workspace):
    """The same points, simulated and recorded: the same scores, and rows that say which they are."""
    drawn = run_cell(few("source-only", test_points=(1.0,)), registry, workspace)
    given = run_cell(few("source-only", test_points_file=clicks), registry, workspace)
    assert given.metrics[DICE] == drawn.metrics[DICE]
    assert len(list(workspace.stages.glob("*/predictions/*.tif"))) == 1, "the same prompts are the same prediction"
    assert {"target_test/dice", "target_test/points_0/dice"}.isdisjoint(given.metrics)
    assert (given.tags["test_prompts"], "test_prompts" in drawn.tags) == ("recorded", False)
    rows = [row_of(read_run(run.path)) for run in (drawn, given)]
    names = labels([identity(row.tags) for row in rows])
    said = [names[identity(row.tags)] for row in rows]
    assert ["+100% test points" in said[0], "+recorded test points" in said[1]] == [True, True], said

    kept = (given.path / KEPT).read_text()
    assert str(KEPT) in json.loads((given.path / "receipt.json").read_text())["outputs"]
    clicks.unlink()
    shown = run_view_data(given.path, registry, workspace, Opener(registry, workspace).volume)
    assert sum(map(len, shown.points.values())) == kept.count("object"), "the viewer shows the run's own copy"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD + "phantom-stem,train,0,4,4,anna,\n", ["line 2: split = 'train'", "phantom-stem, test"]),
        (HEAD + "phantom-human,test,0,4,4,anna,\n", ["line 2: domain = 'phantom-human'", "phantom-stem, test"]),
        ("z,y,x\n99,4,4\n", ["points on slice 99", "test.csv"]),
        ("z,y,x\n0,4,4000\n", ["y 4) on slice 0 lies outside"]),
        ("z,y,x,kind\n0,4,4,negative\n", ["negative clicks alone"]),
        ("# region z=0\nz,y,x\n", ["contains no points"]),
        ("z,y\n", ["no column x"]),
    ],
)
def test_what_cannot_be_test_prompts_is_refused_before_anything_trains(text, words, registry, workspace, tmp_path):
    path = tmp_path / "test.csv"
    path.write_text(text)
    with pytest.raises(DabenchError) as caught:
        make_plan(few("source-only", test_points_file=path), registry, workspace)
    assert all(word in str(caught.value) for word in words), caught.value


def test_training_points_of_the_test_split_are_refused(clicks, registry, workspace):
    """The other way round as well: a file says where its points lie, and nothing is used elsewhere."""
    budget = {"rater": "recorded", "points_file": str(clicks)}
    with pytest.raises(DabenchError, match="split = 'test', where points of phantom-stem, train are needed"):
        make_plan(few("prompt-das", budget=budget), registry, workspace)
    clicks.with_suffix(".json").write_text('{"domain": "vnc", "points": [{"z": 0, "y": 1, "x": 1}]}')
    with pytest.raises(DabenchError, match="point 0: domain = 'vnc'"):
        make_plan(few("source-only", test_points_file=clicks.with_suffix(".json")), registry, workspace)


def test_shares_and_a_file_exclude_each_other(tmp_path):
    task = {"method": "prompt-das", "task": "human2stem"}
    of_file = configured({**task, "test_points": str(tmp_path / "test.csv")})
    assert (of_file.test_points, of_file.test_points_file) == ((1.0,), tmp_path / "test.csv")
    assert configured({**task, "test_points": (0, 0.5)}).test_points == (0.0, 0.5)
    assert "test_points_file" not in configured(task).identity(), "cells of before keep their names"
    with pytest.raises(ConfigError, match="points of a file are all given"):
        configured({**task, "test_points": "test.csv"}, sets=["test_points=[0.0,0.5]"])


def test_a_file_that_is_not_there_names_what_may_stand_in_its_place(registry, workspace):
    with pytest.raises(DabenchError, match=r"(?s)0,half: no such file.*shares between 0 and 1"):
        make_plan(few("source-only", test_points_file="0,half"), registry, workspace)

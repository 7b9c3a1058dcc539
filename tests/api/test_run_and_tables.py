"""Runs, every cell's scores and boards in Python: the same as the command line's, typed."""

from __future__ import annotations

import doctest
import json
import re
import shutil
import sys
from inspect import signature
from pathlib import Path

import numpy as np
import pytest

import dabench
from dabench.api.run import RunWarning, annotation_of, configured
from dabench.api.tables import COLUMNS, DamagedRunWarning
from dabench.cli.main import main
from dabench.cli.run import run as run_command
from dabench.errors import ConfigError, MissingDataError, UnknownNameError
from dabench.files.workspace import Workspace
from dabench.runs.config import load_config, validate_config
from dabench.runs.speed import Left
from dabench.suites.spec import Suite, expand
from dabench.suites.suite_record import write_suite_record
from dabench.tracking.journal import JOURNAL
from dabench.tracking.run_reader import read_run
from tests.conftest import FEW

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
PHANTOM = {"task": "human2stem", "data": "phantom", "preset": "tiny", "tracker": "none", "progress": False}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("front-door")


@pytest.fixture(scope="module")
def done(place):
    return dabench.run(method="prefer-das", po="slpo", seed=0, options=FEW, workspace=place, **PHANTOM)


@pytest.fixture
def cli(place, monkeypatch, capsys):
    """Run a command in the same workspace."""
    monkeypatch.setenv("DABENCH_WORKSPACE", str(place))

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["dabench", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code
        return capsys.readouterr().out

    return call


# ---------------------------------------------------------------- run
def test_it_is_the_cell_that_the_command_makes(done, cli):
    """Same name, same numbers, and every stage is reused."""
    sets = [part for name, values in FEW.items() for k, v in values.items() for part in ("--set", f"{name}.{k}={v}")]
    flags = ("--task", "human2stem", "--data", "phantom", "--preset", "tiny", "--tracker", "none", "--seed", "0")
    told = json.loads(cli("run", "--method", "prefer-das", "--po", "slpo", *flags, *sets, "--json"))
    assert (told["cell_id"], told["path"]) == (done.name, str(done.path))
    assert {k: v for k, v in told["metrics"].items() if k.startswith("target_test")} == {
        k: v for k, v in done.metrics.items() if k.startswith("target_test")
    }


def test_its_scores_are_those_of_its_record(done):
    final = done.scores.query("final and split == 'test'").set_index("metric")["value"]
    assert final.to_dict() == {name: done.metrics[f"target_test/{name}"] for name in ("dice", "aji", "pq")}
    assert set(done.scores["stage"]) == {"supervised", "prompt-das", "slpo"}
    assert (done.status, done.reason) == ("ok", "")
    assert f"dice={done.metrics['target_test/dice']:.3f}" in repr(done)


def test_a_setting_of_the_method_is_a_keyword(place):
    """As ``--set METHOD.KEY=VALUE`` is, beside ``options``."""
    config = {"method": "source-only", "options": {"source-only": {"crop": 64, "batch": 2}}}
    run = dabench.run(**config, iterations=3, workspace=place, **PHANTOM)
    same = {key: value for key, value in PHANTOM.items() if key not in ("tracker", "progress")}
    assert run.name == validate_config({**config, "iterations": 3, **same}).cell_id
    assert read_run(run.path).stages[-1].updates == 3


def test_a_file_of_settings_names_the_method(place, tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("{method: source-only, task: human2stem, data: phantom, preset: tiny, seed: 4}\n")
    few = {"iterations": 2, "crop": 64, "batch": 1}
    run = dabench.run(config=file, seed=5, workspace=place, tracker="none", **few)
    assert (run.config.seed, run.config.settings) == (5, few)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"method": "prefer-dsa"}, UnknownNameError, "prefer-das"),
        ({"method": "source-only", "iterationz": 3}, ConfigError, "iterations"),
        ({"method": "source-only", "po": "slpo"}, ConfigError, "po"),
        ({"method": "source-only", "preset": "tin"}, ConfigError, "tiny"),
        ({"method": "source-only", "data": "real"}, MissingDataError, "files are missing"),
        ({}, ConfigError, "method is missing"),
    ],
)
def test_errors_are_those_of_the_command(settings, error, message, tmp_path, monkeypatch):
    monkeypatch.setenv("DABENCH_DATA", str(tmp_path))
    with pytest.raises(error, match=message):
        dabench.run(**PHANTOM | settings, workspace=tmp_path)


@pytest.mark.slow  # MLflow tries again for a minute
def test_a_store_that_fails_does_not_lose_the_run(place, tmp_path):
    (tmp_path / "folder").mkdir()
    few = {"iterations": 2, "crop": 64, "batch": 1}
    with pytest.warns(RunWarning, match="results sync"):
        run = dabench.run(
            method="source-only", workspace=place, **PHANTOM | {"tracker": f"sqlite:///{tmp_path / 'folder'}"}, **few
        )
    assert run.status == "ok"


def test_the_command_takes_what_the_function_takes():
    """One list of settings; what a method has beside, the command has two flags for, and the function any keyword."""
    of_the_call = {"config", "tracker"}
    function = (
        set(signature(dabench.run).parameters) - of_the_call - {"options", "cache", "workspace", "progress", "settings"}
    )
    command = set(signature(run_command).parameters) - of_the_call - {"sets", "no_cache", "dry_run", "as_json"}
    assert command - function == {"po", "backbone"}
    assert function <= command


def test_both_give_the_same_configuration(monkeypatch, capsys):
    given = {"method": "prefer-das", "task": "human2stem", "data": "phantom", "seed": 3, "patches": 0.2, "points": 0.3}
    function = configured(
        {**given, "test_points": [0, 0.5], "options": None, "progress": None, "settings": {"po": "slpo"}}
    )
    flags = [f"--{name}={value}" for name, value in given.items()]
    monkeypatch.setattr(
        sys, "argv", ["dabench", "run", *flags, "--test-points=0,0.5", "--po=slpo", "--dry-run", "--json"]
    )
    monkeypatch.setattr("dabench.runs.speed.training_left", lambda *_: Left(()))  # its updates are not few here
    with pytest.raises(SystemExit):
        main()
    assert json.loads(capsys.readouterr().out)["cell_id"] == function.cell_id
    assert (function.budget.patches, function.budget.points, function.settings) == (0.2, 0.3, {"po": "slpo"})


def test_points_are_a_share_or_a_file():
    assert annotation_of(0.3, None) == annotation_of("0.3", None) == {"budget.points": 0.3}
    assert annotation_of("clicks.csv", None)["budget.rater"] == "recorded"
    assert set(annotation_of(None, "answers.json")) == {"budget.preferences_file", "budget.rater"}


# ---------------------------------------------------------------- every cell
def test_every_cell_stands_in_the_table(done, place):
    table = dabench.results(place)
    assert list(table.columns) == list(COLUMNS)
    assert done.scores.equals(table.query("run == @done.name").reset_index(drop=True))
    assert set(table["run"]) == {path.name for path in Workspace(place).runs.iterdir() if path.is_dir()}
    chosen = table.query("task == 'human2stem' and po == 'slpo' and seed == 0 and final and metric == 'dice'")
    assert chosen["value"].tolist() == [done.metrics["target_test/dice"]]
    assert (table["seed"].dtype.kind, table["value"].dtype, table["test_points"].dtype) == ("i", np.float64, np.float64)


def test_a_cell_without_scores_and_a_damaged_one_are_seen(tmp_path):
    runs = Workspace(tmp_path).runs
    run = dabench.run(method="source-only", workspace=tmp_path, iterations=2, crop=64, batch=1, **PHANTOM)
    journal = run.path / JOURNAL
    kept = [line for line in journal.read_text().splitlines() if '"scored"' not in line]
    journal.write_text("\n".join(kept) + "\n")
    (row,) = dabench.results(tmp_path).to_dict("records")
    assert (row["run"], row["metric"], row["protocol"]) == (run.name, None, "das-2d@1")
    assert np.isnan(row["value"])
    (runs / "broken").mkdir()
    (runs / "broken" / JOURNAL).write_text('{"kind": "?"}\n')
    with pytest.warns(DamagedRunWarning, match="broken"):
        assert len(dabench.results(tmp_path)) == 1


def test_an_empty_workspace_has_an_empty_table(tmp_path):
    table = dabench.results(tmp_path / "nowhere")
    assert (len(table), list(table.columns)) == (0, list(COLUMNS))
    assert len(dabench.board(workspace=tmp_path / "nowhere").to_frame()) == 0
    assert not (tmp_path / "nowhere").exists()


# ---------------------------------------------------------------- boards
def test_a_board_is_the_commands(done, place, cli):
    boards = dabench.board(workspace=place)
    told = json.loads(cli("leaderboard", "--json"))["boards"]
    frame = boards.to_frame()
    assert len(boards) == len(told)
    assert frame["entry"].tolist() == [s["entry"] for one in told for s in one["standings"]]
    means = [s["overall"]["mean"] if s["overall"] else None for one in told for s in one["standings"]]
    assert frame["mean"].tolist() == pytest.approx(means)
    assert frame.loc[frame["bracket"] == "upper", "rank"].isna().all()
    assert boards.to_markdown() == cli("leaderboard", "--markdown")
    assert "<html" in boards.to_html()


def test_a_board_can_be_narrowed(done, place):
    frame = dabench.board(by="pq", conditions=["method=prefer-das"], workspace=place).to_frame()
    assert frame["metric"].tolist() == ["pq"]
    assert frame["human2stem"].tolist() == [done.metrics["target_test/pq"]]
    with pytest.raises(UnknownNameError, match="prefer-das"):
        dabench.board(conditions=["method=prefer"], workspace=place)
    with pytest.raises(UnknownNameError, match="suite"):
        dabench.board(suite="smok", workspace=place)


# ---------------------------------------------------------------- the page
def test_every_line_of_the_page_runs(done, tmp_path, monkeypatch):
    """As it stands, with few updates a stage, stages trained before, and a suite whose one cell is the page's run."""
    monkeypatch.setenv("DABENCH_WORKSPACE", str(tmp_path))
    monkeypatch.setattr(
        "dabench.api.run.load_config", lambda given, *rest: load_config({**given, "options": FEW}, *rest)
    )
    shutil.copytree(done.workspace.stages, tmp_path / "stages")
    cell = {name: value for name, value in PHANTOM.items() if name in ("task", "data", "preset")} | {"options": FEW}
    suite = Suite(name="smoke", settings={"method": "prefer-das", "po": "slpo", **cell}, axes={"seed": [0]})
    write_suite_record(Workspace(tmp_path), suite, expand(suite))
    lines = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL))
    page = doctest.DocTestParser().get_doctest(lines, {}, PAGE.name, str(PAGE), 0)
    found = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE).run(page)
    assert found.attempted >= 10
    assert not found.failed

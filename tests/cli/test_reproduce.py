"""``dabench reproduce``, from the command line."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from dabench.cli.main import app
from dabench.errors import ConfigError, DataError, UnknownNameError

#: A table of a row that runs in seconds and one that cannot run.
TOY = """
name: toy
title: A toy table
settings:
  data: phantom
  preset: tiny
  options:
    source-only: {iterations: 2, crop: 64, batch: 1}
    phantom-human: {size: 96, train_slices: 1, test_slices: 1}
    phantom-stem: {size: 96, train_slices: 1, test_slices: 1}
axes: {task: [human2stem], seed: [0]}
rows:
  outside: {unavailable: no plugin}
  start: {method: source-only}
published:
  source: Nobody, Table 1
  metrics: [dice]
  values: {outside: {human2stem: [10.0]}, start: {human2stem: [70.0]}}
"""


@pytest.fixture
def toy(tmp_path):
    path = tmp_path / "toy.yaml"
    path.write_text(TOY)
    return path


def call(tmp_path, *arguments):
    env = {"DABENCH_WORKSPACE": str(tmp_path / "workspace"), "DABENCH_DATA": str(tmp_path / "data")}
    return CliRunner().invoke(app, ["reproduce", *map(str, arguments)], env=env)


def test_runs_and_compares(tmp_path, toy):
    done = call(tmp_path, toy, "--jobs", "1", "--tracker", "none", "--json")
    assert done.exit_code == 0, done.output
    (table,) = json.loads(done.output)
    start = next(line for line in table["lines"] if line["row"] == "start")
    assert start["ours"]["n"] == 1
    assert start["difference"] == pytest.approx(start["ours"]["mean"] - 70)
    assert table["missing"] == []
    assert table["comparable"]
    shown = call(tmp_path, toy, "--no-run")
    assert "ours:   phantom data, preset tiny, inference hann, das-2d@1, seeds 0" in shown.output
    line = next(line for line in shown.output.splitlines() if line.startswith("start"))
    assert line.split() == ["start", f"({start['ours']['mean']:.1f})", "70.0", f"{start['difference']:+.1f}", "-", "-"]


def test_recorded_results_compare_as_the_runs_did_and_need_no_data(tmp_path, toy):
    made = call(tmp_path, toy, "--jobs", "1", "--tracker", "none", "--markdown")
    env = {"DABENCH_WORKSPACE": str(tmp_path / "workspace")}
    path = str(tmp_path / "toy.jsonl")
    told = CliRunner().invoke(app, ["results", "export", "--suite", "toy", "--output", path], env=env)
    assert told.output == f"1 runs: {path}\n", told.exception
    elsewhere = call(tmp_path / "elsewhere", toy, "--from", path, "--markdown")
    assert elsewhere.output == made.output
    board = ["--workspace", str(tmp_path / "elsewhere"), "leaderboard", "--from", path, "--suite", "toy", "--json"]
    (found,) = json.loads(CliRunner().invoke(app, board).output)["boards"]
    assert [standing["entry"] for standing in found["standings"]] == ["start"]
    assert isinstance(call(tmp_path, toy, "--from", tmp_path / "none.jsonl").exception, DataError)


def test_without_data_theirs_are_shown_and_the_files_are_named(tmp_path):
    done = call(tmp_path, "prompt-das/table-3", "--tracker", "none")
    assert done.exit_code == 3, done.output
    assert "Prompt-DAS + 15 % of the test points" in done.output
    assert "93.5" in done.output
    assert "data missing: Prompt-DAS (human2rat, seeds 0 1 2): files are missing: " in done.output
    assert "about the published numbers" in done.output


def test_other_tasks_and_presets_are_said(tmp_path):
    done = call(
        tmp_path, "prefer-das/table-3", *("--data", "phantom", "--preset", "tiny"), "--tasks", "stem2rat", "--no-run"
    )
    assert done.exit_code == 0, done.output
    assert "data phantom against real, preset tiny against paper" in done.output
    assert "mean gain over tasks (ours: stem2rat; theirs: human2rat rat2human human2lucchi++)" in done.output
    assert "not run yet: GPO single, GPO multiple, LPO single, LPO multiple (stem2rat, seeds 0 1 2)" in done.output


def test_markdown_and_rows(tmp_path):
    options = ("--rows", "Model I, Prompt-DAS", "--seeds", "0", "--no-run", "--markdown")
    done = call(tmp_path, "prefer-das/table-2", *options)
    assert done.exit_code == 0, done.output
    assert "| Prompt-DAS | - | 93.3 | - | - | +4.7 |" in done.output
    assert "Model II" not in done.output.split("#### About")[0]


def test_dry_run_plans_alone(tmp_path, toy):
    done = call(tmp_path, toy, "--dry-run", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["states"] == {"new": 1}
    assert not (tmp_path / "workspace" / "runs").exists()


def test_what_cannot_be_reproduced(tmp_path, toy):
    assert isinstance(call(tmp_path, "prefer-das/table-9").exception, UnknownNameError)
    toy.write_text(TOY.split("published:", 1)[0])
    error = call(tmp_path, toy).exception
    assert isinstance(error, ConfigError)
    assert "dabench suite run" in str(error)

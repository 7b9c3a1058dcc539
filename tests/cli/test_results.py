"""``dabench results`` and ``dabench ui``."""

from __future__ import annotations

import json
import socket
import sys

import pytest
import typer
from typer.testing import CliRunner

from dabench.cli.results import app
from dabench.cli.ui import ui
from dabench.errors import ConfigError, DataError
from dabench.files.workspace import Workspace
from dabench.tracking import CellFinished, CellStarted, Cost, Journal, Scored

TAGS = {"task": "human2stem", "method": "prefer-das", "po": "slpo", "data": "phantom", "preset": "tiny", "seed": 3}
BUDGET = {"points": 0.15, "patches": 0.2}


def write_run(runs, cell_id, dice=0.8123, status="ok"):
    journal = Journal(runs / cell_id)
    journal.append(CellStarted(cell_id, {**TAGS, **BUDGET, "protocol": "das-2d@1"}, {"seed": 3}, stages=("slpo",)))
    if status == "ok":
        metrics = {"dice": dice, "aji": 0.7, "pq": 0.6}
        journal.append(Scored("slpo", "test", "das-2d@1", "fast", 0.0, metrics, 4))
        journal.append(Cost(75.4))
    journal.append(CellFinished(status, "" if status == "ok" else "loss is NaN", 12.0))


@pytest.fixture
def runs(tmp_path):
    write_run(tmp_path / "runs", "one")
    write_run(tmp_path / "runs", "two", status="failed")
    return tmp_path / "runs"


def call(place, *arguments, program=app):
    return CliRunner().invoke(program, [str(a) for a in arguments], env={"DABENCH_WORKSPACE": str(place)})


def test_table_shows_identity_scores_and_cost(runs):
    result = call(runs.parent, "ls")
    assert result.exit_code == 0
    line = next(line for line in result.output.splitlines() if "0.8123" in line)
    assert line.split() == [
        *("human2stem", "(phantom)", "prefer-das", "slpo", "tiny", "15%", "/", "20%", "3", "ok"),
        *("0.8123", "0.7000", "0.6000", "75", "12"),
    ]
    assert "failed" in result.output


def test_a_persons_file_is_told_by_its_points(runs):
    journal = Journal(runs / "clicked")
    given = {"budget": {"points_file": "clicks.csv"}}
    journal.append(CellStarted("clicked", {**TAGS, **BUDGET, "task": "human2mine"}, given, stages=("slpo",)))
    journal.append(Cost(400.8, points=167))
    journal.append(CellFinished("ok"))
    line = next(line for line in call(runs.parent, "ls").output.splitlines() if "human2mine" in line)
    assert "167 points / 20%" in line


def test_json_has_every_tag_and_metric(runs):
    found = json.loads(call(runs.parent, "ls", "--json").output)
    one = found["runs"][0]
    assert one["tags"]["seed"] == "3"
    assert one["metrics"]["target_test/dice"] == 0.8123
    assert found["runs"][1]["reason"] == "loss is NaN"
    assert found["damaged"] == []
    assert str(runs) not in json.dumps(found)


def test_empty_workspace_says_how_to_begin(tmp_path):
    result = call(tmp_path, "ls")
    assert result.exit_code == 0
    assert "dabench run" in result.output


def test_damaged_run_is_named_and_the_others_listed(runs):
    (runs / "two" / "journal.jsonl").write_text("{\n{\n")
    result = call(runs.parent, "ls")
    assert result.exit_code == 0
    assert "0.8123" in result.output
    assert "two/journal.jsonl, line 1" in result.stderr


def test_sync_twice_then_damage(runs, tmp_path):
    store = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    first = call(runs.parent, "sync", "--to", store)
    assert "2 written, 0 unchanged, 0 damaged" in first.output
    assert "0 written, 2 unchanged" in call(runs.parent, "sync", "--to", store).output
    (runs / "two" / "journal.jsonl").write_text("{\n{\n")
    result = call(runs.parent, "sync", "--to", store)
    assert isinstance(result.exception, DataError)
    assert "two/journal.jsonl" in str(result.exception)


def test_ui_dry_run_prints_the_command(tmp_path):
    program = typer.Typer()
    program.command()(ui)
    result = call(tmp_path, "--dry-run", "--port", 5123, program=program)
    uri = Workspace(tmp_path).tracking_uri
    assert result.output.startswith(f"{sys.executable} -m mlflow ui --backend-store-uri {uri}")
    assert "--port 5123" in result.output
    assert not (tmp_path / "mlflow.db").exists()


def test_ui_refuses_a_port_in_use(tmp_path):
    program = typer.Typer()
    program.command()(ui)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = call(tmp_path, "--port", port, program=program)
    assert isinstance(result.exception, ConfigError)
    assert f"port {port} is in use" in str(result.exception)

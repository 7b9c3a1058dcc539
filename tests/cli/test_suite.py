"""``dabench suite``: the plan, a run with a failing cell, the status afterwards, wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from dabench.cli.suite import app
from dabench.errors import UnknownNameError
from dabench.tracking.recorded import read_recorded
from dabench.tracking.run_reader import read_run
from tests.conftest import FEW, PHANTOMS

SUITE = {
    "name": "small/one",
    "title": "one good, one bad",
    "settings": {"data": "phantom", "preset": "tiny", "task": "human2stem", "options": PHANTOMS},
    "axes": {"seed": [0]},
    "rows": {
        "good": {"method": "source-only", "options": {"source-only": FEW["source-only"]}},
        "bad": {"method": "source-only", "options": {"source-only": FEW["source-only"] | {"lr": 1e30, "clip": 0}}},
    },
    "exclude": [{"row": "bad", "seed": 1, "why": "once is enough"}],
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "suite.yaml"
    path.write_text(yaml.safe_dump(SUITE, sort_keys=False))
    return path


def call(tmp_path: Path, *arguments: object) -> Result:
    place = {"DABENCH_WORKSPACE": str(tmp_path / "workspace")}
    return CliRunner().invoke(app, [str(a) for a in arguments], env=place)


def test_dry_run_counts_cells_and_stages_and_runs_nothing(file, tmp_path):
    done = call(tmp_path, "run", file, "--seeds", "0,1", "--dry-run", "--json")
    plan = json.loads(done.output)
    assert plan["states"] == {"new": 3, "excluded": 1}
    assert plan["stages"] == {"distinct": 3, "alone": 3, "trained": 0}
    assert plan["updates"] == {"shared": 18, "alone": 18}
    assert plan["stages_of_unknown_speed"] == 3
    assert not (tmp_path / "workspace" / "runs").exists()
    text = call(tmp_path, "plan", file, "--seeds", "0,1").output
    assert "small/one: 4 cells (3 new, 1 excluded)" in text
    assert "excluded: human2stem s1 bad: once is enough" in text


def test_a_failed_cell_is_a_row_and_the_exit_code(file, tmp_path):
    done = call(tmp_path, "run", file, "--jobs", "2")
    assert done.exit_code == 1, done.output
    assert "1 ok, 1 failed" in done.output
    assert "compare:  dabench leaderboard --suite small/one" in done.output
    (good, bad) = json.loads(call(tmp_path, "status", file, "--json").output)["cells"]
    assert (good["row"], good["status"], bad["row"], bad["status"]) == ("good", "ok", "bad", "failed")
    assert "DivergedError" in bad["reason"]
    run = read_run(tmp_path / "workspace" / "runs" / good["cell_id"])
    assert run.suite == "small/one"
    stored = call(tmp_path, "status", file)
    assert stored.exit_code == 1

    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path / 'workspace' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("dabench/small/one")
    leaves = [r for r in client.search_runs([experiment.experiment_id]) if "dabench.cell_id" in r.data.tags]
    assert {r.data.tags["dabench.status"] for r in leaves} == {"ok", "failed"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("run", "no-such-suite"), "unknown suite 'no-such-suite'"),
        (("run", "{file}", "--executor", "pbs"), "unknown executor 'pbs'"),
        (("run", "{file}", "--executor", "ray", "--share", "disk"), "unknown --share 'disk'"),
    ],
)
def test_wrong_names_are_answered(file, tmp_path, arguments, says):
    done = call(tmp_path, *(a.format(file=file) for a in arguments))
    assert isinstance(done.exception, UnknownNameError)
    assert says in str(done.exception)


def test_some_rows_are_planned_and_a_wrong_name_lists_them(file, tmp_path):
    plan = call(tmp_path, "plan", file, "--rows", "bad", "--seeds", "0,1").output
    assert "small/one: 2 cells (1 new, 1 excluded)" in plan
    (cell,) = json.loads(call(tmp_path, "status", file, "--rows", "good", "--json").output)["cells"]
    assert cell["row"] == "good"
    wrong = call(tmp_path, "run", file, "--rows", "good,bed", "--dry-run").exception
    assert isinstance(wrong, UnknownNameError)
    assert str(wrong) == "unknown row of suite small/one 'bed'.\n  Did you mean 'bad'? Available: bad, good"


def test_seeds_have_to_be_numbers(file, tmp_path):
    done = call(tmp_path, "plan", file, "--seeds", "one")
    assert done.exit_code == 2
    assert "whole numbers" in done.output


def test_a_record_counts_as_done_in_an_empty_workspace(file, tmp_path):
    record, elsewhere = tmp_path / "one.jsonl", tmp_path / "elsewhere"
    done = call(tmp_path, "run", file, "--jobs", "1", "--tracker", "none", "--record", record)
    assert done.exit_code == 1, "the bad row fails, and is not recorded"
    (run,) = read_recorded(record)
    assert run.tags["row"] == "good"
    found = json.loads(call(elsewhere, "status", file, "--record", record, "--json").output)
    assert found["counts"] == {"recorded": 1, "new": 1}
    plan = call(elsewhere, "plan", file, "--record", record).output
    assert "small/one: 2 cells (1 recorded, 1 new)" in plan
    assert "stages whose kind has not run here" not in plan, "the record tells the speed of the stage"
    report = call(elsewhere, "report", file, "--from", record)
    assert report.exit_code == 0, report.output
    assert "1 of 2 cells are recorded (seed 0: 1 of 2)." in report.output
    assert "#### Cost" in report.output
    some = call(elsewhere, "report", file, "--from", record, "--rows", "good")
    assert "1 of 1 cells are recorded" in some.output, some.exception

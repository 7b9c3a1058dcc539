"""What a workspace takes, counted once; what nothing refers to, and nothing else, goes."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dabench.api.disk import clean, leftovers, usage
from dabench.cli.main import app
from dabench.files.atomic import write_json, write_text
from dabench.files.workspace import Workspace
from dabench.runs.config import validate_config
from dabench.suites.graph import CellNode, StageNode, StartedSuite, SuiteGraph, write_started
from dabench.suites.spec import Suite, SuiteCell
from dabench.suites.suite_record import write_suite_record
from dabench.tracking.links import same_file
from dabench.tracking.lock import exclusive
from dabench.tracking.mlflow_writer import MlflowWriter
from dabench.tracking.run_reader import read_run
from tests.tracking.made_up_run import write_run


def stage(workspace: Workspace, key: str, size: int, finished: bool = True) -> Path:
    path = workspace.stages / key
    write_text(path / "model.safetensors", "x" * size)
    if finished:
        write_json(path / "stage.json", {})
    return path


@pytest.fixture
def filled(workspace: Workspace) -> Workspace:
    """A finished run with its stages, a failed one, a failed one of a suite, stages of nobody and of a suite's plan."""
    write_run(workspace.runs, "good")
    write_run(workspace.runs, "bad", status="failed")
    config = validate_config({"method": "source-only", "task": "human2stem", "data": "phantom"})
    write_run(workspace.runs, config.cell_id, status="oom")
    suite = Suite.model_validate({"name": "two/rows", "settings": config.model_dump(mode="json")})
    node = CellNode(SuiteCell("row", {}, config), "new", keys=("planned",))
    write_suite_record(workspace, suite, [node.cell])
    graph = SuiteGraph(suite, (node,), {"planned": StageNode("planned", "s", 1, "", None)})
    write_started(workspace, StartedSuite(graph, "local", 0.0))
    for key in ("key-prompt-das", "key-slpo", "planned"):
        stage(workspace, key, 1000)
    write_text(stage(workspace, "key-prompt-das", 1000) / "memory" / "x", "m" * 500)
    stage(workspace, "nobody", 3000)
    stage(workspace, "half", 2000, finished=False)
    return workspace


def names(found) -> list[str]:
    return [one.path.name for one in found]


def test_what_nothing_refers_to_goes_and_nothing_else(filled):
    before = {p for p in filled.root.rglob("*") if p.is_file()}
    assert leftovers(filled, 1) == [], "nothing is a day old"
    found = leftovers(filled, 0)
    assert sorted(names(found)) == ["bad", "half", "memory", "nobody"]
    assert [one.bytes for one in found] == sorted((one.bytes for one in found), reverse=True)
    reasons = {one.path.name: one.why for one in found}
    assert reasons["half"].endswith("half-trained")
    assert reasons["bad"].startswith("failed")
    assert {p for p in filled.root.rglob("*") if p.is_file()} == before, "looking deletes nothing"
    assert clean(found) == sum(one.bytes for one in found)
    assert names(leftovers(filled, 0)) == []
    gone = {p.relative_to(filled.root).parts[1] for p in before if not p.exists()}
    assert gone == {"bad", "half", "nobody", "key-prompt-das"}
    assert (filled.stages / "key-prompt-das" / "model.safetensors").is_file()


def test_age_is_that_of_the_newest_file(filled):
    old = time.time() - 10 * 86400
    for path in [p for p in (filled.stages / "nobody").iterdir()]:
        os.utime(path, (old, old))
    assert names(leftovers(filled, 7)) == ["nobody"]
    write_text(filled.stages / "nobody" / "new", "")
    assert names(leftovers(filled, 7)) == []


def test_what_a_process_holds_stays(filled):
    with exclusive(filled.stages / "nobody.lock"), exclusive(filled.runs / "bad.lock"):
        assert sorted(names(leftovers(filled, 0))) == ["half"]
    found = leftovers(filled, 0)
    with exclusive(filled.stages / "nobody.lock"):
        clean(found)
    assert (filled.stages / "nobody").is_dir()


def test_a_run_that_cannot_be_read_stops_all(filled):
    journal = filled.runs / "good" / "journal.jsonl"
    journal.write_text("nonsense\n" + journal.read_text())
    with pytest.raises(Exception, match="journal"):
        leftovers(filled, 0)


def test_mlflow_has_second_names_which_a_move_keeps_and_old_copies_become_them(filled, tmp_path):
    MlflowWriter(filled.tracking_uri).write(read_run(filled.runs / "good"))
    (picture,) = filled.artifacts.rglob("z000.png")
    assert picture.samefile(filled.runs / "good" / "panels" / "z000.png")
    parts = {one.part: one.bytes for one in usage(filled)}
    assert "MLflow: artifacts of its own" not in parts

    moved = Workspace(tmp_path / "moved")
    shutil.copytree(filled.root, moved.root)  # copies file by file: names come apart
    own = sum(p.stat().st_size for p in moved.artifacts.rglob("*") if p.is_file())
    assert {one.part: one.bytes for one in usage(moved)}["MLflow: artifacts of its own"] == own
    copies = [one for one in leftovers(moved, 0) if one.same]
    assert sum(one.bytes for one in copies) == own
    assert clean(copies) == own
    assert [one for one in leftovers(moved, 0) if one.same] == []
    (picture,) = moved.artifacts.rglob("z000.png")
    assert picture.read_text() == "not really a picture"
    shutil.rmtree(moved.artifacts)
    assert (moved.runs / "good" / "panels" / "z000.png").is_file()


def test_a_file_system_without_second_names_gets_copies(filled, monkeypatch):
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("no links")))
    assert not same_file(filled.runs / "good" / "config.json", filled.root / "x" / "config.json")
    MlflowWriter(filled.tracking_uri).write(read_run(filled.runs / "good"))
    (picture,) = filled.artifacts.rglob("z000.png")
    assert not picture.samefile(filled.runs / "good" / "panels" / "z000.png")
    assert picture.read_text() == "not really a picture"


def test_usage_adds_up_and_names_suites(filled):
    found = {one.part: one for one in usage(filled)}
    everything = sum(p.stat().st_size for p in filled.root.rglob("*") if p.is_file())
    assert sum(one.bytes for one in found.values()) == everything
    assert found["suite two/rows"].count == 1
    assert found["other runs"].count == 2
    assert found["stages: predictions and memory"].bytes == 500
    assert found["stages: weights and the rest"].count == 5


def test_the_commands(filled, monkeypatch):
    monkeypatch.setenv("DABENCH_WORKSPACE", str(filled.root))
    told = json.loads(CliRunner().invoke(app, ["disk", "--json"]).stdout)
    assert told["bytes"] == sum(part["bytes"] for part in told["parts"]) > 7000
    assert "suite two/rows" in CliRunner().invoke(app, ["disk"]).stdout
    assert "nothing to clean" in CliRunner().invoke(app, ["clean"]).stdout
    ask = ["clean", "--older-than", "0"]
    for arguments, answer in ((["--dry-run"], "y\n"), ([], "n\n"), (["--json"], "")):
        done = CliRunner().invoke(app, [*ask, *arguments], input=answer)
        assert "nobody" in done.stdout
        assert (filled.stages / "nobody").is_dir(), arguments
    done = CliRunner().invoke(app, [*ask, "--yes"])
    assert "MB freed" in done.stdout
    assert not (filled.stages / "nobody").exists()

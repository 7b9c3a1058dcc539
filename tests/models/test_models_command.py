"""``dabench models`` as a user types it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from dabench.cli.models import app
from dabench.errors import UnknownNameError
from dabench.models.listing import list_models
from dabench.training.store import StageFolder
from tests.models.forged_runs import forge, rewrite, settings


@pytest.fixture
def run(registry, empty, monkeypatch):
    """A workspace with one run."""
    monkeypatch.setenv("DABENCH_WORKSPACE", str(empty.root))
    return forge(settings(), registry, empty).name


def dabench(*arguments):
    done = CliRunner().invoke(app, arguments)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def test_export_then_list_and_show(run, empty):
    said = dabench("export", run)
    assert f"wrote {empty.root}/models/{run}.safetensors" in said
    listed = json.loads(dabench("ls", "--json"))
    assert [(one["kind"], one["score"], one["problem"]) for one in listed] == [("run", 0.5, ""), ("file", 0.5, "")]
    assert run in dabench("ls")
    page = dabench("show", f"{empty.root}/models/{run}.safetensors")
    assert "simulated from labels (points 0.15, patches 0)" in page
    assert "dice 0.5000  (target test split, das-2d@1, fast)" in page
    assert "50 x 8 x 8 nm" in page
    assert json.loads(dabench("show", run, "--json")) == json.loads(
        dabench("show", f"{empty.root}/models/{run}.safetensors", "--json")
    )


def test_export_for_other_programs(run, tmp_path):
    said = dabench("export", run, "--format", "torchscript", "--output", str(tmp_path / "m.pt"))
    assert "tiles of phantom-human" in said
    assert (tmp_path / "m.pt").is_file()


def test_another_source_of_a_plugin_is_said_in_a_line(run, empty):
    dabench("export", run)
    path = empty.root / "models" / f"{run}.safetensors"
    card = json.loads(dabench("show", str(path), "--json"))
    rewrite(path, parts=[*card["parts"][:-1], {**card["parts"][-1], "source": "0" * 64}])
    assert "warning: " in dabench("export", str(path), "--output", str(empty.root / "again.safetensors"))


def test_what_cannot_be_loaded_is_listed_with_its_reason(run, registry, empty):
    (empty.root / "models").mkdir()
    (empty.root / "models" / "broken.safetensors").write_bytes(b"nothing")
    folder = StageFolder(empty.stages, f"key-{run}")
    folder.weights.unlink()
    problems = {one.name: one.problem for one in list_models(empty)}
    assert problems[run] == "its weights are not here"
    assert "truncated" in problems["broken"]


def test_nothing_to_list(empty, monkeypatch):
    monkeypatch.setenv("DABENCH_WORKSPACE", str(empty.root))
    assert "no trained models" in dabench("ls")
    with pytest.raises(UnknownNameError):
        dabench("show", "nothing")

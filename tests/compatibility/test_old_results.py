"""Results that version 0.1.0 left behind, before the layout was redrawn: read, verified, ranked and taken over."""

from __future__ import annotations

import json
import lzma
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from typer.testing import CliRunner

from dabench.cli.main import app
from dabench.files.workspace import Workspace

OLD = Path(__file__).parent / "old"
BUNDLE = OLD / "runs.dabench.zip"
#: Dice of the last stage without prompts, as MLflow and the table of that version had them.
DICE = {
    "source-only-human2stem-phantom-tiny-s0": 0.4721,
    "source-only-human2stem-phantom-tiny-s1": 0.5573,
    "prefer-das-slpo-human2stem-phantom-tiny-s0": 0.7015,
    "prefer-das-slpo-human2stem-phantom-tiny-s1": 0.7634,
}

Call = Callable[..., str]


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    """A workspace with the old runs, their suite and their MLflow store as they lay in theirs."""
    workspace = Workspace(tmp_path / "workspace")
    with zipfile.ZipFile(BUNDLE) as bundle:
        bundle.extractall(workspace.root, [n for n in bundle.namelist() if n.startswith("runs/")])
    suite = workspace.root / "suites" / "old"
    suite.mkdir(parents=True)
    (suite / "manifest.json").write_text((OLD / "manifest.json").read_text())
    (workspace.root / "mlflow.db").write_bytes(lzma.decompress((OLD / "mlflow.db.xz").read_bytes()))
    return workspace


@pytest.fixture
def call(place: Workspace) -> Call:
    """A command in that workspace that has to succeed; what it printed."""

    def run(*arguments: str | Path) -> str:
        found = CliRunner().invoke(
            app, ["--workspace", str(place.root), *map(str, arguments)], env={"DABENCH_WORKSPACE": str(place.root)}
        )
        assert found.exit_code == 0, found.output
        return found.output

    return run


def short(cell_id: str) -> str:
    return cell_id.rpartition("-")[0]


def test_old_runs_are_read(call: Call) -> None:
    runs = json.loads(call("results", "ls", "--json"))["runs"]
    assert {short(r["cell_id"]): round(r["metrics"]["target_test/dice"], 4) for r in runs} == DICE
    assert {r["status"] for r in runs} == {"ok"}


def test_old_runs_verify(call: Call) -> None:
    found = json.loads(call("verify", "--suite", "old", "--json"))
    assert [(r["ok"], r["verdict"]) for r in found["runs"]] == [(True, "other code")] * 4
    again = [c for r in found["runs"] for c in r["checks"] if c["name"] == "scores"]
    assert all(c["state"] == "ok" and "computed again" in c["lines"][0] for c in again)


def test_old_runs_are_ranked_as_they_were(call: Call) -> None:
    """Every number that the old board had; the new one may have more. Since then source-only is ranked and tested."""
    old, new = json.loads((OLD / "board.json").read_text()), json.loads(call("leaderboard", "--suite", "old", "--json"))
    apart = re.compile(r"/(differences|notes|figures)|/standings/\d+/(rank|groups|pareto)")
    found = [line for line in missing(old, new) if not apart.search(line)]
    assert not found, found


def missing(old: Any, new: Any, place: str = "") -> list[str]:
    """Where a value of the old document is not in the new one."""
    if isinstance(old, dict):
        gone = [f"{place}/{key}" for key in old if key not in new]
        return gone + [m for key in old if key in new for m in missing(old[key], new[key], f"{place}/{key}")]
    if isinstance(old, list):
        if len(old) != len(new):
            return [f"{place}: {len(old)} -> {len(new)}"]
        return [m for i, (a, b) in enumerate(zip(old, new, strict=True)) for m in missing(a, b, f"{place}/{i}")]
    same = old == pytest.approx(new) if isinstance(old, float) else old == new
    return [] if same else [f"{place}: {old} -> {new}"]


def test_an_old_bundle_is_taken_over(call: Call, place: Workspace) -> None:
    shutil.rmtree(place.runs)
    assert "em-lab" in call("results", "import", BUNDLE)
    assert [r["origin"] for r in json.loads(call("results", "ls", "--json"))["runs"]] == ["em-lab"] * 4


def test_an_old_store_is_brought_up_to_date_and_nothing_is_there_twice(call: Call, place: Workspace) -> None:
    call("results", "sync")
    client = mlflow.MlflowClient(place.tracking_uri)
    experiment = client.get_experiment_by_name("dabench/old")
    runs = client.search_runs([experiment.experiment_id])
    cells = [r for r in runs if r.data.tags["dabench.kind"] == "cell"]
    found = {short(r.data.tags["dabench.cell_id"]): round(r.data.metrics["target_test/dice"], 4) for r in cells}
    assert (len(cells), found) == (4, DICE)
    assert len(runs) - len(cells) == 2

"""prompt-das where it really collapses: with the guard its start predicts, and everybody is told; without it, nobody.

The configuration is frozen: whatever becomes of the method, this learning rate ruins it, and the guard must see that.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
from typer.testing import CliRunner

from dabench.cli.main import app
from dabench.files.workspace import Workspace
from dabench.tracking import RunRecord
from dabench.tracking.events import Guarded
from dabench.tracking.journal import read_journal
from dabench.tracking.run_reader import read_run

pytestmark = pytest.mark.slow
#: A source model that finds mitochondria, then some seventy times the learning rate: foreground everywhere.
SETTINGS = {
    "phantom-human": {"size": 128, "train_slices": 4, "test_slices": 1},
    "phantom-stem": {"size": 128, "train_slices": 4, "test_slices": 2},
    "source-only": {"iterations": 80, "crop": 64, "batch": 4},
    "prompt-das": {"iterations": 20, "crop": 64, "batch": 2, "lr": 0.02},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which both runs share what they train."""
    return tmp_path_factory.mktemp("collapse")


@pytest.fixture
def run(place: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[str, RunRecord]]:
    """Run it as a user would: what is printed, and the record."""
    monkeypatch.setenv("DABENCH_WORKSPACE", str(place))

    def call(guard: str) -> tuple[str, RunRecord]:
        sets = [f"--set={name}.{key}={value}" for name, values in SETTINGS.items() for key, value in values.items()]
        flags = ["--method", "prompt-das", "--task", "human2stem", "--data", "phantom", "--preset", "tiny"]
        found = CliRunner().invoke(app, ["run", *flags, *sets, f"--set=guard={guard}"], catch_exceptions=False)
        assert found.exit_code == 0, found.output
        (path,) = re.findall(r"^run: +(.+)$", found.output, re.MULTILINE)
        return found.output, read_run(Path(path))

    return call


def test_without_the_guard_dice_falls_and_nobody_says_so(run) -> None:
    output, record = run("off")
    start, end = (record.metrics[f"stage/{name}/dice"] for name in ("supervised", "prompt-das"))
    assert record.metrics["target_test/dice"] == end < start / 3
    assert start > 0.3
    assert "fell" not in output


def test_with_the_guard_the_start_predicts_and_everybody_is_told(run, place) -> None:
    output, record = run("fall-back")
    assert record.metrics["target_test/dice"] == record.metrics["stage/supervised/dice"] > 0.3
    assert record.final == "supervised"
    told = record.tags["guard"]
    assert told.startswith("fell back to supervised: prompt-das fell behind supervised: foreground went from ")
    assert told in output, "the terminal"
    (guarded,) = [event for event in read_journal(record.path / "journal.jsonl") if isinstance(event, Guarded)]
    assert (guarded.word, guarded.used) == ("fell back", "supervised")
    store = mlflow.MlflowClient(Workspace(place).tracking_uri)
    (cell,) = [
        one
        for experiment in store.search_experiments()
        for one in store.search_runs([experiment.experiment_id], f"tags.`dabench.cell_id` = '{record.path.name}'")
    ]
    assert cell.data.tags["dabench.guard"] == told
    assert cell.data.metrics["target_test/dice"] == pytest.approx(record.metrics["target_test/dice"])

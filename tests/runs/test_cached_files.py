"""Files that a run would reuse are used as they were written or not at all: other ones are reported and made again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from dabench.api.progress import PlainDisplay
from dabench.api.run import Run
from dabench.components.registry import Registry
from dabench.files.digests import digest_file
from dabench.files.private import named
from dabench.files.workspace import Workspace
from dabench.interfaces.observer import Observer
from dabench.runs.runner import run_cell
from dabench.tracking.record import RunRecord
from dabench.tracking.run_reader import read_run
from tests.conftest import few


class Told(Observer):
    """What was trained, predicted and reported."""

    def __init__(self) -> None:
        self.trained: list[str] = []
        self.altered: list[str] = []
        self.predicted: set[str] = set()

    def begun(self, work: str, total: int, state: str = "new") -> None:
        self.trained.extend([work] if state != "cached" else [])

    def advanced(self, work: str, done: int, total: int, values: object = None) -> None:
        if work.endswith(" test"):
            self.predicted.add(work)

    def ended(self, work: str, status: str, values: object = None, reason: str = "") -> None:
        if status == "altered":
            self.altered.append(f"{work}: {reason}")


@pytest.fixture(scope="module")
def finished(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("finished"))
    run_cell(few("prompt-das"), registry, workspace)
    return workspace


@pytest.fixture
def workspace(finished: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(finished.root, tmp_path / "workspace")
    return Workspace(tmp_path / "workspace")


def again(registry: Registry, workspace: Workspace) -> tuple[Told, RunRecord]:
    told = Told()
    return told, run_cell(few("prompt-das"), registry, workspace, observer=told)


def folder_of(workspace: Workspace, stage: str) -> Path:
    records = workspace.stages.glob("*/stage.json")
    return next(path.parent for path in records if json.loads(path.read_text())["name"] == stage)


def alter(path: Path) -> None:
    """Flip one bit of the last byte: of weights, a number; of a picture, what makes it no picture, or another one."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def test_what_was_not_altered_is_reused(registry, workspace):
    told, record = again(registry, workspace)
    assert (told.trained, told.predicted, told.altered) == ([], set(), [])
    assert [stage.cached for stage in record.stages] == [True, True]


@pytest.mark.parametrize("content", ['{"key": ', '{"key": "of a version to come", "colour": 1}', "[]"])
@pytest.mark.parametrize("listed", [True, False])
def test_a_record_that_cannot_be_read_is_named_and_its_stage_trained_again(registry, workspace, content, listed):
    """Also where no digest tells, as in a stage of an earlier version."""
    folder = folder_of(workspace, "prompt-das")
    (folder / "stage.json").write_text(content)
    if not listed:
        (folder / "SHA256SUMS").unlink()
    told, record = again(registry, workspace)
    assert told.trained == ["prompt-das"]
    assert [line.partition(" changed")[0] for line in told.altered] == ["prompt-das: stage.json"]
    assert [stage.cached for stage in record.stages] == [True, False]


def test_a_score_that_cannot_be_read_is_computed_again(registry, workspace):
    """Kept by a version that wrote no digests beside it."""
    for kept in workspace.stages.rglob("predictions/*.json"):
        kept.write_text("{}")
        kept.with_name(f"{kept.name}.sha256").unlink()
    told, record = again(registry, workspace)
    assert told.predicted == set()
    assert 0 <= record.metrics["target_test/dice"] <= 1


def test_altered_weights_are_trained_again(registry, workspace):
    folder = folder_of(workspace, "prompt-das")
    weights = folder / "model.safetensors"
    before, stale = digest_file(weights), folder / "predictions" / "stale.tif"
    stale.write_text("made from the weights")
    alter(weights)
    told, record = again(registry, workspace)
    assert told.trained == ["prompt-das"]
    (line,) = told.altered
    assert line.startswith("prompt-das: model.safetensors changed since it was trained")
    assert digest_file(weights) == before, "training again on a CPU gives the same bits"
    assert not stale.exists()
    assert [stage.cached for stage in record.stages] == [True, False]
    assert again(registry, workspace)[0].altered == []


def test_the_parent_of_a_reused_stage_is_trained_again_alone(registry, workspace):
    alter(folder_of(workspace, "supervised") / "model.safetensors")
    told, record = again(registry, workspace)
    assert told.trained == ["supervised"]
    assert [stage.cached for stage in record.stages] == [False, True]


def test_every_file_of_a_stage_counts(registry, workspace):
    path = folder_of(workspace, "supervised") / "curve.jsonl"
    path.write_text(path.read_text().replace("0", "1"))
    told, _ = again(registry, workspace)
    assert told.trained == ["supervised"]
    assert "curve.jsonl changed" in told.altered[0]


def test_an_altered_prediction_is_made_again_with_its_scores(registry, workspace):
    (prediction,) = (folder_of(workspace, "prompt-das") / "predictions").glob("*.tif")
    (score,) = prediction.parent.glob("*.json")
    before, metrics = digest_file(prediction), json.loads(score.read_text())["metrics"]
    alter(prediction)
    score.write_text(score.read_text().replace(str(metrics["dice"]), "0.99"))
    told, record = again(registry, workspace)
    assert (told.trained, told.predicted) == ([], {"prompt-das test"})
    (line,) = told.altered
    assert line.startswith(f"{prediction.name}: {prediction} changed since it was written")
    assert digest_file(prediction) == before
    assert record.metrics["target_test/dice"] == metrics["dice"]


def test_an_altered_score_is_computed_again(registry, workspace):
    (score,) = (folder_of(workspace, "prompt-das") / "predictions").glob("*.json")
    text = score.read_text()
    dice = json.loads(text)["metrics"]["dice"]
    score.write_text(text.replace(f'"dice": {dice}', '"dice": 0.99', 1))
    told, record = again(registry, workspace)
    assert (told.predicted, len(told.altered)) == (set(), 1)
    assert record.metrics["target_test/dice"] == dice


def test_files_of_earlier_versions_have_no_digests_and_are_used(registry, workspace):
    for path in [*workspace.stages.glob("*/SHA256SUMS"), *workspace.stages.glob("*/predictions/*.sha256")]:
        path.unlink()
    told, _ = again(registry, workspace)
    assert (told.trained, told.predicted, told.altered) == ([], set(), [])


def test_a_terminal_says_so():
    said: list[str] = []
    display = PlainDisplay(console=None)  # type: ignore[arg-type]
    display._say = said.append  # type: ignore[method-assign]
    display.ended("prompt-das", "altered", reason="model.safetensors changed")
    assert said == ["prompt-das: model.safetensors changed"]


def test_the_run_has_on_record_what_was_altered(registry, workspace):
    folder = folder_of(workspace, "prompt-das")
    (prediction,) = (folder / "predictions").glob("*.tif")
    alter(prediction)
    told, record = again(registry, workspace)
    assert [f"{event.work}: {event.reason}" for event in record.altered] == list(map(named, told.altered))
    assert [event.work for event in record.altered] == [prediction.name]
    assert read_run(record.path).altered == record.altered
    # The next run finds everything as it was written: its attempt has nothing to report.
    assert again(registry, workspace)[1].altered == ()


def test_a_stage_is_on_record_though_nobody_looks_on(registry, workspace):
    alter(folder_of(workspace, "supervised") / "model.safetensors")
    record = run_cell(few("prompt-das"), registry, workspace)
    (event,) = record.altered
    assert event.work == "supervised"
    assert event.reason.startswith("model.safetensors changed since it was trained")
    kinds = [type(e).__name__ for e in record.events]
    assert kinds.index("CellStarted") < kinds.index("Altered") < kinds.index("StageFinished")


def test_json_of_a_run_lists_it(registry, workspace):
    alter(folder_of(workspace, "supervised") / "model.safetensors")
    record = run_cell(few("prompt-das"), registry, workspace)
    (said,) = Run(record, workspace, few("prompt-das")).as_json()["altered"]
    assert said == {"work": "supervised", "reason": record.altered[0].reason}
    assert json.loads(json.dumps(said)) == said

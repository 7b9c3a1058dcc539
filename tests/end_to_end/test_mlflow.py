"""A real run, read back through the MLflow client: what a person or a script finds in the store."""

from __future__ import annotations

import math
from pathlib import Path

import mlflow
import pytest

from dabench.components.registry import Registry
from dabench.files.workspace import Workspace
from dabench.runs.runner import run_cell
from dabench.tracking.mlflow_writer import MlflowWriter
from tests.conftest import few

TAGS = (
    "cell_id suite task source target data method po backbone preset weak_labels points patches rater seed protocol "
    "inference status config_hash data_digest weights_digest git_commit plugin_versions env_digest device"
).split()


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[mlflow.MlflowClient, mlflow.entities.Run, Path]:
    workspace = Workspace(tmp_path_factory.mktemp("workspace"))
    record = run_cell(few(test_points=(0.0, 1.0)), Registry.load(), workspace)
    run_id = MlflowWriter(workspace.tracking_uri, workspace.artifacts).write(record)
    client = mlflow.MlflowClient(workspace.tracking_uri)
    return client, client.get_run(run_id), record.path


def test_every_identifying_tag(stored: tuple[mlflow.MlflowClient, mlflow.entities.Run, Path]) -> None:
    _, run, _ = stored
    tags = run.data.tags
    assert [name for name in TAGS if not tags.get(f"dabench.{name}")] == []
    shown = {name: tags[f"dabench.{name}"] for name in ("task", "method", "po", "data", "preset", "rater", "status")}
    assert shown == {
        "task": "human2stem",
        "method": "prefer-das",
        "po": "slpo",
        "data": "phantom",
        "preset": "tiny",
        "rater": "simulated:0",
        "status": "ok",
    }


def test_metrics_with_the_desks_cost(stored: tuple[mlflow.MlflowClient, mlflow.entities.Run, Path]) -> None:
    _, run, _ = stored
    metrics = run.data.metrics
    for name in ("dice", "aji", "pq"):
        assert 0 <= metrics[f"target_test/{name}"] <= 1
        assert metrics[f"target_test/{name}"] == metrics[f"stage/slpo/{name}"]
        assert 0 <= metrics[f"target_test/points_100/{name}"] <= 1
    # 3 slices of 96 x 96 in four tiles of 64, 9 patches each: floor(15 %) of them at most are asked and paid.
    assert 0 < metrics["cost/patches"] <= math.floor(0.15 * 3 * 4 * 9)
    assert metrics["cost/annotation_seconds"] == pytest.approx(
        2.4 * metrics["cost/points"] + 5 * metrics["cost/patches"]
    )
    assert metrics["cost/train_seconds"] > 0
    assert metrics["cost/peak_memory_bytes"] > 0
    assert metrics["time/predict"] > 0


def test_losses_over_steps(stored: tuple[mlflow.MlflowClient, mlflow.entities.Run, Path]) -> None:
    client, run, _ = stored
    history = client.get_metric_history(run.info.run_id, "train/supervised/loss")
    assert [m.step for m in history] == list(range(6))


def test_params_inputs_and_artifacts(stored: tuple[mlflow.MlflowClient, mlflow.entities.Run, Path]) -> None:
    client, run, path = stored
    assert run.data.params["budget.points"] == "0.15"
    inputs = {i.dataset.name: i.tags[0].value for i in run.inputs.dataset_inputs}
    assert set(inputs) == {"phantom-human/train", "phantom-stem/train", "phantom-stem/test"}
    listed = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert {"config.json", "environment.json", "receipt.json", "per_slice", "curves", "panels"} <= listed
    panels = {Path(item.path).name for item in client.list_artifacts(run.info.run_id, "panels") if not item.is_dir}
    assert panels == {p.name for p in (path / "panels").glob("*.jpg")}

"""A store that fails is told once and stops nothing."""

from __future__ import annotations

from dabench.tracking import read_run
from dabench.tracking.mlflow_sync import MlflowSync


def test_a_broken_store_is_told_once(tmp_path, make_run):
    run = read_run(make_run(tmp_path / "runs"))
    (tmp_path / "mlflow.db").write_text("not a database, and long enough to be taken for one" * 20)
    told: list[str] = []
    sync = MlflowSync(f"sqlite:///{tmp_path / 'mlflow.db'}", None, told.append)
    sync.write(run)
    sync.write(run)
    sync.summarise("suite", [run])
    assert len(told) == 1
    assert "cannot be used" in told[0]


def test_a_writer_is_made_when_first_used(workspace, make_run, monkeypatch):
    told: list[str] = []
    sync = MlflowSync(workspace.tracking_uri, None, told.append)
    assert "_writer" not in vars(sync)
    sync.write(read_run(make_run(workspace.runs)))
    assert told == []
    assert "_writer" in vars(sync)


def test_a_store_by_name(workspace):
    """None for no store; the workspace's own, and what its failure says names the way back."""
    told: list[str] = []
    assert MlflowSync.of("none", workspace, told.append) is None
    workspace.root.mkdir(exist_ok=True)
    (workspace.root / "mlflow.db").write_text("not a database, and long enough to be taken for one" * 20)
    own = MlflowSync.of("mlflow", workspace, told.append)
    assert own is not None
    own.summarise("suite", [])
    assert told[0].startswith("MLflow: ")
    assert "Later, run: dabench results sync" in told[0]

"""Fixtures of the tracking tests."""

from __future__ import annotations

import shutil

import pytest
from made_up_run import write_run

from dabench.files.workspace import Workspace


@pytest.fixture
def make_run():
    """Writes a finished run below a folder and returns its directory."""
    return write_run


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """An MLflow store with its tables, made once: that takes seconds."""
    from dabench.tracking.mlflow_writer import MlflowWriter

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowWriter(f"sqlite:///{path}")
    return path


@pytest.fixture
def workspace(tmp_path, empty_store):
    """A workspace with an empty MLflow store."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return Workspace(tmp_path)

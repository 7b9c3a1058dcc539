"""One run that was really trained, shared by the tests of this folder."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from dabench.config import RunConfig
from dabench.models import Model, load_model
from dabench.registry import Registry
from dabench.runner import run_cell
from dabench.tracking import RunRecord
from dabench.workspace import Workspace
from tests.conftest import few


class Trained(NamedTuple):
    """A finished run, and its model."""

    config: RunConfig
    workspace: Workspace
    record: RunRecord
    model: Model


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Trained:
    """Two stages of a few updates: a teacher that only taught, and a network that takes points."""
    workspace = Workspace(tmp_path_factory.mktemp("trained"))
    config = few("prompt-das")
    record = run_cell(config, registry, workspace)
    return Trained(config, workspace, record, load_model(config.cell_id, registry, workspace))


@pytest.fixture
def empty(tmp_path, monkeypatch) -> Workspace:
    """A machine without anything."""
    monkeypatch.setenv("DABENCH_DATA", str(tmp_path / "no-data"))
    return Workspace(tmp_path / "empty")

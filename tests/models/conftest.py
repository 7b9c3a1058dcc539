"""A machine without anything; `trained` stands in tests/conftest.py."""

from __future__ import annotations

import pytest

from dabench.files.workspace import Workspace


@pytest.fixture
def empty(tmp_path, monkeypatch) -> Workspace:
    """A machine without anything."""
    monkeypatch.setenv("DABENCH_DATA", str(tmp_path / "no-data"))
    return Workspace(tmp_path / "empty")

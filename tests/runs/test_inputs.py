"""What a plan refuses before anything trains."""

from __future__ import annotations

import time

import pytest

from dabench.components.registry import Registry
from dabench.errors import ConfigError
from dabench.files.workspace import Workspace
from dabench.runs.plan import make_plan
from tests.conftest import few


@pytest.mark.parametrize(("name", "value"), [("batch", 10**8), ("crop", 10**7)])
def test_a_batch_past_the_machine_s_memory_is_refused_at_once(
    registry: Registry, workspace: Workspace, name: str, value: int
) -> None:
    make_plan(few("source-only"), registry, workspace)  # what is opened once is open
    started = time.perf_counter()
    with pytest.raises(ConfigError, match=r"stage 'supervised': the .* GB, this machine has"):
        make_plan(few("source-only", options={"source-only": {name: value}}), registry, workspace)
    assert time.perf_counter() - started < 1


def test_what_a_batch_takes(monkeypatch: pytest.MonkeyPatch, registry: Registry, workspace: Workspace) -> None:
    """Two crops of 64 x 64 float32 are 32768 bytes."""
    monkeypatch.setattr("dabench.runs.inputs.memory_bytes", lambda: 32768)
    make_plan(few("source-only"), registry, workspace)
    monkeypatch.setattr("dabench.runs.inputs.memory_bytes", lambda: 32767)
    with pytest.raises(ConfigError, match="the 2 crops of 64 x 64 pixels"):
        make_plan(few("source-only"), registry, workspace)

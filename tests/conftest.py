"""Shared: a registry, and configurations small enough for a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from dabench.config import RunConfig, validate_config
from dabench.registry import Registry
from dabench.workspace import Workspace

#: A few updates a stage on small crops: seconds, not results.
FEW = {
    "source-only": {"iterations": 6, "crop": 64, "batch": 2},
    "prompt-das": {"iterations": 6, "crop": 64, "batch": 1, "recalibrate": 2},
    "prefer-das": {"iterations": 4, "batch": 2, "source_batch": 1},
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def registry() -> Registry:
    return Registry.load()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


def few(method: str = "prefer-das", **changes: Any) -> RunConfig:
    """A phantom run of a few updates; ``options`` are merged into `FEW`."""
    stages = {"source-only": 1, "oracle": 1, "prompt-das": 2, "prefer-das": 3}[method]
    options = {name: dict(values) for name, values in list(FEW.items())[:stages]}
    for name, values in changes.pop("options", {}).items():
        options.setdefault(name, {}).update(values)
    values = {"method": method, "task": "human2stem", "data": "phantom", "preset": "tiny", "options": options}
    return validate_config({**values, **changes})

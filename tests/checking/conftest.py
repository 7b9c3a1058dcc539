"""Two finished phantom runs of a few updates, made once; every test forges a copy."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from dabench.checking.bundle import export_runs
from dabench.checking.verify import Verifier
from dabench.components.registry import Registry
from dabench.files.workspace import Workspace
from dabench.runs.runner import run_cell
from tests.conftest import few


@dataclass(frozen=True)
class Made:
    """A workspace with a run of two stages, scored at two shares of test points, and one of its first stage alone."""

    workspace: Workspace
    run: Path
    short: Path
    verifier: Verifier
    registry: Registry


@pytest.fixture(scope="session")
def made(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Made:
    torch.set_num_threads(1)
    workspace = Workspace(tmp_path_factory.mktemp("checked"))
    run = run_cell(few("prompt-das", small=False, test_points=(0.0, 1.0)), registry, workspace)
    short = run_cell(few("source-only", small=False), registry, workspace)
    return Made(workspace, run.path, short.path, Verifier(registry, workspace), registry)


@pytest.fixture
def run(made: Made, tmp_path: Path) -> Path:
    """A copy of the longer run, in a folder of its name."""
    return Path(shutil.copytree(made.run, tmp_path / "runs" / made.run.name))


@pytest.fixture(scope="session")
def bundle(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both runs in one file, from an origin."""
    path = tmp_path_factory.mktemp("bundles") / "both.dabench.zip"
    export_runs([made.run, made.short], path, made.verifier, "em-lab")
    return path


@pytest.fixture(scope="session")
def single(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The longer run alone, one's own."""
    path = tmp_path_factory.mktemp("bundles") / "one.dabench.zip"
    export_runs([made.run], path, made.verifier)
    return path


@pytest.fixture
def empty(tmp_path: Path) -> Workspace:
    """Another machine's workspace."""
    return Workspace(tmp_path / "elsewhere")


@pytest.fixture
def elsewhere(made: Made, empty: Workspace) -> Callable[[], Verifier]:
    return lambda: Verifier(made.registry, empty)

"""One plugin of every kind, written to a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from dabench.components.hookspecs import KINDS
from dabench.components.scaffold import NewPlugin, render, write


@pytest.fixture(scope="session")
def plugins() -> dict[str, NewPlugin]:
    """By kind."""
    return {kind: render(f"my-{kind.replace('_', '-')}", kind) for kind in KINDS}


@pytest.fixture(scope="session")
def written(plugins: dict[str, NewPlugin], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds them all."""
    folder = tmp_path_factory.mktemp("written")
    for plugin in plugins.values():
        write(plugin, folder)
    return folder

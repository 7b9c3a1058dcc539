"""Where files are: text in a pipe, a link on a terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from dabench.cli.tables import show_place


@pytest.mark.parametrize("terminal", [False, True])
def test_a_folder_is_a_link_on_a_terminal(terminal: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    console = Console(file=io.StringIO(), force_terminal=terminal, width=20)
    show_place("panels:   ", tmp_path / "my runs" / "one", console)
    printed = console.file.getvalue()
    assert ("\x1b]8;" in printed, "my%20runs/one" in printed) == (terminal, terminal)
    if not terminal:
        assert printed == "panels:   my runs/one\n"

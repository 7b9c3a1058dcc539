"""Kinds of options that many commands have: numbers are finite, JSON stands alone on standard output."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from dabench.cli.main import app


def number_options(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every option of every command whose value is one number."""
    for name, inner in getattr(command, "commands", {}).items():
        yield from number_options(inner, (*path, name))
    for parameter in command.params:
        if parameter.type_descriptor.annotation is float:
            yield path, parameter.opts[-1]


NUMBERS = list(number_options(typer.main.get_command(app)))


def test_all_of_them_are_looked_at() -> None:
    assert len(NUMBERS) >= 15
    assert {("predict",), ("suite", "run"), ("evaluate",), ("run",)} <= {path for path, _ in NUMBERS}


@pytest.mark.parametrize("value", ["nan", "inf"])
@pytest.mark.parametrize(
    ("path", "option"), NUMBERS, ids=lambda part: "-".join(part) if isinstance(part, tuple) else part
)
def test_no_number_is_infinite_or_none(path: tuple[str, ...], option: str, value: str) -> None:
    result = CliRunner().invoke(app, [*path, f"{option}={value}"])
    assert result.exit_code == 2
    assert option in result.output
    assert "not a finite number" in result.output or "Input should be" in result.output


LOUD = """
import os, subprocess, sys
from dabench.plugin import hookimpl

print("at import")
os.write(1, b"as a C library does\\n")
subprocess.run([sys.executable, "-c", "print('from another process')"], check=True)

@hookimpl
def register_methods(register):
    print("in the hook")
"""


def test_json_stands_alone_whatever_a_plugin_prints(tmp_path: Path) -> None:
    """Python, the process's file 1, and other processes: all of it goes to stderr."""
    plugin = tmp_path / "loud.py"
    plugin.write_text(LOUD)
    command = [sys.executable, "-m", "dabench.cli.main", "--workspace", str(tmp_path / "w"), "--plugin", str(plugin)]
    done = subprocess.run([*command, "plugins", "--json"], capture_output=True, text=True, check=False)
    assert any(status["name"] == "loud" for status in json.loads(done.stdout))
    for said in ("at import", "as a C library does", "from another process", "in the hook"):
        assert said in done.stderr

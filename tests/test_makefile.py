"""``make run`` says what takes long and what to try next; here it prints its commands and runs none."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from dabench.cli.main import app

ROOT = Path(__file__).parents[1]


def printed(target: str, venv: Path) -> list[str]:
    if (make := shutil.which("make")) is None:
        pytest.skip("make is not installed")
    asked = [make, "--dry-run", "--no-print-directory", target, f"VENV={venv}"]
    return subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


def test_a_fresh_machine_is_told_before_it_installs(tmp_path: Path) -> None:
    lines = printed("run", tmp_path / "new")
    told = next(n for n, line in enumerate(lines) if line.startswith('echo "Installing') and "GB" in line)
    assert told < next(n for n, line in enumerate(lines) if "pip install" in line)
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / ".installed").touch()
    assert not [line for line in printed("run", tmp_path / "done") if "nstall" in line.replace(".installed", "")]


def test_it_ends_with_three_commands_that_there_are(tmp_path: Path) -> None:
    lines = printed("run", tmp_path)
    after = lines[lines.index('echo "Next:"') + 1 :]
    commands = [re.fullmatch(rf'echo "  {tmp_path}/bin/dabench (.+?) +# .+"', line) for line in after]
    assert len(commands) == 3
    for found in commands:
        assert found is not None
        known, words = get_command(app), shlex.split(found[1])
        while words and (below := getattr(known, "commands", {}).get(words[0])):
            known, words = below, words[1:]
        known.make_context("dabench", words)  # parses options and arguments
        assert all((ROOT / word).is_file() for word in words if word.endswith(".yaml"))

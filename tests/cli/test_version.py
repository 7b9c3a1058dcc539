"""``dabench --version``, ``python -m dabench`` and completion of words in a shell."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import dabench
from dabench.cli.main import app
from dabench.types import API_VERSION


def started(*words, **environment):
    command = [sys.executable, "-m", "dabench", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **environment}).stdout


def test_versions_for_people_and_programs():
    assert CliRunner().invoke(app, ["--version"]).output == f"dabench {dabench.__version__}\n"
    told = json.loads(CliRunner().invoke(app, ["--version", "--json"]).output)
    assert (told["dabench"], told["api_version"]) == (dabench.__version__, API_VERSION)
    assert told["packages"]["torch"]


@pytest.mark.parametrize(("words", "said"), [(["--json", "ls"], "--json goes"), (["--debug"], "Missing command")])
def test_options_that_need_more_are_usage_errors(words, said):
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert said in done.output


def test_the_package_is_a_command_that_shells_complete():
    assert started("--version") == f"dabench {dabench.__version__}\n"
    asked = {"_DABENCH_COMPLETE": "complete_bash", "COMP_WORDS": "dabench leaderboard --si", "COMP_CWORD": "2"}
    assert started(**asked).split() == ["--site"]

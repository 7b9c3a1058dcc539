"""The environment says what a run ran on, and nothing about whose machine it was."""

from __future__ import annotations

import getpass
import json
import os
import platform
import subprocess

import pytest

from dabench.tracking import environment


@pytest.fixture(scope="module")
def captured():
    return environment.capture()


def test_it_names_what_decides_a_number(captured):
    assert captured["packages"]["torch"]
    assert captured["torch"]["threads"] >= 1
    assert captured["cores"] >= 1
    assert captured["memory_bytes"] > 1e8
    assert captured["cpu"]


def test_no_host_user_or_path(captured):
    text = json.dumps(captured)
    words = text.replace('"', " ").replace(",", " ").split()
    assert platform.node() not in words
    assert getpass.getuser() not in words
    assert os.environ.get("HOME", "/root") not in text
    assert not [w for w in words if w.startswith("/")]


def test_digest_ignores_the_commit_but_not_the_versions(captured):
    other_code = {**captured, "git": {"commit": "0", "dirty": True}}
    other_torch = {**captured, "torch": {"version": "0"}}
    assert environment.digest(captured) == environment.digest(other_code)
    assert environment.digest(captured) != environment.digest(other_torch)


def test_git_state(tmp_path):
    assert environment.git_state(tmp_path) == {}
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    state = environment.git_state(tmp_path)
    assert len(state["commit"]) == 40
    assert state["dirty"] is False
    (tmp_path / "new.py").write_text("")
    assert environment.git_state(tmp_path)["dirty"] is True

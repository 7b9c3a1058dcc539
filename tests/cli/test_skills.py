"""What the skills for coding agents say is done, word for word; commands that train are only parsed."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.main import get_command
from typer.testing import CliRunner

from dabench.cli import skills
from dabench.cli.main import app

ROOT = Path(__file__).parents[2]
TEXTS = {path.stem: path.read_text() for path in Path(skills.__file__).with_name("skill_texts").glob("*.md")}
SHELL = re.compile(r"^( *)```sh\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
#: Of these tests elsewhere train; here they are parsed.
TRAINING = {"run", "suite run", "suite status", "plugins check"}
RECORDED = str(ROOT / "benchmarks" / "results" / "baselines-tiny.jsonl")


def commands(text):
    return [line.strip() for _, block in SHELL.findall(text) for line in block.splitlines()]


def words_of(line):
    program, *words = shlex.split(line)
    assert program == "dabench"
    return words


def parsed(words):
    """The name of the command that words mean, after all of them were parsed."""
    known, name, words = get_command(app), [], list(words)
    while words[0] == "--plugin":
        words = words[2:]
    while words and (below := getattr(known, "commands", {}).get(words[0])):
        known, name, words = below, [*name, words[0]], words[1:]
    known.make_context("dabench", list(words))
    return " ".join(name)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a scan, its labels, and the files that the skills write."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DABENCH_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("DABENCH_PLUGIN_FILES", "")
    labels = np.zeros((5, 48, 48), np.uint8)
    labels[:, 10:20, 10:30] = 1
    greys = np.random.default_rng(0).integers(60, 200, labels.shape, dtype=np.uint8)
    tifffile.imwrite("scan.tif", greys, photometric="minisblack")
    tifffile.imwrite("labels.tif", labels, photometric="minisblack")
    for text in TEXTS.values():
        for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
            name = block.split("# ")[1].split("\n")[0]
            Path(name).write_text("\n".join(line[4:] for line in block.splitlines()))
    return tmp_path


@pytest.mark.parametrize("name", TEXTS)
def test_every_command_of_a_skill_works(place, name):
    lines = commands(TEXTS[name])
    assert lines
    for line in lines:
        words = words_of(line)
        if (command := parsed(words)) in TRAINING:
            continue
        words = [word.replace("my-method", "skill-method") for word in words]  # other tests have a module my_method
        if command == "leaderboard":
            words += ["--from", RECORDED]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, f"{line}\n{done.output}"


def test_they_are_listed_printed_and_installed(tmp_path):
    assert len(TEXTS) == 4
    listed = CliRunner().invoke(app, ["skills"]).output.splitlines()
    assert [line.split()[0] for line in listed] == sorted(TEXTS)
    assert CliRunner().invoke(app, ["skills", "read-a-board"]).output == TEXTS["read-a-board"]
    told = json.loads(CliRunner().invoke(app, ["skills", "--json"]).output)
    assert {one["name"]: one["text"] for one in told} == TEXTS
    assert CliRunner().invoke(app, ["skills", "--install", str(tmp_path)]).exit_code == 0
    for name, text in TEXTS.items():
        assert (tmp_path / f"dabench-{name}" / "SKILL.md").read_text() == text
        assert text.startswith(f"---\nname: dabench-{name}\ndescription: ")


def test_an_unknown_skill_is_an_error_with_the_nearest():
    done = CliRunner().invoke(app, ["skills", "read-board"])
    assert done.exit_code != 0
    assert "read-a-board" in str(done.exception)

"""Texts of others cannot steer a terminal: sequences are gone wherever such a text is read or shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from dabench.cli.main import app
from dabench.data.card import parse_card
from dabench.files.printable import printable, printable_values
from dabench.tracking.events import CellFinished, from_line, to_line
from dabench.tracking.run_reader import read_origin

#: Clears the screen, sets the title, hides text, links, goes a line up; what is left is ``ab``.
ATTACKS = [
    "a\x1b[2Jb", "a\x1b]0;title\x07b", "a\x1b]0;title\x1b\\b", "a\x1b[8mb", "a\x1b[1A\x1b[2Kb", "a\rb", "a\x08b",
    "a\x9b2Jb", "a\x9d0;title\x9cb", "a\x1bcb", "a\x1b(0b", "a\u202eb", "a\x00b", "a\x1b]8;;http://x\x07b", "ab\x1b",
    "ab\x1b[", "a\x1bPq#0\x1b\\b",
]  # fmt: skip


@pytest.mark.parametrize("text", ATTACKS, ids=ascii)
def test_a_sequence_is_gone_as_a_whole(text: str) -> None:
    assert printable(text) == "ab"


@pytest.mark.parametrize("text", ["", "plain", "two\nlines\tand a tab", "µm, 5 × 5, 日本語", "[2J of nothing"])
def test_a_text_without_stays(text: str) -> None:
    assert printable(text) == text


@given(st.text())
def test_nothing_is_left_that_a_terminal_obeys(text: str) -> None:
    found = printable(text)
    assert not any((ord(c) < 32 and c not in "\t\n") or 127 <= ord(c) < 160 for c in found)
    assert printable(found) == found


def test_values_are_made_printable_whole() -> None:
    assert printable_values({"a\x1b[1m": ["b\r", {"c": "\x07d"}, 1, None]}) == {"a": ["b", {"c": "d"}, 1, None]}


def test_a_journal_s_reason() -> None:
    event = from_line(to_line(CellFinished("failed", "out of \x1b[2J\x1b]0;x\x07memory")))
    assert isinstance(event, CellFinished)
    assert event.reason == "out of memory"


def test_a_card_s_description() -> None:
    values = {"name": "x", "description": "Liver\x1b[8m, hidden", "voxel": [8, 8, 8], "licence": "CC\r0"}
    card = parse_card({**values, "splits": {"train": {"images": "a.tif"}}}, "card.yaml")
    assert (card.description, card.licence) == ("Liver, hidden", "CC0")


def test_an_origin(tmp_path: Path) -> None:
    (tmp_path / "origin.json").write_text(json.dumps({"origin": "em\x1b[2J-lab"}))
    assert read_origin(tmp_path) == "em-lab"


def test_commands_print_none(tmp_path: Path) -> None:
    """A run folder of a stranger, listed and verified: no command to the terminal comes through."""
    folder = tmp_path / "workspace" / "runs" / "x-1"
    folder.mkdir(parents=True)
    start = {"event": "cell_started", "cell_id": "x-1", "tags": {"method": "m\x1b[2J", "task": "a2b"}, "params": {}}
    end = {"event": "cell_finished", "status": "failed", "reason": "\x1b]0;title\x07why"}
    (folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in (start, end)))
    (folder / "config.json").write_text(json.dumps({"method\x1b[8m": 1}))
    (folder / "origin.json").write_text(json.dumps({"origin": "lab\x1b[2J"}))
    for command in (["results", "ls"], ["verify", "--all", "--quick"], ["leaderboard"]):
        found = CliRunner().invoke(app, command, env={"DABENCH_WORKSPACE": str(tmp_path / "workspace")}, color=True)
        assert "\x1b[2J" not in found.output
        assert "\x1b[8m" not in found.output
        assert "\x1b]0" not in found.output

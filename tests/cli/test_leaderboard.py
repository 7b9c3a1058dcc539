"""``dabench leaderboard``: what a user sees, and what a program gets."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from dabench.cli.leaderboard import leaderboard
from dabench.errors import ConfigError, UnknownNameError
from dabench.tracking import CellFinished, CellStarted, Journal, Scored

TAGS = {"data": "phantom", "preset": "tiny", "protocol": "das-2d@1", "inference": "fast", "po": "none"}


def write_run(runs, method, task, seed, dice, status="ok"):
    name = f"{method}-{task}-s{seed}"
    journal = Journal(runs / name)
    tags = {**TAGS, "method": method, "task": task, "seed": seed}
    journal.append(CellStarted(name, tags, {}, stages=("s",)))
    if status == "ok":
        journal.append(Scored("s", "test", "das-2d@1", "fast", 0.0, {"dice": dice, "aji": dice, "pq": dice / 2}, 4))
    journal.append(CellFinished(status, "" if status == "ok" else "loss is NaN", 12.0))


@pytest.fixture
def place(tmp_path):
    for seed in (0, 1):
        write_run(tmp_path / "runs", "sac", "human2stem", seed, 0.6 + 0.02 * seed)
        write_run(tmp_path / "runs", "ipl", "human2stem", seed, 0.7 + 0.02 * seed)
    write_run(tmp_path / "runs", "ualr", "human2stem", 0, 0.0, status="failed")
    return tmp_path


def call(place, *arguments):
    program = typer.Typer()
    program.command()(leaderboard)
    environment = {"DABENCH_WORKSPACE": str(place)}
    return CliRunner().invoke(program, [str(a) for a in arguments], env=environment, catch_exceptions=True)


def test_table_shows_ranks_scores_and_what_is_missing(place):
    result = call(place)
    assert result.exit_code == 0, result.exception
    lines = result.output.splitlines()
    assert lines[0].strip() == "phantom data, preset tiny, das-2d@1, fast inference, by Dice"
    ranked = [line.split() for line in lines if "±" in line and "Scores" not in line]
    assert [line[2] for line in ranked] == ["ipl", "sac"]
    assert ranked[0][3:6] == ["71.0", "±", "1.4"]
    assert "- missing: ualr: human2stem seed 0: failed (loss is NaN)" in result.output
    assert "Fewer than 3 seeds" in result.output


def test_json_csv_and_markdown(place):
    boards = json.loads(call(place, "--json", "--by", "pq").stdout)["boards"]
    assert (boards[0]["metric"], boards[0]["standings"][0]["entry"]) == ("pq", "ipl")
    assert boards[0]["standings"][0]["overall"]["mean"] == pytest.approx(0.355)
    rows = list(csv.DictReader(io.StringIO(call(place, "--csv").stdout)))
    assert len(rows) == 5
    assert call(place, "--markdown").stdout.startswith("### phantom data")


def test_files_are_written_where_asked(place, tmp_path):
    for option, name, start in (("--csv", "a.csv", "entry,"), ("--markdown", "a.md", "###"), ("--json", "a.json", "{")):
        result = call(place, option, tmp_path / "new" / name)
        assert result.output == f"written: {tmp_path / 'new' / name}\n"
        assert (tmp_path / "new" / name).read_text().startswith(start)


def test_the_page_lies_in_the_workspace_unless_a_file_is_named(place, tmp_path):
    assert call(place, "--html").output == f"written: {place / 'leaderboard.html'}\n"
    page = (place / "leaderboard.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "human2stem" in page
    call(place, "--html", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == page


def test_filters_and_their_errors(place):
    found = json.loads(call(place, "--json", "--filter", "method=ipl,ualr", "--filter", "seed=0").stdout)
    assert {s["entry"]: len(s["cells"]) for s in found["boards"][0]["standings"]} == {"ipl": 1, "ualr": 1}
    wrong = call(place, "--filter", "method=iple").exception
    assert isinstance(wrong, UnknownNameError)
    assert "'ipl'" in str(wrong)
    assert isinstance(call(place, "--suite", "none-such").exception, UnknownNameError)


@pytest.mark.parametrize("arguments", [["--json", "--csv"], ["somewhere.csv"]])
def test_what_cannot_be_asked_together(place, arguments):
    assert isinstance(call(place, *arguments).exception, ConfigError)


def test_an_empty_workspace_says_how_to_begin(tmp_path):
    result = call(tmp_path / "none")
    assert result.exit_code == 0
    assert "dabench run" in result.output
    assert json.loads(call(tmp_path / "none", "--json").stdout) == {"boards": [], "damaged": []}
    assert not (tmp_path / "none").exists()


def test_a_damaged_run_is_named_and_the_others_shown(place):
    (place / "runs" / "sac-human2stem-s0" / "journal.jsonl").write_text("{\n{\n")
    result = call(place)
    assert result.exit_code == 0
    assert "left out: sac-human2stem-s0/journal.jsonl, line 1" in result.stderr
    assert "ipl" in result.stdout


def test_the_root_command_has_it_and_loads_no_torch(place):
    code = """
import sys
from dabench.cli.main import app
app(args=sys.argv[1:], standalone_mode=False)
sys.exit("torch" in sys.modules)
"""
    command = [sys.executable, "-c", code, "--workspace", str(place), "leaderboard"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "ipl" in done.stdout

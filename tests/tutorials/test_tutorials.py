"""The tutorials of the docs site, followed by somebody with an empty folder: the commands are those of the pages."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from dabench.cli.main import app
from dabench.data.phantom import make_phantom
from dabench.ops.centres import component_centres
from dabench.tracking.run_reader import read_runs
from tests.tutorials.browsing import at_pages
from tests.tutorials.following import HastyReader, Reader, commands, steps

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted((DOCS / "tutorials").glob("*.md"))
TYPED = [*PAGES, DOCS / "bring-your-own-method.md", DOCS / "air-gapped.md"]
#: A few updates a stage: seconds, not results. A suite takes only settings that all its rows use.
FEW = {
    "source-only": ["source-only.iterations=30"],
    "prompt-das": ["source-only.iterations=30", "prompt-das.iterations=2", "prompt-das.recalibrate=1"],
}
FEW["prefer-das"] = [*FEW["prompt-das"], "prefer-das.iterations=2"]
FEW["four.yaml"] = FEW["source-only"]


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HastyReader:
    few = {word: [f"--set={setting}" for setting in settings] for word, settings in FEW.items()}
    monkeypatch.setattr(HastyReader, "few", {**few, "run": ["--tracker=none"]})
    return HastyReader.arrives(tmp_path)


@pytest.fixture
def at_the_browser(browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clicks on each object of three slices, and answers ten questions."""
    labels = make_phantom("phantom-stem", "train", 0, (3, 256, 256)).labels
    clicks = [[(float(x), float(y)) for x, y in component_centres(one == 1)] for one in labels]
    monkeypatch.setattr(HastyReader, "at_page", staticmethod(at_pages(browser, clicks, 10)))


@pytest.mark.parametrize("page", TYPED, ids=lambda page: page.stem)
def test_options_of_its_commands_exist(page: Path) -> None:
    """No command runs: names, options and values are parsed."""
    typed = [shlex.split(line) for line in commands(page)]
    assert typed
    for words in (line[1:] for line in typed if line[0] == "dabench"):
        context, command = None, get_command(app)
        while True:
            context = command.make_context(command.name or "dabench", list(words), parent=context)
            if not (rest := [*context._protected_args, *context.args] if hasattr(command, "commands") else []):
                break
            command, words = command.commands[rest[0]], rest[1:]


def test_every_tutorial_is_in_the_navigation() -> None:
    text = (DOCS.parent / "mkdocs.yml").read_text()
    assert [page.name for page in PAGES if f" tutorials/{page.name}\n" not in text] == []


@pytest.mark.slow
def test_first_run(reader: HastyReader) -> None:
    printed = reader.follows(DOCS / "tutorials" / "first-run.md")
    assert printed.count("slpo: reused") == 1
    assert "1 verified" in printed
    assert "<html" in (reader.home / "first-run.html").read_text()


@pytest.mark.slow
def test_scan_to_counts(reader: HastyReader, at_the_browser: None) -> None:
    printed = reader.follows(DOCS / "tutorials" / "scan-to-counts.md")
    assert "points on 3 slices" in printed
    assert "chosen:" in printed
    assert re.search(r"dice\s+0\.\d+", printed, re.IGNORECASE)
    assert (reader.home / "mito.csv").read_text().startswith("id,")


@pytest.mark.slow
def test_points_and_preferences(reader: HastyReader, at_the_browser: None) -> None:
    printed = reader.follows(DOCS / "tutorials" / "points-and-preferences.md")
    assert "anna.jsonl: 10 answers" in printed
    assert "Only one rater" in printed
    runs = {run.tags["method"]: run for run in read_runs(reader.home / "workspace" / "runs")}
    assert {run.tags["rater"] for run in runs.values()} == {"recorded"}
    assert set(runs) == {"prompt-das", "prefer-das"}


@pytest.mark.slow
def test_read_a_leaderboard(reader: HastyReader) -> None:
    printed = reader.follows(DOCS / "tutorials" / "read-a-leaderboard.md")
    assert re.search(r"prefer-das slpo .* 3\s*$", printed, re.MULTILINE)
    assert "<html" in (reader.home / "board.html").read_text()


@pytest.mark.slow
def test_check_a_result(reader: HastyReader) -> None:
    printed = reader.follows(DOCS / "tutorials" / "check-a-result.md")
    assert "source-only (lab-a)" in printed
    assert "FAIL" in printed.partition("The check failed")[0].rpartition("rerun")[2]
    assert "The check failed, as it should." in printed
    assert "verified here" in printed


@pytest.mark.slow
def test_scores_are_those_of_the_first_run(tmp_path: Path) -> None:
    """Without haste: two minutes of one core."""
    page = DOCS / "tutorials" / "first-run.md"
    told = re.findall(r"0%  (0\.\d{3})", page.read_text())
    assert len(told) == 3
    reader = Reader.arrives(tmp_path)
    _, train = (body for what, body in list(steps(page))[:2] if what == "type")
    printed = re.findall(r"0%  (0\.\d{3})", reader.types(train))
    assert [float(one) for one in printed] == pytest.approx([float(one) for one in told], abs=0.05)

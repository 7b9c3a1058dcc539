"""The site of recorded results: every link leads somewhere, it works from a folder, and it tells no path."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dabench.cli.main import app
from dabench.errors import ConfigError
from dabench.leaderboard.gather import load
from tests.conftest import Told

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "benchmarks" / "results" / "baselines-tiny.jsonl"


def run(*words, workspace):
    return CliRunner().invoke(app, ["--workspace", str(workspace), "leaderboard", *map(str, words)])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("board") / "site"
    words = ("--from", RECORDED, "--filter", "task=human2stem")
    done = run("--site", folder, *words, workspace=tmp_path_factory.mktemp("workspace"))
    assert done.exit_code == 0, done.output
    assert f"written: {folder}/index.html and " in done.output
    return folder


def test_every_link_leads_to_a_page_and_every_page_is_linked(site):
    pages = {path.resolve() for path in site.rglob("*.*")}
    linked = {site / "index.html"}
    for page in site.rglob("*.html"):
        if page.parent.name == "boards":  # the page of `--html`, with tests of its own
            continue
        for link in re.findall(r'href="([^"]+)"', page.read_text()):
            if link != "data:,":
                linked.add((page.parent / unescape(link)).resolve())
    assert linked == pages


def test_it_has_a_card_for_every_method_and_domain_of_its_boards(site):
    methods = {path.stem for path in (site / "methods").glob("*.html")} - {"index"}
    assert {"source-only", "prefer-das", "oracle", "ipl", "wda-net"} <= methods
    domains = {path.stem for path in (site / "domains").glob("*.html")} - {"index"}
    assert domains == {"phantom-human", "phantom-stem"}


def test_recorded_numbers_have_code_and_data_and_lack_the_rest(site):
    page = (site / "suites" / "baselines-tiny.html").read_text()
    assert page.count('2/5 <span class="notes">(missing: weights, seeds, predictions)</span>') == 15


def test_it_names_no_path_of_this_machine(site, tmp_path):
    for page in site.rglob("*.*"):
        assert str(ROOT) not in page.read_text()
        assert str(tmp_path.parent) not in page.read_text()


def test_a_reader_goes_from_the_index_to_a_method_and_back(site, visit_site):
    page = visit_site(site)
    page.get_by_role("link", name="baselines-tiny").click()
    page.get_by_role("link", name="ualr").first.click()
    assert page.locator("h1").inner_text() == "ualr"
    assert "2/5" in page.locator("table").first.inner_text()
    page.get_by_role("link", name="Leaderboard").click()
    assert page.locator("tbody tr").count() == 1


@pytest.mark.parametrize("name", ["index.html", "suites/baselines-tiny.html", "methods/prefer-das.html"])
def test_pages_are_not_wider_than_a_telephone(site, visit_site, name):
    page = visit_site(site, name)
    page.set_viewport_size({"width": 380, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 380


def test_boards_are_counted_while_they_are_worked_out(workspace):
    told = Told()
    found = load(workspace, uri=str(RECORDED), conditions=["task=human2stem", "method=source-only,sac"])
    assert len(found.boards(by_all=True, observer=told)) == 3, "Dice, AJI and PQ"
    assert told.work == {"working out boards": (3, 3)}


def test_nothing_to_rank_is_an_error(tmp_path):
    done = run("--site", tmp_path / "site", workspace=tmp_path / "workspace")
    assert isinstance(done.exception, ConfigError)
    assert "nothing to rank" in str(done.exception)
    assert not (tmp_path / "site").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--site", "board", "--html"], "--site and --html exclude each other"),
        (["--from", "a.jsonl", "--from", "b.jsonl"], "--from was given more than once"),
    ],
)
def test_what_does_not_go_together_is_refused(words, said, tmp_path):
    done = run(*words, workspace=tmp_path)
    assert isinstance(done.exception, ConfigError)
    assert said in str(done.exception)

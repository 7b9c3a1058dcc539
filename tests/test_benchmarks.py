"""Files in benchmarks/: suites, and recorded results that the docs quote."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from unittest import mock

import pytest

from dabench.components.registry import Registry
from dabench.files.workspace import Workspace
from dabench.runs.plan import make_plan
from dabench.suites.spec import expand, load_suite
from dabench.tracking.recorded import read_recorded
from tests.benchmark_script import load

ROOT = Path(__file__).parents[1]
SUITES = sorted((ROOT / "benchmarks" / "suites").glob("*.yaml"))
RECORDED = sorted((ROOT / "benchmarks" / "results").glob("*.jsonl"))
#: How a paper's suite was changed when it was recorded: settings and axes.
CHANGED = {
    "prefer-das/table-2": (
        {"preset": "small", "inference": "fast"},
        {"task": ["vnc2lucchi", "lucchi2vnc"], "seed": [0, 1, 2]},
    )
}


@pytest.mark.parametrize("path", SUITES, ids=lambda p: p.stem)
def test_suites_are_valid_and_their_rows_differ(path: Path, registry: Registry, workspace: Workspace) -> None:
    suite = load_suite(path, registry)
    assert suite.name == path.stem
    cells = [cell for cell in expand(suite) if cell.config.seed == 0]
    others = math.prod(len(values) for axis, values in suite.axes.items() if axis not in ("task", "seed"))
    assert len(cells) == len(suite.rows) * others * len(suite.axes["task"])
    changed = suite.changed({"data": "phantom"}, {"task": ["human2stem"], "seed": [0]})
    plans = [make_plan(cell.config, registry, workspace) for cell in expand(changed)]
    assert all(plan.stages and not plan.skip for plan in plans)
    assert len({plan.stages[-1].key for plan in plans}) == len(suite.rows) * others


#: Rows whose records went: they had been given the points that the paper gives to Model V only.
UNRECORDED = {"prefer-das/table-2": ("Model II", "Model III", "Model IV")}


@pytest.mark.parametrize("path", RECORDED, ids=lambda p: p.stem)
def test_recorded_cells_are_those_of_their_suite(path: Path, registry: Registry) -> None:
    """A cell's name is a digest of its settings: what was recorded is what the suite would run today."""
    runs = read_recorded(path)
    suite = runs[0].suite
    file = ROOT / "benchmarks" / "suites" / f"{suite}.yaml"
    planned = load_suite(file if file.is_file() else suite, registry).changed(*CHANGED.get(suite, ({}, {})))
    cells = {(c.row, c.config.cell_id) for c in expand(planned) if c.row not in UNRECORDED.get(suite, ())}
    found = {(run.tags["row"], run.cell_id) for run in runs if "outside" not in run.tags}
    assert found <= cells
    assert {run.suite for run in runs} == {suite}
    assert all(run.status == "ok" and len(run.tags["git_commit"]) == 40 for run in runs)


def test_recorded_numbers_by_hand() -> None:
    """Means of the first tables that were published here, from the cells."""
    runs = read_recorded(ROOT / "benchmarks" / "results" / "baselines-small.jsonl")
    lpo = [r for r in runs if (r.tags["row"], r.tags["task"]) == ("prefer-das lpo", "lucchi2vnc")]
    means = [fmean(run.cell_scores[share, "dice"] for run in lpo) for share in (0.0, 1.0)]
    assert means == pytest.approx([0.792, 0.781], abs=5e-4)
    assert len(lpo) == 3


PAGES = load("generate_results", "docs").PAGES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages_are_what_the_commands_print(page: Path) -> None:
    """Every table of results.md and of the papers' pages, made again from the records."""
    generate = load("generate_results", "docs")
    text = page.read_text()
    assert len(generate.BLOCK.findall(text)) == (11 if page.stem == "results" else 1)
    assert generate.made(text) == text


def test_a_csv_file_becomes_a_table(tmp_path: Path) -> None:
    (tmp_path / "some.csv").write_text("recipe,dice\nbase,.732\nother,\n")
    lines = load("generate_results", "docs").table(tmp_path / "some.csv").splitlines()
    assert lines == ["| recipe | dice |", "| --- | ---: |", "| base | .732 |", "| other |  |"]


def test_a_page_with_a_command_that_fails_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"nowhere\.jsonl: no such file"):
        load("generate_results", "docs").made(
            "<!-- dabench leaderboard --from nowhere.jsonl --markdown -->\n<!-- end -->"
        )


def test_the_recorded_board_is_of_the_recorded_cells() -> None:
    """What the board then said of whole rows, with scores by slice, fits the cells' own means."""
    results = ROOT / "benchmarks" / "results"
    board = json.loads((results / "prefer-das-table-2-board.json").read_text())
    runs = read_recorded(results / "prefer-das-table-2.jsonl")
    gone = UNRECORDED["prefer-das/table-2"]
    for standing in (s for s in board["board"]["standings"] if s["entry"] not in gone):
        own = [run.cell_scores[0.0, "dice"] for run in runs if run.tags["row"] == standing["entry"]]
        assert fmean(own) == pytest.approx(standing["overall"]["mean"])
    shared, alone = (board["savings"]["training_seconds"][key] for key in ("shared", "alone"))
    assert shared / alone == pytest.approx(0.365, abs=5e-4)


def test_an_update_is_split_into_networks_and_the_rest(registry: Registry) -> None:
    methods = load("methods")
    assembly = methods.equal(registry, "sac", "tiny", 64, 1)
    *_, (spec, stage, budget) = methods.stages_of(assembly, "sac", 0.0)
    found = methods.measure(assembly, stage, replace(spec, iterations=2), budget, 2)
    assert found.seconds > 0
    assert 0 < found.outside < 0.9
    assert found.round_seconds == 0  # its scheme has no rounds
    assert not any(m._forward_hooks for root in stage.modules().values() for m in root.modules())


def test_nested_calls_are_timed_once() -> None:
    clock = load("methods").Clock()
    with mock.patch("time.perf_counter", iter([1.0, 4.0]).__next__):
        for call in (clock.enter, clock.enter, clock.leave, clock.leave):
            call()
    assert clock.seconds == 3.0


def test_every_measured_start_lacks_its_cache() -> None:
    """The process fails unless the folder that the variable names is there and empty, also at the second start."""
    fills = "import os, pathlib; p = pathlib.Path(os.environ['ANY']); assert not [*p.iterdir()]; (p / 'x').touch()"
    found = load("overhead").start_seconds(("-c", fills), 1, "ANY")
    assert 0 < found["cpu"] < 10
    assert found["wall"] > 0


def test_the_page_names_the_recorded_starts() -> None:
    recorded = json.loads((ROOT / "benchmarks" / "results" / "overhead.json").read_text())
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    for name, by_cache in recorded["starts"]["seconds"].items():
        (line,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        for seconds in by_cache.values():
            assert f"{seconds['wall']:.2f} s" in line
            assert f"{seconds['cpu']:.2f} s" in line

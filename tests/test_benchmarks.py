"""Files in benchmarks/: suites, and recorded results that the docs quote."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from dabench.components.registry import Registry
from dabench.files.workspace import Workspace
from dabench.runs.plan import make_plan
from dabench.suites.spec import expand, load_suite
from tests.benchmark_script import load

ROOT = Path(__file__).parents[1]
SUITES = sorted((ROOT / "benchmarks" / "suites").glob("*.yaml"))


@pytest.mark.parametrize("path", SUITES, ids=lambda p: p.stem)
def test_suites_are_valid_and_their_rows_differ(path: Path, registry: Registry, workspace: Workspace) -> None:
    suite = load_suite(path, registry)
    assert suite.name == path.stem
    cells = [cell for cell in expand(suite) if cell.config.seed == 0]
    assert len(cells) == len(suite.rows) * len(suite.axes["task"])
    changed = suite.changed({"data": "phantom"}, {"task": ["human2stem"], "seed": [0]})
    plans = [make_plan(cell.config, registry, workspace) for cell in expand(changed)]
    assert all(plan.stages and not plan.skip for plan in plans)
    assert len({plan.stages[-1].key for plan in plans}) == len(suite.rows)


def test_the_suite_of_all_methods_has_the_recorded_rows(registry: Registry) -> None:
    suite = load_suite(ROOT / "benchmarks" / "suites" / "baselines-small.yaml", registry)
    assert list(suite.rows) == list(load("real_tasks").ROWS)


@pytest.mark.parametrize("name", ["real-small", "phantom-tiny"])
def test_the_results_page_quotes_what_was_recorded(name: str) -> None:
    real_tasks = load("real_tasks")
    recorded = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())
    tasks = sorted({cell["task"] for cell in recorded["cells"]})
    summary = real_tasks.summarise(recorded["cells"], recorded["tasks"])
    assert summary == recorded["summary"]
    assert len(tasks) == len(recorded["tasks"])
    page = (ROOT / "docs" / "methods" / "results.md").read_text()
    assert real_tasks.markdown(summary, recorded["tasks"]) in page


def test_the_page_of_a_recorded_table_is_what_its_cells_give() -> None:
    """Means of the record are those of its cells, and the page quotes the record's tables line by line."""
    recorded = json.loads((ROOT / "benchmarks" / "results" / "prefer-das-table-2.json").read_text())
    cells, (table,) = recorded["cells"], recorded["tables"]
    assert len(cells) == 10 * 2 * 3
    assert len({cell["git_commit"] for cell in cells}) == 1
    for line in table["lines"]:
        found = [
            c[f"target_test/{line['metric']}"] for c in cells if (c["row"], c["task"]) == (line["row"], line["task"])
        ]
        assert 100 * sum(found) / 3 == pytest.approx(line["ours"]["mean"])
    shared, alone = (recorded["savings"]["training_seconds"][key] for key in ("shared", "alone"))
    assert shared / alone < 0.45
    page = (ROOT / "docs" / "methods" / "results.md").read_text()
    numbers = [line for line in recorded["markdown"].splitlines() if line.startswith("| ")]
    assert len(numbers) > 60
    assert all(line in page for line in numbers)


def test_the_options_of_a_recorded_table_come_after_two_dashes() -> None:
    split = load("paper_table").split
    assert split(["a/b", "--output", "x", "--", "--preset", "tiny"]) == (
        ["a/b", "--output", "x"],
        ["--preset", "tiny"],
    )
    assert split(["a/b"]) == (["a/b"], [])


def test_gap_closed_by_hand() -> None:
    real_tasks = load("real_tasks")
    dice = {"source-only": 0.4, "oracle": 0.8, "prompt-das 15 %": 0.6}
    costs = {"relative_time": 1.7, "peak_memory_bytes": 2**30}
    cells = [{"row": r, "task": "a2b", "seed": 0, "dice": d, "aji": d, "pq": d, **costs} for r, d in dice.items()]
    rows = {row["row"]: row for row in real_tasks.summarise(cells, ["a2b"])}
    assert rows["prompt-das 15 %"]["gap_closed"] == pytest.approx(0.5)
    assert rows["prefer-das lpo"]["gap_closed"] is None
    assert "| 60.0 | 60.0 | 60.0 | 50 % | x1.7 | 1.0 | 50 % |" in real_tasks.markdown([*rows.values()], ["a2b"])


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

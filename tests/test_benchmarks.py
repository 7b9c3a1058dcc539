"""Files in benchmarks/: configurations of the papers' tables, and recorded results that the docs quote."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from unittest import mock

import pytest

from dabench.config import load_config
from dabench.plan import make_plan
from dabench.registry import Registry
from dabench.workspace import Workspace

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "benchmarks" / "configs").rglob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: "/".join(p.parts[-3:]))
def test_rows_of_the_papers_tables_are_valid(path: Path, registry: Registry, workspace: Workspace) -> None:
    config = load_config({"task": "human2rat", "data": "phantom", "preset": "paper"}, path)
    plan = make_plan(config, registry, workspace)
    assert plan.stages
    assert not plan.skip


def test_rows_of_one_table_differ(registry: Registry, workspace: Workspace) -> None:
    for table in {path.parent for path in CONFIGS}:
        flags = {"task": "human2rat", "data": "phantom", "preset": "paper"}
        plans = [make_plan(load_config(flags, path), registry, workspace) for path in sorted(table.glob("*.yaml"))]
        what = {(p.stages[-1].key, p.config.test_points) for p in plans}
        assert len(what) == len(plans), table


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


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

"""Files in benchmarks/: configurations of the papers' tables, and recorded results that the docs quote."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

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
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
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

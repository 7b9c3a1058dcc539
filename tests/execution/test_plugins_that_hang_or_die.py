"""A plugin whose step ends the worker's process, or never ends: its cell is named, and the others go on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dabench.components.registry import Registry
from dabench.execution.jobs import Site
from dabench.execution.local import LocalExecutor
from dabench.files.workspace import Workspace
from dabench.suites.planning import make_graph
from dabench.suites.spec import Suite
from dabench.tracking.run_reader import read_run
from tests.conftest import PHANTOMS
from tests.suites.conftest import run

#: `posix._exit` is what `os._exit` was before dabench refuses it: a fault in a C library ends a process like that.
PLUGIN = """
import posix
import time
from dataclasses import replace
from dabench.plugin import Component, hookimpl
from dabench_source_only import SourceOnly, SourceOnlySettings

class Settings(SourceOnlySettings):
    how: str = "dies"

class Bad(SourceOnly):
    def stages(self, task, budget):
        (spec,) = super().stages(task, budget)

        def build(parent):
            stage = spec.build(parent)
            stage.losses = lambda batch: posix._exit(3) if self.settings.how == "dies" else time.sleep(600)
            return stage

        return [replace(spec, method="bad", build=build)]

@hookimpl
def register_methods(register):
    register(Component(name="bad", factory=Bad, config=Settings, summary="Dies or hangs.", presets={"tiny": {}}))
"""
FEW = {"iterations": 1, "crop": 64, "batch": 1, "backbone": "conv-tiny"}


@pytest.fixture
def bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    (tmp_path / "bad.py").write_text(PLUGIN)
    monkeypatch.setenv("DABENCH_PLUGIN_FILES", str(tmp_path / "bad.py"))
    return Registry.load()


def suite(**rows: object) -> Suite:
    settings = {"data": "phantom", "preset": "tiny", "task": "human2stem", "options": PHANTOMS}
    return Suite.model_validate({"name": "bad", "settings": settings, "axes": {"seed": [0]}, "rows": rows})


def test_a_worker_that_is_gone_is_named_and_the_suite_goes_on(
    bad: Registry, workspace: Workspace, tmp_path: Path
) -> None:
    rows = suite(
        dies={"method": "bad", "options": {"bad": FEW}}, good={"method": "source-only", "options": {"source-only": FEW}}
    )
    with LocalExecutor(Site.here(workspace.root, tmp_path), jobs=2) as local:
        done = run(rows, bad, workspace, local)
    assert done.exit_code == 1
    assert {cell.node.cell.row: cell.status for cell in done.cells} == {"dies": "killed", "good": "ok"}
    (gone,) = done.failed
    assert gone.cell_id.startswith("bad-human2stem")
    assert "its process ended with code 3" in gone.reason
    assert read_run(workspace.runs / gone.cell_id).status == "killed"


def test_a_job_past_its_time_is_ended_and_says_where_it_was(
    bad: Registry, workspace: Workspace, tmp_path: Path
) -> None:
    graph = make_graph(suite(hangs={"method": "bad", "options": {"bad": {**FEW, "how": "hangs"}}}), bad, workspace)
    (job,) = (job for job in graph.jobs().values() if not job.needs)
    site = replace(Site.here(workspace.root, tmp_path), time_limit=6.0)
    with LocalExecutor(site, jobs=1) as local:
        local.submit([job])
        (outcome,) = local.wait() or local.wait()
    assert (outcome.job, outcome.status) == (job.id, "failed")
    assert outcome.reason == "it did not end within 0.1 min (--job-minutes); its log says where it was"
    assert "Timeout" in next((tmp_path / "logs").glob("*.log")).read_text()

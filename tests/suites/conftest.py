"""A suite of a few updates, and an executor that works in this process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import pytest

from dabench.components.registry import Registry
from dabench.execution.executor import Executor
from dabench.execution.jobs import Job, JobState, Site, run_job
from dabench.files.workspace import Workspace
from dabench.suites.planning import make_graph
from dabench.suites.schedule import SuiteReport, run_suite
from dabench.suites.spec import Suite
from tests.conftest import FEW, PHANTOMS

OPTIONS = {name: dict(values) for name, values in FEW.items()}
SOURCE = {"source-only": OPTIONS["source-only"]}
PROMPT = SOURCE | {"prompt-das": OPTIONS["prompt-das"]}


@pytest.fixture
def suite() -> Suite:
    """Two rows that share a source model, two seeds."""
    return Suite.model_validate(
        {
            "name": "two-rows",
            "settings": {"data": "phantom", "preset": "tiny", "task": "human2stem", "options": PHANTOMS},
            "axes": {"seed": [0, 1]},
            "rows": {
                "source": {"method": "source-only", "options": SOURCE},
                "prompt": {"method": "prompt-das", "options": PROMPT},
            },
        }
    )


class InlineExecutor(Executor):
    """One job at a time, here; ``before`` may end a job without doing it."""

    def __init__(self, workspace: Path, before: Callable[[Job], JobState | None] = lambda _: None) -> None:
        self.site, self.before = Site(workspace, workspace / "jobs"), before
        self.jobs: list[Job] = []
        self.states: list[JobState] = []

    def room(self, job: Job, beside: Sequence[Job] = ()) -> bool:
        return not beside

    def submit(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self.jobs.append(job)
            self.states.append(self.before(job) or run_job(job, self.site))

    def wait(self) -> list[JobState]:
        done, self.states = self.states, []
        return done

    def cancel(self, jobs: Collection[str]) -> None:
        self.states = [state for state in self.states if state.job not in jobs]

    def close(self) -> None:
        self.states = []


def run(suite: Suite, registry: Registry, workspace: Workspace, executor: Executor, **options: Any) -> SuiteReport:
    """Plan a suite here and run it."""
    return run_suite(make_graph(suite, registry, workspace), workspace, executor, **options)


@pytest.fixture
def inline(workspace: Any) -> InlineExecutor:
    return InlineExecutor(workspace.root)

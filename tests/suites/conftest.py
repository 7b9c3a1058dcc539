"""A suite of a few updates, and an executor that works in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dabench.execution.executor import Executor
from dabench.execution.jobs import Job, Outcome, Site, run_job
from dabench.suites.spec import Suite
from tests.conftest import FEW

OPTIONS = {name: dict(values) for name, values in FEW.items()}
SOURCE = {"source-only": OPTIONS["source-only"]}
PROMPT = SOURCE | {"prompt-das": OPTIONS["prompt-das"]}


@pytest.fixture
def suite() -> Suite:
    """Two rows that share a source model, two seeds."""
    return Suite.model_validate(
        {
            "name": "two-rows",
            "settings": {"data": "phantom", "preset": "tiny", "task": "human2stem"},
            "axes": {"seed": [0, 1]},
            "rows": {
                "source": {"method": "source-only", "options": SOURCE},
                "prompt": {"method": "prompt-das", "options": PROMPT},
            },
        }
    )


class InlineExecutor(Executor):
    """One job at a time, here; ``before`` may end a job without doing it."""

    def __init__(self, workspace: Path, before: Callable[[Job], Outcome | None] = lambda _: None) -> None:
        self.site, self.before = Site(workspace), before
        self.jobs: list[Job] = []
        self.outcomes: list[Outcome] = []

    def room(self, job: Job) -> bool:
        return not self.outcomes

    def submit(self, job: Job) -> None:
        self.jobs.append(job)
        self.outcomes.append(self.before(job) or run_job(job, self.site))

    def wait(self) -> list[Outcome]:
        done, self.outcomes = self.outcomes, []
        return done

    def close(self) -> None:
        self.outcomes = []


@pytest.fixture
def inline(workspace: Any) -> InlineExecutor:
    return InlineExecutor(workspace.root)

"""What an executor works off: a job trains one stage, or scores one cell whose stages are all trained."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dabench.tracking.events import Altered

#: Set by a user for a whole session; a worker, wherever it is, gets the same.
_CARRIED = ("DABENCH_DATA", "DABENCH_PLUGIN_FILES", "DABENCH_STRICT_PLUGINS", "DABENCH_PLUGIN_SECONDS")


@dataclass(frozen=True)
class Job:
    """A stage to train (``stage`` is its place in the cell's chain) or, with None, a cell to score.

    ``needs`` are jobs that come first, ``keys`` the stages (parents first) whose folders it reads or makes;
    ``memory`` is what it is expected to take in bytes, ``altered`` what earlier jobs found altered in those stages.
    """

    id: str
    label: str
    suite: str
    config: Mapping[str, Any]
    stage: int | None
    needs: tuple[str, ...]
    keys: tuple[str, ...]
    memory: int
    altered: tuple[Altered, ...] = ()

    @property
    def makes(self) -> str:
        """Key of the stage that it trains; "" for a cell."""
        return "" if self.stage is None else self.keys[self.stage]


@dataclass(frozen=True)
class Site:
    """Where and how a job runs: workspace, threads, most bytes and seconds (0: no limit), settings of the session."""

    workspace: Path
    threads: int = 1
    memory_limit: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    time_limit: float = 0.0

    @classmethod
    def here(cls, workspace: Path, threads: int = 1, memory_limit: int = 0, time_limit: float = 0.0) -> Site:
        """This process's settings, to be carried to workers."""
        carried = {name: os.environ[name] for name in _CARRIED if name in os.environ}
        return cls(workspace, threads, memory_limit, carried, time_limit)


@dataclass(frozen=True)
class Outcome:
    """How a job ended: ``ok``, ``failed``, ``oom``, ``skipped`` or ``killed``.

    ``altered`` is what it found altered and made again, by the stage's key or the file's name.
    """

    job: str
    status: str
    reason: str = ""
    seconds: float = 0.0
    altered: Mapping[str, Altered] = field(default_factory=dict)


def run_job(job: Job, site: Site) -> Outcome:
    """Do a job in this process. Whatever it raises is its outcome; the traceback goes to the worker's log (stderr)."""
    started, altered = time.perf_counter(), dict[str, Altered]()
    os.environ.update({**site.environment, "DABENCH_WORKSPACE": str(site.workspace)})
    try:
        status, reason, altered = _work(job, site)
    except KeyboardInterrupt:
        status, reason = "killed", "interrupted"
    except BaseException as error:
        traceback.print_exc()
        status, reason = _status_of(error), f"{type(error).__name__}: {error}"
    return Outcome(job.id, status, reason, time.perf_counter() - started, altered)


def _work(job: Job, site: Site) -> tuple[str, str, dict[str, Altered]]:
    import torch

    from dabench.components.registry import Registry
    from dabench.errors import ConfigError
    from dabench.files.workspace import Workspace
    from dabench.runs.config import validate_config
    from dabench.runs.plan import make_plan
    from dabench.runs.runner import Runner

    torch.set_num_threads(site.threads)
    if site.memory_limit:
        _limit_memory(site.memory_limit)
    registry, workspace = Registry.load(), Workspace(site.workspace)
    plan = make_plan(validate_config(job.config), registry, workspace)
    if tuple(s.key for s in plan.stages) != job.keys:
        raise ConfigError(
            f"{job.label}: this machine plans other stages than the one that started the suite.",
            "Code, torch, data and precision have to be the same; --set precision=float32 fixes the last.",
        )
    runner = Runner(plan, registry, workspace, suite=job.suite, altered=job.altered)
    if job.stage is not None:
        runner.train_until(job.stage)
        status, reason = "ok", ""
    else:
        record = runner.execute()
        status, reason = record.status, record.reason
    keys = {stage.spec.name: stage.key for stage in plan.stages}
    return status, reason, {keys.get(event.work, event.work): event for event in runner.observer.found}


def _limit_memory(limit: int) -> None:
    """Let allocations past the limit fail in this process, instead of the machine choosing whom to kill."""
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _status_of(error: BaseException) -> str:
    from dabench.errors import OutOfMemoryError

    return "oom" if isinstance(error, OutOfMemoryError | MemoryError) else "failed"

"""A volume predicted by jobs of Slurm: one plans, many predict chunks, one joins them. Submitting imports no torch."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from dabench.errors import DabenchError
from dabench.execution.jobs import Job, JobState
from dabench.execution.schedule import Schedule
from dabench.execution.settings import ExecutorSettings
from dabench.files.workspace import Workspace
from dabench.volumes.prediction.request import Request
from dabench.volumes.prediction.shares import share_jobs

#: Jobs that chunks are shared among, unless a user says how many.
_SHARES = 4
_REQUEST = TypeAdapter(Request)


def predict_by_slurm(request: Request, where: ExecutorSettings, tell: Callable[[str], None]) -> dict[str, Any]:
    """Submit a prediction, follow it to its end; what the plan and the summary say as JSON values.

    Started again after this process was killed, it follows the jobs that there are.

    Args:
        request: with paths that every node sees.
        where: ``slurm``; its ``jobs`` are those that chunks are shared among.
        tell: told a line when a job ends.

    Raises:
        DabenchError: a job failed; what it said.
    """
    output = request.output.absolute()
    partial, folder = (output.with_name(f"{output.name}.{end}") for end in ("partial", "jobs"))
    arguments = {"request": _REQUEST.dump_python(request, mode="json"), "workspace": str(Workspace.find().root)}
    asked = where.resources
    with where.make(partial, folder) as executor:
        prepare = Job("prepare", "dabench.api.prediction_jobs:prepare", arguments, "plan", asked)
        plan = _last(Schedule(executor, {prepare.id: prepare}, where.tries), tell)
        shares = {job.id: job for job in share_jobs(plan["open"], where.jobs or _SHARES, asked)}
        finish = Job("finish", "dabench.api.prediction_jobs:finish", arguments, "join", asked, tuple(shares))
        schedule = Schedule(executor, {**shares, finish.id: finish}, where.tries)
        schedule.adopt()
        summary = _last(schedule, tell)
    shutil.rmtree(folder)
    return {**plan["plan"], **summary}


def _last(schedule: Schedule, tell: Callable[[str], None]) -> Mapping[str, Any]:
    """What the last job returned. Raises DabenchError."""
    state, executor = JobState("", "failed"), schedule.executor
    for job, state, _ in schedule.ends():
        tell(f"  {state.status:<8} {job.label} ({state.seconds:.0f} s) on {state.host or 'no node'}")
        if state.status != "ok":
            executor.cancel(set(schedule.running))
            log = executor.site.log(job.id)
            raise DabenchError(f"{job.label}: {state.reason}", f"Log: {log}. The same command continues.")
    return state.value


def prepare(root: Path, request: Mapping[str, Any], workspace: str) -> dict[str, Any]:
    """A job: plan the prediction, and write what those that predict chunks are told."""
    from dabench.api.prediction import prepare_prediction
    from dabench.volumes.prediction.chunk_log import CHUNK_LOG, ChunkLog
    from dabench.volumes.prediction.processes import write_assignment

    prepared = prepare_prediction(_REQUEST.validate_python(request), workspace=workspace).ready()
    root.mkdir(parents=True, exist_ok=True)
    log = ChunkLog(root / CHUNK_LOG, prepared.plan.configuration())
    blocks = {n: block for n, block in enumerate(prepared.plan.chunking.blocks()) if n not in log.chunks}
    write_assignment(root, prepared.assignment(), blocks)
    return {"open": list(blocks), "plan": prepared.plan.describe()}


def finish(root: Path, request: Mapping[str, Any], workspace: str) -> dict[str, Any]:
    """A job: write all chunks to the output, find objects, give it its name."""
    from dabench.api.prediction import prepare_prediction
    from dabench.volumes.prediction.processes import predict_rest
    from dabench.volumes.prediction.volume import predict_volume

    prepared = prepare_prediction(_REQUEST.validate_python(request), workspace=workspace).ready()
    predicts = predict_rest(root, prepared.plan.model.predictor)
    return predict_volume(prepared.plan, prepared.assignment(), predicts).as_json()

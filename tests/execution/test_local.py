"""Worker processes of one machine: packing, a killed worker, a memory limit, the death of the suite's process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dabench.components.registry import Registry
from dabench.errors import ConfigError
from dabench.execution.jobs import Job, Resources, Site
from dabench.execution.local import LocalExecutor, free_memory
from dabench.runs.config import validate_config
from dabench.runs.plan import make_plan
from dabench.suites.planning import make_graph
from dabench.tracking.run_reader import read_run
from tests.suites.conftest import run

GIB = 2**30


@pytest.fixture
def jobs(suite, registry, workspace) -> list[Job]:
    """The stage jobs that can start at once: a source model a seed."""
    graph = make_graph(suite, registry, workspace)
    return [job for job in graph.jobs().values() if not job.needs]


def executor(workspace, tmp_path: Path, **values) -> LocalExecutor:
    return LocalExecutor(Site.here(workspace.root, tmp_path), **values)


@pytest.mark.slow
def test_a_suite_runs_in_worker_processes(suite, registry, workspace, tmp_path):
    with executor(workspace, tmp_path, jobs=2) as local:
        done = run(suite.changed({}, {"seed": [0]}), registry, workspace, local)
    assert done.counts() == {"ok": 2}
    assert len(list((tmp_path / "logs").glob("*.log"))) == 4


def test_jobs_are_packed_by_slots_and_memory(jobs, workspace, tmp_path):
    big = taking(jobs[0], 3 * GIB)
    with executor(workspace, tmp_path, jobs=2, memory=4 * GIB) as local:
        assert local.room(taking(big, 100 * GIB))  # the first gets in whatever it takes
        local.submit([big])
        assert local.room(taking(jobs[1], GIB))
        assert not local.room(taking(jobs[1], 2 * GIB))
        local.submit([taking(jobs[1], GIB)])
        assert not local.room(taking(jobs[1], 0))
        while local._running:
            assert all(o.status == "ok" for o in local.wait())
    with pytest.raises(ConfigError, match="--per-gpu 0"):
        executor(workspace, tmp_path, jobs=1, per_gpu=0)
    assert 0 < free_memory() < 2**50


def test_a_killed_worker_is_an_outcome_and_takes_nothing_down(jobs, workspace, tmp_path):
    long = having(jobs[0], checkpoint_every=1)
    with executor(workspace, tmp_path, jobs=2) as local:
        local.submit([long])
        local.submit([jobs[1]])
        os.kill(local._running[0].process.pid or 0, signal.SIGKILL)
        states = {}
        while len(states) < 2:
            states |= {s.job: s for s in local.wait()}
    assert (states[long.id].status, states[jobs[1].id].status) == ("killed", "ok")
    assert "SIGKILL" in states[long.id].reason


def test_a_job_past_its_memory_is_oom(jobs, workspace, tmp_path):
    """It starts well below the limit, so that what fails is an allocation of its own, as in life."""
    options = {"source-only": {"iterations": 1, "crop": 128, "batch": 1024}}
    hungry = having(jobs[0], options=options)
    hungry = replace(hungry, arguments={**hungry.arguments, "keys": _keys(hungry, workspace)})
    with LocalExecutor(Site.here(workspace.root, tmp_path, 2 * GIB), jobs=1) as local:
        local.submit([hungry])
        (outcome,) = local.wait()
    assert outcome.status == "oom", outcome
    with LocalExecutor(Site.here(workspace.root, tmp_path, 2 * GIB), jobs=1) as local:
        local.submit([jobs[0]])
        (outcome,) = local.wait()
    assert outcome.status == "ok", outcome


def _keys(job: Job, workspace) -> list[str]:
    plan = make_plan(validate_config(job.arguments["config"]), Registry.load(), workspace)
    return [stage.key for stage in plan.stages]


def taking(job: Job, memory: int) -> Job:
    return replace(job, resources=Resources(memory=memory))


def having(job: Job, **settings) -> Job:
    return replace(job, arguments={**job.arguments, "config": {**job.arguments["config"], **settings}})


SUITE = """
name: long
settings: {data: phantom, preset: tiny, task: human2stem, checkpoint_every: 5}
axes: {seed: [0]}
rows:
  source: {method: source-only, options: {source-only: {iterations: %d, crop: 64, batch: 2}}}
"""


@pytest.mark.slow
def test_kill_minus_9_leaves_no_worker_and_the_suite_continues(tmp_path):
    """The suite's process is killed while a stage trains; its workers go with it; the next start resumes the stage."""
    path, place = tmp_path / "long.yaml", tmp_path / "workspace"
    path.write_text(SUITE % 60)
    command = [sys.executable, "-m", "dabench.cli.main", "suite", "run", str(path), "--jobs", "1", "--tracker", "none"]
    environment = {**os.environ, "DABENCH_WORKSPACE": str(place), "OMP_NUM_THREADS": "1"}
    running = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _until(lambda: any(place.glob("stages/*/checkpoint.pt")), running)
    workers = list(_descendants(running.pid))
    assert workers
    running.kill()
    running.wait()
    _until(lambda: not any(_alive(pid) for pid in workers))

    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = [read_run(p.parent) for p in place.glob("runs/*/journal.jsonl")]
    assert run.status == "ok"
    assert run.stages[0].updates == 60


def _until(true, process: subprocess.Popen | None = None, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        assert process is None or process.poll() is None, "it ended too early"
        time.sleep(0.02)


def _descendants(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield int(child)
            yield from _descendants(int(child))


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_workers_import_what_their_parent_does_whatever_lies_in_the_current_folder(tmp_path: Path) -> None:
    for name in ("torch", "dabench", "fda", "queue"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    script = tmp_path / "bin" / "start.py"
    script.parent.mkdir()
    script.write_text(
        "from multiprocessing import get_context\n"
        "from dabench.errors import ConfigError\n"
        "from dabench.execution.local import same_imports\n"
        "if __name__ == '__main__':\n"
        "    context = get_context('forkserver')\n"
        "    context.set_forkserver_preload(['dabench.errors', 'queue'])\n"
        "    process = context.Process(target=ConfigError, args=('a',))\n"
        "    with same_imports():\n"
        "        process.start()\n"
        "    process.join()\n"
        "    raise SystemExit(process.exitcode)\n"
    )
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")

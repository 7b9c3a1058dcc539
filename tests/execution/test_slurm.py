"""A real Slurm of one node: jobs, the process that submits and the node's daemon killed; nothing is lost or twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dabench.api.prediction_jobs import predict_by_slurm
from dabench.execution.jobs import Site
from dabench.execution.schedule import Schedule
from dabench.execution.settings import ExecutorSettings
from dabench.execution.slurm import SlurmExecutor, SlurmOptions
from dabench.execution.slurm_queue import cancel_all, submitted
from dabench.models import load_model
from dabench.tracking.run_reader import read_run
from dabench.volumes.prediction.plan import make_prediction_plan
from dabench.volumes.prediction.precision import measured
from dabench.volumes.prediction.processes import predict_here
from dabench.volumes.prediction.volume import predict_volume
from dabench.volumes.prediction.worker import RunModel
from tests.execution.slurm_daemons import PROGRAMS, Daemons, slurm, until
from tests.execution.work import ended, graph, job, lines
from tests.volumes.prediction.fakes import arrays, request_of, scan

_MISSING = [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(_MISSING), reason=f"no {', '.join(_MISSING)} (Debian: munge slurmctld slurmd slurm-client)"
    ),
]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemons]:
    with slurm(tmp_path_factory.mktemp("slurm")) as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", running.environment["SLURM_CONF"])
        yield running


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "root", tmp_path / "site")


def executor(site: Site) -> SlurmExecutor:
    return SlurmExecutor(site, SlurmOptions(hours=0.25, poll=0.3))


#: Two that can start at once and take a while, one after each, one after both: what a suite's graph looks like.
def jobs(seconds: float = 6.0) -> dict[str, Any]:
    return graph(
        job("a", seconds=seconds),
        job("b", seconds=seconds),
        job("after-a", "a"),
        job("after-b", "b"),
        job("after-both", "a", "b"),
    )


ALL = ["a", "after-a", "after-b", "after-both", "b"]

SUBMITS = """
import sys
from pathlib import Path
from tests.execution.test_slurm import Schedule, Site, executor, jobs
root = Path(sys.argv[1])
with executor(Site(root / "root", root / "site")) as runs:
    for _ in Schedule(runs, jobs()).ends():
        pass
"""


def follow(site: Site, retries: int = 0) -> dict[str, str]:
    with executor(site) as runs:
        schedule = Schedule(runs, jobs(), retries)
        schedule.adopt(since=1.0)
        return {one.id: state.status for one, state, _ in schedule.ends()}


def test_jobs_of_one_kind_are_an_array_and_dependencies_are_slurms(daemons, site):
    with executor(site) as runs:
        schedule = Schedule(runs, {**jobs(0.0), **graph(job("bad", function="fail"), job("lost", "bad"))})
        schedule.submit()
        written = [json.loads(line)["jobs"] for line in (site.folder / "slurm.jsonl").read_text().splitlines()]
        assert written == [["a", "b", "bad"], ["after-a"], ["after-both"], ["after-b"], ["lost"]]
        found = {one.id: (state.status, [o.id for o in lost]) for one, state, lost in schedule.ends()}
    assert found == {**dict.fromkeys(ALL, ("ok", [])), "bad": ("failed", ["lost"])}
    assert ended(site.root) == ALL
    assert submitted(site) == {}


def test_the_submitting_process_is_killed_and_another_takes_over(daemons, site, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "plugins")))}
    process = subprocess.Popen([sys.executable, "-c", SUBMITS, str(tmp_path)], env=environment, cwd=ROOT)
    until(lambda: "begin a" in lines(site.root))
    process.send_signal(signal.SIGKILL)
    process.wait()
    there = submitted(site)
    assert {"a", "b"} <= set(there) <= set(ALL)
    assert there["a"].state == "RUNNING"
    assert there["a"].nodes == daemons.host
    follow(site)
    assert ended(site.root) == ALL
    assert lines(site.root).count("begin a") == 1


def test_a_job_is_killed_preempted_and_told_of_its_time_limit(daemons, site):
    """Three ways to lose a process: each continues where it was, and what needs it waits."""
    with executor(site) as runs:
        schedule = Schedule(runs, jobs(8.0), retries=1)
        schedule.submit()
        until(lambda: {"begin a", "begin b"} <= set(lines(site.root)))
        until(lambda: (site.root / "b.steps").is_file())
        os.kill(site.state("a").pid, signal.SIGKILL)
        daemons.ask("scontrol", "requeue", submitted(site)["b"].number)
        until(lambda: lines(site.root).count("begin b") == 2)
        daemons.ask("scancel", "--signal=USR2", submitted(site)["b"].number)
        until(lambda: lines(site.root).count("begin b") == 3)
        found = {one.id: state.status for one, state, _ in schedule.ends()}
    assert found == dict.fromkeys(ALL, "ok")
    assert ended(site.root) == ALL
    assert lines(site.root).count("begin a") == 2
    assert 80 <= len((site.root / "b.steps").read_text()) <= 82, "steps that were done are not done again"


def test_the_daemons_are_killed_and_nothing_is_lost(daemons, site):
    with executor(site) as runs:
        schedule = Schedule(runs, jobs())
        schedule.submit()
        until(lambda: "begin a" in lines(site.root))
        daemons.kill("slurmctld")
        daemons.kill("slurmd")
        assert runs._there() is None, "a queue that does not answer is no end of jobs"
        daemons.start("slurmctld")
        daemons.start("slurmd")
        found = {one.id: state.status for one, state, _ in schedule.ends()}
    assert found == dict.fromkeys(ALL, "ok")
    assert ended(site.root) == ALL
    assert lines(site.root).count("begin a") == 1


def test_cancel_stops_all_jobs_of_a_site_and_no_other(daemons, site, tmp_path):
    other = Site(tmp_path / "other", tmp_path / "other-site")
    with executor(site) as runs, executor(other) as others:
        Schedule(runs, jobs(60.0)).submit()
        Schedule(others, graph(job("x", seconds=60.0))).submit()
        assert cancel_all(site) == 5
        until(lambda: not submitted(site))
        assert set(submitted(other)) == {"x"}
        cancel_all(other)


SUITE = """
name: two
settings: {data: phantom, preset: tiny, task: human2stem}
rows:
  source: {method: source-only, options: {source-only: {iterations: 2, crop: 64, batch: 1}}}
"""


def test_a_suite_by_the_command_without_torch_where_it_is_submitted(daemons, tmp_path):
    """A module in the way of torch: importing it in the submitting process would end it; nodes do not see it."""
    path, place, blocked = tmp_path / "two.yaml", tmp_path / "workspace", tmp_path / "blocked"
    path.write_text(SUITE)
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text(
        "import os, sys\nif 'SLURM_JOB_ID' not in os.environ:\n    sys.modules['torch'] = None\n"
    )
    search = os.pathsep.join(map(str, (blocked, ROOT, ROOT / "plugins")))
    environment = {**os.environ, "DABENCH_WORKSPACE": str(place), "PYTHONPATH": search, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "dabench.cli.main", "suite"]
    where = ["--executor", "slurm", "--partition", "gpu", "--time", "0:30:00"]

    def dabench(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=False)

    done = dabench("run", str(path), *where)
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = [read_run(p.parent) for p in place.glob("runs/*/journal.jsonl")]
    assert run.status == "ok"
    assert (place / "mlflow.db").is_file(), "the submitting process writes MLflow"
    told = json.loads(dabench("status", str(path), "--json").stdout)
    assert told["counts"] == {"ok": 1}
    assert told["running"] == []
    assert dabench("cancel", str(path)).stdout == "no jobs of this suite are queued or running in Slurm\n"


def test_a_volume_by_jobs_is_that_of_one_process(daemons, trained, registry, tmp_path, monkeypatch):
    """Plan, two shares of chunks, join; the process that submits is this one, and predicts nothing."""
    monkeypatch.setenv("DABENCH_WORKSPACE", str(trained.workspace.root))
    scan(tmp_path / "scan.tif", (6, 120, 200))
    model = load_model(trained.config.cell_id, registry, trained.workspace)
    near = request_of(tmp_path, run=trained.config.cell_id, chunk=(1, 120, 120))
    plan = measured(make_prediction_plan(near, model, registry), registry)
    source = RunModel(trained.config.cell_id, trained.workspace.root, "cpu")
    predict_volume(plan, plan.assignment(source), partial(predict_here, predictor=model.predictor))
    told: list[str] = []
    far = replace(near, output=tmp_path / "far.zarr")
    done = predict_by_slurm(far, ExecutorSettings("slurm", jobs=2, time="0:30:00"), told.append)
    said = [line.partition("(")[0].split() for line in told]
    assert (said[0], said[-1]) == (["ok", "plan"], ["ok", "join"])
    assert sorted(said[1:-1]) == [["ok", "6", "chunks", "from", first] for first in "01"]
    assert done["chunks"] == 12
    found, expected = arrays(tmp_path / "far.zarr"), arrays(near.output)
    assert found.keys() == expected.keys()
    assert all((found[key] == expected[key]).all() for key in expected)
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith("far")) == ["far.zarr"]

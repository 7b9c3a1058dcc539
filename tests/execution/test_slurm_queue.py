"""What is made of Slurm's answers, with programs in its place that say them: adopted, cancelled, never guessed."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from dabench.errors import ConfigError
from dabench.execution.jobs import JobState, Site
from dabench.execution.settings import ExecutorSettings
from dabench.execution.slurm import SlurmExecutor, SlurmOptions
from dabench.execution.slurm_queue import cancel_all, submitted
from tests.execution.work import graph, job


class FakeSlurm:
    """Programs on the path: ``squeue`` prints a file, ``scancel`` adds to one, ``sbatch`` gives numbers from 7."""

    def __init__(self, folder: Path) -> None:
        self.queue, self.cancelled, self.scripts = folder / "queue", folder / "cancelled", folder / "scripts"
        self.scripts.mkdir()
        programs = {
            "squeue": f"cat {self.queue}",
            "scancel": f'echo "$@" >> {self.cancelled}',
            "srun": "exit 1",
            "sbatch": f'n=$((7 + $(ls {self.scripts} | wc -l))); cp "$1" {self.scripts}/$n; echo "Submitted job $n"',
        }
        for name, line in programs.items():
            path = folder / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"#!/bin/sh\n{line}\n")
            path.chmod(0o755)

    def says(self, *lines: str) -> None:
        self.queue.write_text("".join(f"{line}\n" for line in lines))

    def asked(self, number: int) -> set[str]:
        """The options of a submission."""
        lines = (self.scripts / str(number)).read_text().splitlines()
        return {line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH")}


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    return FakeSlurm(tmp_path)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path / "root", tmp_path / "site")


def note(site: Site, token: str, *jobs: str) -> None:
    site.folder.mkdir(parents=True, exist_ok=True)
    with (site.folder / "slurm.jsonl").open("a") as file:
        file.write(json.dumps({"token": token, "jobs": jobs}) + "\n")


def test_jobs_in_the_queue_are_known_by_the_token_of_their_submission(fake, site):
    note(site, "t1", "a", "b")
    note(site, "t2", "c")
    fake.says("5_1|RUNNING|n1|1:02|dabench-t1", "6|PENDING||0:00|dabench-t2", "9|RUNNING|n2|1:00|somebody's")
    there = submitted(site)
    assert {name: (q.number, q.state, q.nodes, q.time) for name, q in there.items()} == {
        "b": ("5_1", "RUNNING", "n1", "1:02"),
        "c": ("6", "PENDING", "", "0:00"),
    }
    assert cancel_all(site) == 2
    assert fake.cancelled.read_text().split() == ["5_1", "6"]


def test_a_submission_that_was_only_half_noted_is_none(fake, site):
    note(site, "t1", "a")
    with (site.folder / "slurm.jsonl").open("a") as file:
        file.write('{"token": "t2", "jo')
    fake.says("5|RUNNING|n1|1:02|dabench-t1")
    assert list(submitted(site)) == ["a"]


def test_a_queue_that_does_not_answer_is_an_error_and_no_empty_queue(fake, site):
    note(site, "t1", "a")
    with pytest.raises(ConfigError, match="nothing is submitted twice"):
        submitted(site)


def test_what_is_adopted_and_what_is_stopped(fake, site):
    """``a`` runs; ``b`` ended well since the plan, ``c`` before it; ``d`` failed; ``old`` is not asked for any more."""
    note(site, "t1", "a", "old")
    fake.says("5_0|RUNNING|n1|1:02|dabench-t1", "5_1|RUNNING|n1|1:02|dabench-t1")
    now = time.time()
    site.say(JobState("b", "ok", started=now, seconds=1))
    site.say(JobState("c", "ok", started=now - 100, seconds=1))
    site.say(JobState("d", "failed", started=now, seconds=1))
    runs = SlurmExecutor(site)
    assert runs.adopt(graph(*map(job, "abcd")), since=now - 50) == {"a", "b"}
    assert fake.cancelled.read_text().split() == ["5_1"]
    assert [state.job for state in runs.wait()] == ["b"]


def test_options_of_a_submission(fake, site):
    settings = ExecutorSettings(
        "slurm", 20, threads=2, gpus_per_job=1, time="4:00:00", partition="gpu", slurm=("qos=x",)
    )
    runs = settings.make(site.root, site.folder)
    runs.submit([replace(one, resources=settings.resources) for one in (job("a"), job("b"), job("c", "a", "b"))])
    (token,) = {
        line["token"] for line in map(json.loads, (site.folder / "slurm.jsonl").open()) if line["jobs"] == ["c"]
    }
    common = {"time=240", "partition=gpu", "cpus-per-task=2", "gpus-per-node=1", "qos=x", "requeue", "signal=USR2@90"}
    assert common | {"array=0-1%2"} <= fake.asked(7)
    assert common | {"dependency=afterok:7_0:7_1", "kill-on-invalid-dep=yes", f"comment=dabench-{token}"} <= fake.asked(
        8
    )
    assert not [option for option in fake.asked(7) if option.startswith(("mem", "dependency"))]


def test_a_job_that_vanishes_twice_is_killed_and_one_that_was_only_late_is_not(fake, site):
    runs = SlurmExecutor(site, SlurmOptions(poll=0.01))
    runs.submit([job("a")])
    fake.says()
    (state,) = runs.wait()
    assert (state.job, state.status) == ("a", "killed")
    assert "before it began" in state.reason
    runs.submit([job("b")])
    site.say(JobState("b", "ok"))
    assert [s.status for s in runs.wait()] == ["ok"]


def test_what_sbatch_refuses_is_said(fake, site):
    (site.root.parent / "bin" / "sbatch").write_text("#!/bin/sh\necho invalid partition >&2\nexit 1\n")
    with pytest.raises(ConfigError, match=r"did not take the jobs(.|\n)*invalid partition"):
        SlurmExecutor(site).submit([job("a")])

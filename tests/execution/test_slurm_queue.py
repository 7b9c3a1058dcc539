"""What is made of Slurm's answers, with programs in its place that say them: adopted, cancelled, never guessed."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from dabench.errors import ConfigError
from dabench.execution.jobs import JobState, Site
from dabench.execution.schedule import Schedule
from dabench.execution.settings import ExecutorSettings
from dabench.execution.slurm import SlurmExecutor, SlurmOptions, _Run
from dabench.execution.slurm_queue import cancel_all, submitted
from tests.execution.work import graph, job, lines


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


def token(site: Site) -> str:
    """Of the last submission."""
    return json.loads((site.folder / "slurm.jsonl").read_text().splitlines()[-1])["token"]


@pytest.fixture
def runs(site: Site, fake: FakeSlurm) -> SlurmExecutor:
    fake.says()
    return SlurmExecutor(site, SlurmOptions(poll=0.01))


def test_a_job_that_slurm_forgot_is_submitted_again_but_not_for_ever(runs, fake, site):
    """A controller that is killed loses what it had not saved: seconds in which nothing was tried."""
    ((_, state, _),) = Schedule(runs, graph(job("a"))).ends()
    assert (state.status, len(list(fake.scripts.iterdir()))) == ("killed", 4)
    assert "did not start" in state.reason


def test_a_state_that_comes_late_counts(runs, site):
    runs.submit([job("b")])
    site.say(JobState("b", "ok"))
    assert [s.status for s in runs.wait()] == ["ok"]


@pytest.mark.parametrize(
    ("said", "status"), [("CANCELLED", "failed"), ("OUT_OF_MEMORY", "oom"), ("NODE_FAIL", "killed"), (None, "lost")]
)
def test_a_job_that_says_nothing_ended_as_slurm_says(runs, fake, site, said, status):
    """A number that the controller gave again, to another submission, says nothing of this one."""
    runs.submit([job("a")])
    fake.says(f"7|{said}|n1|1:00|dabench-{token(site)}" if said else "7|RUNNING|n1|1:00|dabench-another")
    (state,) = runs.wait()
    assert state.status == status
    assert said is None or f"Slurm: {said.lower()}" in state.reason
    assert submitted(site) == {}


def test_a_job_that_ended_is_waited_for_while_slurm_would_start_it_again(runs, fake, site):
    """Slurm that is not there says nothing, and one that lists a job lets those that need it wait."""
    runs.submit([job("a"), job("b")])
    site.say(JobState("a", "ok"))
    site.say(JobState("b", "ok"))
    fake.says(f"7_0|PENDING||0:00|dabench-{token(site)}", f"7_1|COMPLETED|n1|0:10|dabench-{token(site)}")
    assert [state.job for state in runs.wait()] == ["b"]
    (fake.queue.parent / "bin" / "squeue").write_text("#!/bin/sh\nexit 1\n")
    assert runs._there() is None


def test_a_job_that_is_started_again_waits_for_the_first_and_is_not_done_twice(site):
    """Of a node: the lock is that of its process, and what it left is how the job ended."""
    run, done = _Run(job("a", seconds=0.5), site), list[JobState]()
    threads = [Thread(target=lambda: done.append(run._once())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lines(site.root) == ["begin a", "end a"]
    assert [state.status for state in done] == ["ok", "ok"]


def test_what_sbatch_refuses_is_said(fake, site):
    (site.root.parent / "bin" / "sbatch").write_text("#!/bin/sh\necho invalid partition >&2\nexit 1\n")
    with pytest.raises(ConfigError, match=r"did not take the jobs(.|\n)*invalid partition"):
        SlurmExecutor(site).submit([job("a")])

"""From what a user asked for to a start: planned by a job, kept beside the suite, and told by whoever asks later."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from dabench.errors import ConfigError, DabenchError, DataError
from dabench.execution.jobs import JobState, Resources
from dabench.execution.settings import ExecutorSettings
from dabench.suites.graph import StartedSuite, read_started, write_started
from dabench.suites.planning import make_graph
from dabench.suites.schedule import standing
from dabench.suites.submitting import Asked, Start, plan_there, running, site_of, status_of
from tests.suites.conftest import InlineExecutor


@pytest.fixture
def asked(suite, workspace, tmp_path: Path, monkeypatch) -> Asked:
    monkeypatch.setenv("DABENCH_WORKSPACE", str(workspace.root))
    file = tmp_path / "two.yaml"
    file.write_text(yaml.safe_dump(suite.model_dump(mode="json", exclude_defaults=True), sort_keys=False))
    return Asked(str(file), {}, {"seed": [1]})


def test_a_job_plans_the_chosen_rows(asked, workspace):
    some = replace(asked, rows=["prompt"])
    assert some.changed
    start = plan_there(some, ExecutorSettings("slurm"), workspace, InlineExecutor(workspace.root))
    assert [node.cell.row for node in start.graph.cells] == ["prompt"]
    assert set(start.graph.suite.rows) == {"source", "prompt"}, "the record of the suite has them all"


def test_a_suite_is_named_without_its_plugins(asked):
    assert asked.name == "two-rows"
    assert Asked("prefer-das/table-2", {}, {}).name == "prefer-das/table-2"
    assert (asked.changed, Asked(asked.file, {}, {}).changed) == (True, False)


def test_a_job_plans_what_this_machine_would(asked, suite, registry, workspace):
    executor = InlineExecutor(workspace.root)
    start = plan_there(asked, ExecutorSettings("slurm", threads=2), workspace, executor)
    assert start.graph == make_graph(suite.changed({}, {"seed": [1]}), registry, workspace, threads=2)
    assert [job.function for job in executor.jobs] == ["dabench.suites.work:plan"]
    assert abs(start.planned - time.time()) < 600
    assert status_of(Asked(asked.file, {}, {})).counts() == {"new": 2}, "the plan of the node, as it was started"
    jobs = start.graph.jobs(Resources(gpus=0.5))
    assert {(j.resources.cores, j.resources.gpus) for j in jobs.values()} == {(2, 0.5)}
    with pytest.raises(ConfigError, match="--detach"):
        start.submit(ExecutorSettings())


def test_what_cannot_be_planned_is_said_with_the_words_of_the_node(asked, workspace):
    wrong = Asked(asked.file, {"method": "nothing-of-the-kind"}, {"rows": ["x"]})
    with pytest.raises(DabenchError, match="planning on a node"):
        plan_there(wrong, ExecutorSettings("slurm"), workspace, InlineExecutor(workspace.root))


def test_a_start_is_read_as_it_was_written_and_a_damaged_one_is_named(suite, registry, workspace):
    started = StartedSuite(make_graph(suite, registry, workspace), "slurm", 12.5)
    path = write_started(workspace, started)
    assert read_started(workspace, suite.name) == started
    assert standing(started.graph, workspace).counts() == {"new": 4}
    path.write_text("{}")
    with pytest.raises(DataError, match=r"plan\.json: damaged"):
        read_started(workspace, suite.name)
    assert read_started(workspace, "another") is None


def test_jobs_that_run_or_did_not_end_well_are_told_and_no_dead_ones(asked):
    site, here = site_of(asked), socket.gethostname()
    site.say(JobState("a", "running", label="one", host=here, pid=os.getpid(), started=time.time() - 3700))
    site.say(JobState("b", "running", host=here, pid=2**30))
    site.say(JobState("c", "running", host="another-host", pid=1, started=time.time()))
    site.say(JobState("d", "failed", "no", 61.0, host=here, pid=5))
    site.say(JobState("e", "ok"))
    told = {job.label: (job.state, job.where, job.time) for job in running(asked)}
    assert told == {
        "one": ("running", f"{here} ({os.getpid()})", "1:01:40"),
        "c": ("running", "another-host (1)", "0:00:00"),
        "d": ("failed", f"{here} (5)", "0:01:01"),
    }


def test_a_start_here_keeps_its_plan(suite, registry, workspace):
    with Start.here(suite, registry, workspace, ExecutorSettings(jobs=1)) as start:
        found = read_started(workspace, suite.name)
        assert found == StartedSuite(start.graph, "local", start.planned)

"""Jobs in the order of their needs, and jobs that end badly, by every executor that is on each machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dabench.execution.executor import Executor
from dabench.execution.jobs import Job, JobState, Site, run_job
from dabench.execution.local import LocalExecutor
from dabench.execution.schedule import Schedule
from dabench.execution.slurm import SlurmExecutor, SlurmOptions
from tests.execution.work import ended, graph, job, lines


def executor(name: str, folder: Path) -> Executor:
    site = Site(folder / "root", folder / "site")
    return LocalExecutor(site, jobs=2) if name == "processes" else SlurmExecutor(site, SlurmOptions(poll=0.1), name)


def drained(runs: Executor, jobs: dict[str, Job], retries: int = 0) -> dict[str, tuple[str, list[str]]]:
    with runs:
        ends = list(Schedule(runs, jobs, retries).ends())
    return {one.id: (state.status, [other.id for other in lost]) for one, state, lost in ends}


@pytest.mark.parametrize("name", ["processes", "local", "debug"])
def test_needs_come_first_and_a_failure_takes_what_needs_it_and_nothing_else(name, tmp_path):
    runs = executor(name, tmp_path)
    jobs = graph(job("a"), job("bad", "a", function="fail"), job("b", "a"), job("lost", "bad"), job("c", "b", "a"))
    found = drained(runs, jobs)
    assert found == {"a": ("ok", []), "bad": ("failed", ["lost"]), "b": ("ok", []), "c": ("ok", [])}
    assert ended(tmp_path / "root") == ["a", "b", "c"]
    order = lines(tmp_path / "root")
    assert order.index("end a") < order.index("begin b") < order.index("end b") < order.index("begin c")
    state = runs.site.state("bad")
    assert state is not None
    assert state.reason == "ValueError: bad fails"
    assert "Traceback" in runs.site.log("bad").read_text()
    assert runs.site.state("c").value == {"name": "c"}
    assert not list((tmp_path / "site").glob("submitit/*.pkl"))


@pytest.mark.parametrize("name", ["processes", "local"])
def test_a_killed_job_is_tried_again_as_often_as_asked(name, tmp_path):
    jobs = graph(job("a", function="die"), job("b", "a"))
    found = drained(executor(name, tmp_path / "none"), jobs)
    assert found == {"a": ("killed", ["b"])}
    assert ended(tmp_path / "none" / "root") == []
    found = drained(executor(name, tmp_path / "one"), jobs, retries=1)
    assert found == {"a": ("ok", []), "b": ("ok", [])}
    assert ended(tmp_path / "one" / "root") == ["a", "b"]


class Queue(Executor):
    """Stands in for a cluster that sees to the order itself; ``ends`` says how a job ends."""

    orders = True

    def __init__(self, site: Site, ends: Callable[[Job], str] = lambda _: "ok", most: int = 100) -> None:
        self.site, self.end, self.most = site, ends, most
        self.queue: list[Job] = []
        self.submissions: list[list[str]] = []
        self.cancelled: list[str] = []

    def room(self, job, beside=()):
        return len(self.queue) + len(beside) < self.most

    def submit(self, jobs):
        self.submissions.append([one.id for one in jobs])
        self.queue += jobs

    def wait(self):
        first = self.queue.pop(0)
        return [JobState(first.id, self.end(first))]

    def cancel(self, jobs):
        self.cancelled += jobs
        self.queue = [one for one in self.queue if one.id not in jobs]

    def close(self):
        pass


def test_a_queue_is_handed_all_at_once_and_what_needs_a_killed_job_is_submitted_again(tmp_path):
    kills = ["a"]
    runs = Queue(Site(tmp_path, tmp_path), lambda one: "killed" if one.id in kills and not kills.clear() else "ok")
    found = drained(runs, graph(job("a"), job("b", "a"), job("x")), retries=1)
    assert runs.submissions == [["a", "b", "x"], ["a", "b"]]
    assert runs.cancelled == ["b"]
    assert found == {"a": ("ok", []), "b": ("ok", []), "x": ("ok", [])}


def test_a_lost_job_is_submitted_again_without_counting_as_a_try(tmp_path):
    losses = ["a", "a", "b"]
    runs = Queue(
        Site(tmp_path, tmp_path), lambda one: "lost" if one.id in losses and not losses.remove(one.id) else "ok"
    )
    found = drained(runs, graph(job("a"), job("b", "a")))
    assert runs.submissions == [["a", "b"]] * 3 + [["b"]]
    assert found == {"a": ("ok", []), "b": ("ok", [])}


def test_what_ended_with_the_job_that_it_needs_is_tried_once_more(tmp_path):
    """Slurm ends what needs a killed job with it: both ends are seen at once, and the second is the first one's."""

    class Both(Queue):
        def wait(self):
            ended, self.queue = self.queue, []
            return [JobState(one.id, "killed" if len(self.submissions) < 2 else "ok") for one in ended]

    runs = Both(Site(tmp_path, tmp_path))
    assert drained(runs, graph(job("a"), job("b", "a")), retries=1) == {"a": ("ok", []), "b": ("ok", [])}
    assert runs.submissions == [["a", "b"]] * 2


def test_a_queue_of_few_is_filled_as_it_empties(tmp_path):
    runs = Queue(Site(tmp_path, tmp_path), most=2)
    drained(runs, graph(job("a"), job("b"), job("c", "b")))
    assert runs.submissions == [["a", "b"], ["c"]]


def test_what_a_job_says_of_itself_is_a_file_and_nothing_of_it_reaches_the_next_start(tmp_path):
    site = Site(tmp_path / "root", tmp_path / "site")
    state = run_job(job("stage/one"), site)
    assert (state.status, state.value) == ("ok", {"name": "stage/one"})
    assert site.states() == [site.state("stage/one")] == [state]
    schedule = Schedule(Queue(site), graph(job("b")))
    schedule.adopt()
    assert site.states() == []

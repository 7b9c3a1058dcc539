"""Working a suite off: common stages once, statuses, failures that stop nothing else, continuing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence

import pytest

from dabench.cli.suite_report import Lines
from dabench.errors import ConfigError, UnknownNameError
from dabench.execution.jobs import Job, JobState
from dabench.interfaces.observer import Observer
from dabench.suites.planning import make_graph, report
from dabench.suites.spec import Suite, expand
from dabench.suites.suite_record import all_rows, cell_rows, read_suite_record, started_suites, write_suite_record
from dabench.tracking.record import RunRecord
from dabench.tracking.run_reader import read_run
from tests.conftest import PHANTOMS
from tests.suites.conftest import SOURCE, InlineExecutor, run


class Seen(Observer):
    def __init__(self) -> None:
        self.ends: list[tuple[str, str]] = []

    def ended(self, work: str, status: str, values: object = None, reason: str = "") -> None:
        self.ends.append((work, status))


class Tracked:
    """Remembers what a store is told."""

    def __init__(self) -> None:
        self.written: list[RunRecord] = []
        self.summarised: list[tuple[str, list[RunRecord]]] = []

    def write(self, run: RunRecord) -> None:
        self.written.append(run)

    def summarise(self, suite: str, runs: Sequence[RunRecord]) -> None:
        self.summarised.append((suite, list(runs)))


def test_a_suite_trains_common_stages_once_and_is_then_done(suite, registry, workspace, inline):
    tracked = Tracked()
    done = run(suite, registry, workspace, inline, track=tracked)
    assert done.counts() == {"ok": 4}
    stages = [job.label for job in inline.jobs if job.id.startswith("stage-")]
    assert sorted(stages) == [
        "human2stem s0 stage prompt-das",
        "human2stem s0 stage supervised",
        "human2stem s1 stage prompt-das",
        "human2stem s1 stage supervised",
    ]
    assert done.graph.updates() == (2 * 12, 2 * (6 + 12))
    once, alone = done.graph.seconds() or (0, 0)
    assert 0 < once < alone
    assert {run.suite for run in tracked.written} == {"two-rows"}
    assert sorted(run.tags["row"] for run in tracked.written) == ["prompt", "prompt", "source", "source"]
    ((name, runs),) = tracked.summarised
    assert (name, [run.tags["row"] for run in runs]) == ("two-rows", ["source", "source", "prompt", "prompt"])

    again = InlineExecutor(workspace.root)
    assert run(suite, registry, workspace, again).counts() == {"ok": 4}
    assert again.jobs == []


def test_the_record_says_which_cell_is_which_row(suite, registry, workspace, inline):
    run(suite.changed({}, {"seed": [0]}), registry, workspace, inline)
    record = read_suite_record(workspace, "two-rows")
    assert [c["row"] for c in record["cells"]] == ["source", "prompt"]
    assert all((workspace.runs / c["cell_id"]).is_dir() for c in record["cells"])
    assert started_suites(workspace) == ["two-rows"]
    other = suite.changed({}, {"seed": [1]}).model_copy(update={"rows": {"source": suite.rows["source"]}})
    write_suite_record(workspace, other, expand(other))
    listed = [(c["row"], c["place"]["seed"]) for c in read_suite_record(workspace, "two-rows")["cells"]]
    assert listed == [("source", 0), ("source", 1)], "another seed is added, a row that is gone is dropped"
    assert list(cell_rows(workspace, "two-rows").values()) == ["source", "source"]
    assert all_rows(workspace) == {"two-rows": cell_rows(workspace, "two-rows")}
    one = suite.changed({}, {"seed": [2]}).with_rows(["prompt"])
    write_suite_record(workspace, one, expand(one))
    listed = [(c["row"], c["place"]["seed"]) for c in read_suite_record(workspace, "two-rows")["cells"]]
    assert listed == [("source", 0), ("source", 1), ("prompt", 2)], "a row that is not chosen stays"
    with pytest.raises(UnknownNameError, match="Did you mean 'two-rows'"):
        read_suite_record(workspace, "two-row")


@pytest.mark.slow
def test_results_are_those_of_single_runs(suite, registry, workspace, inline, tmp_path):
    from dabench.files.workspace import Workspace
    from dabench.runs.runner import run_cell

    one = suite.changed({}, {"seed": [1]})
    run(one, registry, workspace, inline)
    for cell in expand(one):
        alone = run_cell(cell.config, registry, Workspace(tmp_path / "alone"))
        assert (
            read_run(workspace.runs / cell.config.cell_id).metrics["target_test/dice"]
            == (alone.metrics["target_test/dice"])
        )


def test_a_failed_stage_fails_its_cells_and_no_other(suite, registry, workspace):
    def before(job: Job) -> JobState | None:
        broken = job.label == "human2stem s0 stage prompt-das"
        return JobState(job.id, "oom", "out of memory: no room") if broken else None

    seen = Seen()
    done = run(suite, registry, workspace, InlineExecutor(workspace.root, before), observer=seen)
    assert done.counts() == {"ok": 3, "oom": 1}
    (lost,) = done.failed
    assert lost.reason == "human2stem s0 stage prompt-das: out of memory: no room"
    assert read_run(workspace.runs / lost.cell_id).status == "oom"
    cells = {node.cell.config.cell_id for node in done.graph.cells}
    assert {work: status for work, status in seen.ends if work in cells} == {c.cell_id: c.status for c in done.cells}

    again = InlineExecutor(workspace.root)
    assert run(suite, registry, workspace, again).counts() == {"ok": 4}
    assert [j.label for j in again.jobs] == ["human2stem s0 stage prompt-das", "human2stem s0 prompt"]


def test_a_killed_job_is_tried_again_as_often_as_asked(suite, registry, workspace):
    kills: list[str] = []

    def before(job: Job) -> JobState | None:
        if job.label == "human2stem s0 stage supervised" and len(kills) < 2:
            kills.append(job.id)
            return JobState(job.id, "killed", "killed by SIGKILL")
        return None

    small = suite.changed({}, {"seed": [0]})
    done = run(small, registry, workspace, InlineExecutor(workspace.root, before), retries=1)
    assert done.counts() == {"killed": 2}
    kills.clear()
    done = run(small, registry, workspace, InlineExecutor(workspace.root, before), retries=2)
    assert done.counts() == {"ok": 2}


def test_a_diverging_cell_says_why(registry, workspace, inline):
    options = {"source-only": SOURCE["source-only"] | {"lr": 1e30, "clip": 0}}
    suite = Suite.model_validate(
        {
            "name": "nan",
            "settings": {"data": "phantom", "preset": "tiny", "task": "human2stem", "options": PHANTOMS},
            "rows": {
                "wild": {"method": "source-only", "options": options},
                "tame": {"method": "source-only", "options": SOURCE},
            },
        }
    )
    done = run(suite, registry, workspace, inline)
    assert done.counts() == {"failed": 1, "ok": 1}
    assert "DivergedError" in done.failed[0].reason


def test_skipped_excluded_and_missing_cells_are_rows(registry, workspace, inline, monkeypatch, tmp_path):
    monkeypatch.setenv("DABENCH_DATA", str(tmp_path / "nothing"))
    suite = Suite.model_validate(
        {
            "name": "mixed",
            "settings": {"preset": "tiny", "method": "source-only", "options": SOURCE},
            "rows": {
                "real": {"task": "lucchi2vnc"},
                "unlabelled": {"task": "human2stem", "data": "phantom", "seed": 3},
            },
            "exclude": [{"row": "unlabelled", "why": "a test"}],
        }
    )
    done = run(suite, registry, workspace, inline)
    assert [(c.status, c.reason.split(":")[0]) for c in done.cells] == [
        ("missing", "files are missing"),
        ("excluded", "a test"),
    ]
    assert inline.jobs == []


def test_settings_that_cannot_be_are_named_before_anything_runs(suite, registry, workspace, inline):
    wrong = suite.model_copy(update={"rows": {**suite.rows, "odd": {"method": "source-only", "po": "slpo"}}})
    with pytest.raises(ConfigError, match=r"2 of 6 cells are invalid(.|\n)*odd \(seed 0\).*no setting 'po'"):
        run(wrong, registry, workspace, inline)
    assert not workspace.runs.exists()


def test_a_cell_of_other_code_is_stale(suite, registry, workspace, inline):
    small = suite.changed({}, {"seed": [0]})
    run(small, registry, workspace, inline)
    cell = expand(small)[0].config.cell_id
    journal = workspace.runs / cell / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for line in lines:
        if line["event"] == "stage_finished":
            line["key"] = "0" * 24
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert report(small, registry, workspace).counts() == {"stale": 1, "ok": 1}
    again = InlineExecutor(workspace.root)
    run(small, registry, workspace, again)
    assert [j.label for j in again.jobs] == ["human2stem s0 source"]


def test_the_plan_estimates_from_what_has_run(suite, registry, workspace, inline):
    run(suite.changed({}, {"seed": [0]}), registry, workspace, inline)
    graph = make_graph(suite, registry, workspace)
    seconds, unknown = graph.left()
    assert unknown == 0
    assert seconds == pytest.approx(sum(s.seconds or 0 for s in graph.stages.values()))
    assert graph.seconds() is None


@pytest.mark.slow
def test_a_stage_that_was_altered_is_told_and_on_record_in_the_cells_that_read_it(
    suite, registry, workspace, inline, capsys
):
    graph = run(suite, registry, workspace, inline).graph
    shared = next(n.keys[0] for n in graph.cells if n.cell.config.seed == 0)
    with (workspace.stages / shared / "model.safetensors").open("ab") as weights:
        weights.write(b"x")
    for made in workspace.runs.iterdir():  # what was run is forgotten, the stages are not
        shutil.rmtree(made) if made.is_dir() else made.unlink()
    # A job for the shared stage finds it first; the cells find what it made.
    shutil.rmtree(workspace.stages / next(n.keys[1] for n in graph.cells if len(n.keys) > 1))
    lines = Lines(suite.name)
    again = run(suite, registry, workspace, inline, observer=lines)
    assert again.counts() == {"ok": 4}
    said = {n.cell.config.cell_id: read_run(workspace.runs / n.cell.config.cell_id).altered for n in again.graph.cells}
    for node in again.graph.cells:
        assert [e.work for e in said[node.cell.config.cell_id]] == ["supervised"] * (shared in node.keys)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  altered")]
    assert line.startswith("  altered  supervised: model.safetensors changed since it was trained")

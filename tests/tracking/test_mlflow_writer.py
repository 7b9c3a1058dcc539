"""What a run looks like in MLflow, read back through its client."""

from __future__ import annotations

import logging
import re
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from dabench.files.workspace import sqlite_path
from dabench.tracking import read_run
from dabench.tracking.mlflow_store import redact
from dabench.tracking.mlflow_writer import MlflowWriter
from dabench.tracking.sqlite_file import TrackingError
from dabench.tracking.translate import IDENTITY


def runs_in(uri, experiment="dabench/adhoc"):
    client = MlflowClient(uri)
    return list(client.search_runs([client.get_experiment_by_name(experiment).experiment_id]))


@pytest.fixture
def written(workspace, make_run):
    record = read_run(make_run(workspace.runs))
    run_id = MlflowWriter(workspace.tracking_uri).write(record)
    client = MlflowClient(workspace.tracking_uri)
    return record, client, client.get_run(run_id)


def test_tags_params_metrics(written):
    _, _, run = written
    assert {f"dabench.{name}" for name in IDENTITY} <= set(run.data.tags)
    assert run.data.tags["dabench.task"] == "human2stem"
    assert run.data.tags["dabench.suite"] == "adhoc"
    assert run.data.tags["dabench.status"] == "ok"
    assert run.data.params["method.settings.beta"] == "0.1"
    assert len(run.data.params["note"]) == 6000
    assert run.data.metrics["target_test/dice"] == 0.8
    assert run.data.metrics["target_test/das-2d-pooled.v1/dice"] == 0.7
    assert run.data.metrics["cost/annotation_seconds"] == 75
    assert {"target_test/aji", "target_test/pq", "stage/prompt-das/dice", "time/train", "cost/train_seconds"} <= set(
        run.data.metrics
    )
    assert run.info.run_name == "prefer-das+slpo s0 human2stem"


def test_status_and_times_are_those_of_the_journal(written):
    record, _, run = written
    assert run.info.status == "FINISHED"
    assert run.info.start_time == pytest.approx(_ms(record.started), abs=1)
    assert run.info.end_time == pytest.approx(_ms(record.ended), abs=1)


def _ms(time):
    from datetime import datetime

    return datetime.fromisoformat(time).timestamp() * 1000


def test_losses_over_steps_are_thinned_out(written):
    _, client, run = written
    history = client.get_metric_history(run.info.run_id, "train/prompt-das/loss")
    assert len(history) == 50
    assert (history[0].step, history[-1].step) == (0, 899)
    assert history[0].value == 1.0
    assert len(client.get_metric_history(run.info.run_id, "train/slpo/seg")) == 40


def test_inputs_have_our_own_digests(written):
    _, _, run = written
    found = {i.dataset.name: i for i in run.inputs.dataset_inputs}
    assert found["human/train"].dataset.digest == "a" * 36
    assert "a" * 64 in found["human/train"].dataset.profile
    assert {t.key: t.value for t in found["stem/test"].tags} == {"mlflow.data.context": "test"}


def test_artifacts(written):
    record, client, run = written
    names = {a.path for a in client.list_artifacts(run.info.run_id)}
    assert {"config.json", "environment.json", "receipt.json", "per_slice", "curves", "panels"} <= names
    assert "predictions" not in names
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    assert folder.is_relative_to(record.path.parents[1] / "mlartifacts")
    assert (folder / "panels" / "z000.png").read_text() == "not really a picture"


@pytest.mark.parametrize(("status", "shown"), [("failed", "FAILED"), ("oom", "FAILED"), ("skipped", "KILLED")])
def test_status_of_a_cell_that_did_not_end_well(workspace, make_run, status, shown):
    record = read_run(make_run(workspace.runs, status=status))
    MlflowWriter(workspace.tracking_uri).write(record, "dabench/suite-x")
    (run,) = runs_in(workspace.tracking_uri, "dabench/suite-x")
    assert run.info.status == shown
    assert run.data.tags["dabench.status"] == status
    assert run.data.tags["dabench.reason"] == "loss became NaN at step 7"


def test_suite_names_the_experiment(workspace, make_run):
    MlflowWriter(workspace.tracking_uri).write(read_run(make_run(workspace.runs, suite="table-2")))
    assert len(runs_in(workspace.tracking_uri, "dabench/table-2")) == 1


def test_a_cell_is_never_there_twice(workspace, make_run):
    writer = MlflowWriter(workspace.tracking_uri)
    first = writer.write(read_run(make_run(workspace.runs, dice=0.5)))
    assert writer.write(read_run(workspace.runs / "cell-1")) == first
    second = writer.write(read_run(make_run(workspace.runs, dice=0.6)))
    assert second != first
    (run,) = runs_in(workspace.tracking_uri)
    assert run.data.metrics["target_test/dice"] == 0.6
    assert [p.name for p in (workspace.artifacts / "dabench" / "adhoc").iterdir()] == [second]


def test_half_written_run_is_replaced(workspace, make_run, monkeypatch):
    record = read_run(make_run(workspace.runs))
    writer = MlflowWriter(workspace.tracking_uri)
    with monkeypatch.context() as patch:
        patch.setattr(MlflowWriter, "_upload", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            writer.write(record)
    assert len(runs_in(workspace.tracking_uri)) == 1
    writer.write(record)
    (run,) = runs_in(workspace.tracking_uri)
    assert run.info.status == "FINISHED"


def test_two_writers_wait_for_each_other(workspace, make_run):
    records = [read_run(make_run(workspace.runs, f"cell-{i}", seed=i)) for i in range(4)]

    def write(record):
        return MlflowWriter(workspace.tracking_uri).write(record)

    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(write, records))
    assert len(set(ids)) == 4
    assert len(runs_in(workspace.tracking_uri)) == 4


@pytest.mark.slow
def test_two_processes_may_create_the_store_at_once(tmp_path, make_run):
    code = (
        "import sys; from pathlib import Path\n"
        "from dabench.tracking import read_run\n"
        "from dabench.tracking.mlflow_writer import MlflowWriter\n"
        "MlflowWriter(sys.argv[1]).write(read_run(Path(sys.argv[2])))"
    )
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    dirs = [make_run(tmp_path / "runs", f"cell-{i}") for i in range(2)]
    processes = [subprocess.Popen([sys.executable, "-c", code, uri, str(d)]) for d in dirs]
    assert [p.wait(120) for p in processes] == [0, 0]
    assert len(runs_in(uri)) == 2


def test_broken_store_says_that_no_result_is_lost(tmp_path):
    (tmp_path / "mlflow.db").write_text("this is not a database, and it is long enough to look like one" * 20)
    with pytest.raises(TrackingError, match="dabench results sync"):
        MlflowWriter(f"sqlite:///{tmp_path / 'mlflow.db'}")


def test_no_chatter(workspace, make_run, capfd):
    MlflowWriter(workspace.tracking_uri).write(read_run(make_run(workspace.runs)))
    assert "".join(capfd.readouterr()) == ""
    assert logging.getLogger("mlflow").level == logging.ERROR


def test_no_user_or_host_in_the_store(written, workspace):
    import getpass
    import platform

    tables = sqlite3.connect(sqlite_path(workspace.tracking_uri))
    tags = {value for (value,) in tables.execute("select value from tags")}
    users = {value for (value,) in tables.execute("select user_id from runs")}
    assert not {getpass.getuser(), platform.node()} & (tags | users)


def test_passwords_are_not_shown():
    assert redact("postgresql://me:secret@host/db") == "postgresql://…@host/db"
    assert redact("sqlite:////tmp/a.db") == "sqlite:////tmp/a.db"


def test_only_tracking_imports_mlflow():
    root = Path(__file__).parents[2] / "dabench"
    wanted = re.compile(r"^\s*(import|from) mlflow", re.MULTILINE)
    importers = [p for p in root.rglob("*.py") if wanted.search(p.read_text())]
    assert importers
    assert {p.parent for p in importers} == {root / "tracking"}

"""The file of a SQLite store: odd addresses, files that are no store, a birth cut off, a move."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from dabench.files.workspace import Workspace, sqlite_path, sqlite_uri
from dabench.tracking import read_run
from dabench.tracking.mlflow_reader import read_cells
from dabench.tracking.mlflow_writer import MlflowWriter
from dabench.tracking.sqlite_file import TrackingError


@pytest.mark.parametrize("name", ["w?x=1", "w%20", "w%3Fx", "w x#1", "wü%"])
def test_an_address_gives_its_path_back(name):
    path = Path("/data") / name / "mlflow.db"
    assert sqlite_path(sqlite_uri(path)) == path


@pytest.mark.parametrize("name", ["w?x=1", "w%20"])
def test_a_store_lies_in_its_workspace_alone(tmp_path, empty_store, make_run, name):
    place = Workspace(tmp_path / name)
    place.root.mkdir()
    shutil.copy(empty_store, place.root / "mlflow.db")
    MlflowWriter(place.tracking_uri).write(read_run(make_run(place.runs)))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert len(list(read_cells(place.tracking_uri))) == 1


def _cut_off(path):
    """As a kill in the middle leaves it: some tables, and a version that is older than they are."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DROP TABLE logged_models")
        db.execute("DELETE FROM alembic_version")


def test_a_store_whose_birth_was_cut_off_is_made_anew(workspace, make_run):
    _cut_off(workspace.root / "mlflow.db")
    told = []
    MlflowWriter(workspace.tracking_uri, warn=told.append).write(read_run(make_run(workspace.runs)))
    assert len(told) == 1
    assert "interrupted" in told[0]
    assert (workspace.root / "mlflow.db.unfinished").is_file()
    assert len(list(read_cells(workspace.tracking_uri))) == 1


def test_a_store_that_holds_runs_is_never_set_aside(workspace, make_run):
    MlflowWriter(workspace.tracking_uri).write(read_run(make_run(workspace.runs)))
    newer = workspace.root / "newer.db"
    shutil.copy(workspace.root / "mlflow.db", newer)
    with closing(sqlite3.connect(newer)) as db, db:
        db.execute("UPDATE alembic_version SET version_num = 'from-the-future'")
    before = newer.read_bytes()
    with pytest.raises(TrackingError, match=r"cannot be used.*from-the-future"):
        MlflowWriter(sqlite_uri(newer))
    assert newer.read_bytes() == before


def test_nothing_half_made_bears_the_name(tmp_path, empty_store, monkeypatch):
    """MLflow makes its tables under another name; what a kill left there is no store and is made again."""
    seen = []

    def cut_off(uri):
        seen.append(sqlite_path(uri))
        sqlite_path(uri).write_bytes(b"SQLite format 3\0, and then the lights went out")
        raise OSError("cut off")

    monkeypatch.setattr("dabench.tracking.mlflow_store.connect", cut_off)
    with pytest.raises(TrackingError):
        MlflowWriter(sqlite_uri(tmp_path / "mlflow.db"))
    assert seen != [tmp_path / "mlflow.db"]
    assert not (tmp_path / "mlflow.db").exists()
    monkeypatch.setattr("dabench.tracking.mlflow_store.connect", lambda uri: shutil.copy(empty_store, sqlite_path(uri)))
    MlflowWriter(sqlite_uri(tmp_path / "mlflow.db"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mlflow.db.lock", "mlflow.db"]


def _folder(path):
    path.mkdir()


def _foreign(path):
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE birds (name TEXT)")


def _text(path):
    path.write_text("no database, but long enough to be taken for one" * 20)


@pytest.mark.parametrize(
    ("make", "message"),
    [(_folder, "is a folder"), (_foreign, "another program.*birds"), (_text, "not a database")],
)
def test_what_is_no_store_is_refused_at_once(tmp_path, make, message):
    path = tmp_path / "mlflow.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    started = time.monotonic()
    with pytest.raises(TrackingError, match=message):
        MlflowWriter(sqlite_uri(path))
    assert time.monotonic() - started < 20, "MLflow tries again for a hundred seconds"
    assert (path.read_bytes() if path.is_file() else None) == before


@pytest.mark.parametrize("moved", [True, False])
def test_a_workspace_elsewhere_writes_into_itself(tmp_path, empty_store, make_run, moved):
    old, new = Workspace(tmp_path / "old é"), Workspace(tmp_path / "new%20")
    old.root.mkdir()
    shutil.copy(empty_store, old.root / "mlflow.db")
    first = MlflowWriter(old.tracking_uri).write(read_run(make_run(old.runs)))
    kept = sorted(p.relative_to(old.root) for p in old.artifacts.rglob("*"))
    (shutil.move if moved else shutil.copytree)(old.root, new.root)
    told = []
    writer = MlflowWriter(new.tracking_uri, warn=told.append)
    second = writer.write(read_run(make_run(new.runs, "another")))
    assert len(told) == 1, "told once"
    assert "its artifacts were at" in told[0]
    assert moved is not old.root.exists()
    assert moved or sorted(p.relative_to(old.root) for p in old.artifacts.rglob("*")) == kept
    client = writer._store.client
    for run_id in (first, second):
        assert "curves" in {found.path for found in client.list_artifacts(run_id)}
        assert client.get_run(run_id).info.artifact_uri.startswith(new.artifacts.as_uri())


def test_a_deleted_experiment_is_restored(workspace, make_run):
    writer = MlflowWriter(workspace.tracking_uri)
    run = read_run(make_run(workspace.runs))
    run_id = writer.write(run)
    client = writer._store.client
    client.delete_experiment(client.get_run(run_id).info.experiment_id)
    told = []
    MlflowWriter(workspace.tracking_uri, warn=told.append).write(run)
    assert len(told) == 1
    assert "restored" in told[0]
    assert len(list(read_cells(workspace.tracking_uri))) == 1

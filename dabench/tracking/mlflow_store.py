"""One MLflow store: a quiet client, a lock, experiments and their runs. MLflow is imported when connecting."""

from __future__ import annotations

import logging
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, unquote, urlparse

from dabench.errors import DabenchError
from dabench.files.workspace import sqlite_path
from dabench.tracking.lock import exclusive
from dabench.tracking.sqlite_file import TrackingError, move_locations, open_store

if TYPE_CHECKING:
    from mlflow.entities import Experiment, Run
    from mlflow.store.entities import PagedList
    from mlflow.tracking import MlflowClient

_T = TypeVar("_T")

#: Opens the experiment among the pages for trained models.
_TRAINING = {"mlflow.experimentKind": "custom_model_development"}
#: Folder of the artifacts, beside a SQLite file.
_ARTIFACTS = "mlartifacts"
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "GIT_PYTHON_REFRESH": "quiet",
}


class Store:
    """What the writer needs of a store. Every use lies within ``with store.open():``."""

    def __init__(
        self, tracking_uri: str, artifact_root: Path | None, warn: Callable[[str], None] | None = None
    ) -> None:
        """Connect; a new SQLite file gets its tables here. Arguments as for `MlflowWriter`."""
        self.uri, self._path, self._warn = tracking_uri, sqlite_path(tracking_uri), warn or warn_python
        self.artifact_root = artifact_root or (self._path.parent / _ARTIFACTS if self._path else None)
        self._experiments: dict[str, str] = {}
        with self.open():
            path = self._path
            self.client = open_store(path, connect, tracking_uri, self._warn) if path else connect(tracking_uri)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Hold the store's lock, and turn MLflow's errors into one that says what to do."""
        with self._lock():
            try:
                yield
            except DabenchError:
                raise
            except Exception as error:
                first = str(error).strip().splitlines()[:1]
                raise TrackingError(
                    f"MLflow store {redact(self.uri)} cannot be used: {type(error).__name__}: {''.join(first)[:300]}",
                    "No result is lost. When the store is back: dabench results sync",
                ) from error

    def _lock(self) -> AbstractContextManager[None]:
        """SQLite takes one writer at a time, and two processes must not both create its tables."""
        path = self._path
        return exclusive(path.with_name(f".{path.name}.lock")) if path else nullcontext()

    def experiment(self, name: str) -> str:
        """The id of an experiment: found, brought back from MLflow's bin, or made."""
        if name not in self._experiments:
            found = self.client.get_experiment_by_name(name)
            self._experiments[name] = self._usable(found) if found else self._new_experiment(name)
        return self._experiments[name]

    def _usable(self, found: Experiment) -> str:
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
            self._warn(f"MLflow experiment {found.name} had been deleted; it is restored")
        self._bring_artifacts_home(found)
        identity: str = found.experiment_id
        return identity

    def _bring_artifacts_home(self, found: Experiment) -> None:
        """After its folder was moved or copied a store still names the old place, and would write there."""
        ending = f"/{_ARTIFACTS}/{quote(found.name)}"
        location = str(found.artifact_location)
        if self._path is None or self.artifact_root is None or not location.startswith("file:"):
            return
        home = self.artifact_root.resolve().as_uri()
        before = location.removesuffix(f"/{quote(found.name)}")
        if location.endswith(ending) and before != home:
            move_locations(self._path, before + "/", home + "/")
            self._warn(f"MLflow store {self._path}: its artifacts were at {unquote(before)}; they are now at {home}")

    def _new_experiment(self, name: str) -> str:
        location = None
        if self.artifact_root is not None:
            folder = self.artifact_root.resolve() / name
            folder.mkdir(parents=True, exist_ok=True)
            location = folder.as_uri()
        made: str = self.client.create_experiment(name, artifact_location=location, tags=_TRAINING)
        return made

    def runs(self, experiment_id: str, query: str = "") -> Iterator[Run]:
        """The runs of an experiment that match a query in MLflow's words."""
        return paged(self.client.search_runs, [experiment_id], query)

    def artifacts_of(self, run_id: str) -> Path | None:
        """The folder of a run's artifacts where it is one of ours on this machine."""
        uri, root = urlparse(self.client.get_run(run_id).info.artifact_uri), self.artifact_root
        path = Path(unquote(uri.path))
        ours = root and uri.scheme == "file" and path.parent.name == run_id and path.is_relative_to(root.resolve())
        return path if ours else None

    def delete(self, run_id: str) -> None:
        """Remove a run, and its files where they are ours to remove."""
        home = self.artifacts_of(run_id)
        self.client.delete_run(run_id)
        if home is not None:
            shutil.rmtree(home.parent, ignore_errors=True)


def connect(uri: str) -> MlflowClient:
    """A client of a store that answers; MLflow is imported here, and kept quiet."""
    os.environ.update(quiet_environment())
    from mlflow.tracking import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    client = MlflowClient(tracking_uri=uri)
    client.search_experiments(max_results=1)
    return client


def paged(search: Callable[..., PagedList[_T]], *asked: Any) -> Iterator[_T]:
    """All that a search of a client finds, page by page."""
    token: str | None = None
    while True:
        page = search(*asked, max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def warn_python(text: str) -> None:
    """Tell a caller in Python what was mended."""
    warnings.warn(text, RuntimeWarning, stacklevel=2)


def redact(uri: str) -> str:
    """The URI without the password that it may hold."""
    return re.sub(r"//[^/@]+@", "//…@", uri)


def quiet_environment() -> dict[str, str]:
    """Settings that keep MLflow from chatting, phoning home and waiting for minutes; the user's own come first."""
    return {**_QUIET, **{k: v for k, v in os.environ.items() if k in _QUIET}}

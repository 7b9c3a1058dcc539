"""One MLflow store: a quiet client, a lock, experiments and their runs. MLflow is imported when connecting."""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from dabench.errors import DabenchError
from dabench.tracking.lock import exclusive

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

#: Opens the experiment among the pages for trained models.
_TRAINING = {"mlflow.experimentKind": "custom_model_development"}
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "GIT_PYTHON_REFRESH": "quiet",
}


class TrackingError(DabenchError):
    """The MLflow store cannot be used. No result is lost: the run directories hold everything."""


class Store:
    """What the writer needs of a store. Every use lies within ``with store.open():``."""

    def __init__(self, tracking_uri: str, artifact_root: Path | None = None) -> None:
        """Connect; a new SQLite file gets its tables here. Arguments as for `MlflowWriter`."""
        self.uri = tracking_uri
        path = sqlite_path(tracking_uri)
        self.artifact_root = artifact_root or (path.parent / "mlartifacts" if path else None)
        self._experiments: dict[str, str] = {}
        with self.open():
            self.client = connect(tracking_uri)

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
        path = sqlite_path(self.uri)
        return exclusive(path.with_name(f".{path.name}.lock")) if path else nullcontext()

    def experiment(self, name: str) -> str:
        """The id of an experiment, made if need be."""
        if name not in self._experiments:
            found = self.client.get_experiment_by_name(name)
            self._experiments[name] = found.experiment_id if found else self._new_experiment(name)
        return self._experiments[name]

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
        token: str | None = None
        while True:
            page = self.client.search_runs([experiment_id], query, max_results=1000, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def delete(self, run_id: str) -> None:
        """Remove a run, and its files where they are ours to remove."""
        uri = urlparse(self.client.get_run(run_id).info.artifact_uri)
        self.client.delete_run(run_id)
        folder = Path(unquote(uri.path)).parent
        root = self.artifact_root
        if root and uri.scheme == "file" and folder.name == run_id and folder.is_relative_to(root.resolve()):
            shutil.rmtree(folder, ignore_errors=True)


def connect(uri: str) -> MlflowClient:
    """A client of a store that answers; MLflow is imported here, and kept quiet."""
    os.environ.update(quiet_environment())
    from mlflow.tracking import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    client = MlflowClient(tracking_uri=uri)
    client.search_experiments(max_results=1)
    return client


def sqlite_path(uri: str) -> Path | None:
    """The file of a SQLite store, or None for any other store."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def redact(uri: str) -> str:
    """The URI without the password that it may hold."""
    return re.sub(r"//[^/@]+@", "//…@", uri)


def quiet_environment() -> dict[str, str]:
    """Settings that keep MLflow from chatting, phoning home and waiting for minutes; the user's own come first."""
    return {**_QUIET, **{k: v for k, v in os.environ.items() if k in _QUIET}}

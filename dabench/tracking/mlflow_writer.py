"""Carries runs to MLflow. The only module that imports mlflow, and only when a writer is made."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlparse

from dabench.errors import DabenchError
from dabench.tracking.events import InputData
from dabench.tracking.lock import exclusive
from dabench.tracking.record import RunRecord
from dabench.tracking.translate import (
    PREFIX,
    description_of,
    milliseconds,
    name_of,
    ordered,
    params_of,
    plain,
    signature,
    tags_of,
    thin,
)

if TYPE_CHECKING:
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

_T = TypeVar("_T")

CELL_TAG = f"{PREFIX}cell_id"
#: Written last: a run that has it is complete, and holds what the journal of that signature says.
DIGEST_TAG = f"{PREFIX}journal_digest"
_STATUS = {"ok": "FINISHED", "failed": "FAILED", "oom": "FAILED"}
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


@dataclass(frozen=True)
class StoredRun:
    """A run that the store has: its id and the signature of what it was written from ("": incomplete)."""

    run_id: str
    digest: str


class TrackingError(DabenchError):
    """The MLflow store cannot be used. No result is lost: the run directories hold everything."""


class MlflowWriter:
    """Writes runs to one MLflow store: complete, once each, and in order when several processes write."""

    def __init__(self, tracking_uri: str, artifact_root: Path | None = None) -> None:
        """Connect to the store; a new SQLite file gets its tables here.

        Args:
            tracking_uri: any MLflow tracking URI.
            artifact_root: where a new experiment keeps its artifacts; None is ``mlartifacts`` beside a SQLite file,
                and for any other store what its server decides.
        """
        self.uri = tracking_uri
        path = sqlite_path(tracking_uri)
        self.artifact_root = artifact_root or (path.parent / "mlartifacts" if path else None)
        self._experiments: dict[str, str] = {}
        with self._guarded():
            self._client = _client(tracking_uri)

    def write(self, run: RunRecord, experiment: str | None = None) -> str:
        """Write a run and return its id; an earlier run of the same cell is replaced, an equal one is left alone."""
        with self._guarded():
            experiment_id = self._experiment(experiment or experiment_name(run))
            earlier = self._find(experiment_id, f"tags.`{CELL_TAG}` = '{run.cell_id}'").get(run.cell_id, [])
            digest = signature(run)
            same = next((e.run_id for e in earlier if e.digest == digest), None)
            run_id = same or self._create(run, experiment_id, digest)
            for old in earlier:
                if old.run_id != run_id:
                    self._delete(old.run_id)
            return run_id

    def stored(self, experiment: str) -> dict[str, list[StoredRun]]:
        """What the store has of an experiment, by cell."""
        with self._guarded():
            return self._find(self._experiment(experiment))

    # ------------------------------------------------------------------------------------------------------ one run
    def _create(self, run: RunRecord, experiment_id: str, digest: str) -> str:
        made = self._client.create_run(
            experiment_id, start_time=milliseconds(run.started), tags=_first_tags(run), run_name=name_of(run)
        )
        run_id: str = made.info.run_id
        self._log(run_id, run)
        self._upload(run_id, run)
        self._client.set_terminated(run_id, _STATUS.get(run.status, "KILLED"), milliseconds(run.ended))
        self._client.set_tag(run_id, DIGEST_TAG, digest)
        return run_id

    def _log(self, run_id: str, run: RunRecord) -> None:
        from mlflow.entities import Param

        for some in _batches(params_of(run).items(), 100):
            self._client.log_batch(run_id, params=[Param(k, v) for k, v in some])
        for values in _batches(_metrics(run), 900):
            self._client.log_batch(run_id, metrics=values)
        if run.inputs:
            self._client.log_inputs(run_id, datasets=[_dataset_input(i) for i in run.inputs])

    def _upload(self, run_id: str, run: RunRecord) -> None:
        for path in run.artifacts:
            folder = path.parent.as_posix()
            self._client.log_artifact(run_id, str(run.path / path), None if folder == "." else folder)

    def _delete(self, run_id: str) -> None:
        """Remove a replaced run, and its files where they are ours to remove."""
        uri = urlparse(self._client.get_run(run_id).info.artifact_uri)
        self._client.delete_run(run_id)
        folder = Path(unquote(uri.path)).parent
        root = self.artifact_root
        if root and uri.scheme == "file" and folder.name == run_id and folder.is_relative_to(root.resolve()):
            shutil.rmtree(folder, ignore_errors=True)

    # ------------------------------------------------------------------------------------------------------ the store
    def _experiment(self, name: str) -> str:
        if name not in self._experiments:
            found = self._client.get_experiment_by_name(name)
            self._experiments[name] = found.experiment_id if found else self._new_experiment(name)
        return self._experiments[name]

    def _new_experiment(self, name: str) -> str:
        location = None
        if self.artifact_root is not None:
            folder = self.artifact_root.resolve() / name
            folder.mkdir(parents=True, exist_ok=True)
            location = folder.as_uri()
        made: str = self._client.create_experiment(name, artifact_location=location, tags=_TRAINING)
        return made

    def _find(self, experiment_id: str, query: str = "") -> dict[str, list[StoredRun]]:
        found: dict[str, list[StoredRun]] = {}
        token: str | None = None
        while True:
            page = self._client.search_runs([experiment_id], query, max_results=1000, page_token=token)
            for run in page:
                stored = StoredRun(run.info.run_id, run.data.tags.get(DIGEST_TAG, ""))
                found.setdefault(run.data.tags.get(CELL_TAG, ""), []).append(stored)
            token = page.token
            if not token:
                return found

    @contextmanager
    def _guarded(self) -> Iterator[None]:
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


def experiment_name(run: RunRecord) -> str:
    """The experiment that a run belongs to."""
    return f"dabench/{run.suite}"


def sqlite_path(uri: str) -> Path | None:
    """The file of a SQLite store, or None for any other store."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def redact(uri: str) -> str:
    """The URI without the password that it may hold."""
    return re.sub(r"//[^/@]+@", "//…@", uri)


def quiet_environment() -> dict[str, str]:
    """Settings that keep MLflow from chatting, phoning home and waiting for minutes; the user's own come first."""
    return {**_QUIET, **{k: v for k, v in os.environ.items() if k in _QUIET}}


def _client(uri: str) -> MlflowClient:
    os.environ.update(quiet_environment())
    from mlflow.tracking import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    client = MlflowClient(tracking_uri=uri)
    client.search_experiments(max_results=1)
    return client


def _batches(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _first_tags(run: RunRecord) -> dict[str, str]:
    """Our own tags and the few of MLflow's that its pages show."""
    tags = tags_of(run) | {"mlflow.note.content": description_of(run), "mlflow.source.name": "dabench"}
    commit = run.tags.get("git_commit")
    return tags | ({"mlflow.source.git.commit": commit} if commit else {})


def _metrics(run: RunRecord) -> Iterator[Metric]:
    """Final numbers at step 0, then each loss curve, thinned out, at the time when its stage ended."""
    from mlflow.entities import Metric

    for name, value in ordered(run.metrics):
        yield Metric(plain(name), value, milliseconds(run.times[name]), 0)
    ends = {stage.stage: stage.time for stage in run.stages}
    for stage, curve in run.curves.items():
        time = milliseconds(ends.get(stage, run.ended))
        for term, (steps, values) in curve.terms.items():
            for i in thin(len(steps)):
                yield Metric(plain(f"train/{stage}/{term}"), values[i], time, steps[i])


def _dataset_input(data: InputData) -> Any:
    """Our own name and digest of what was read; MLflow's field takes 36 characters, the profile holds all."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    web = data.source.startswith(("http://", "https://"))
    dataset = Dataset(
        name=data.name,
        digest=data.digest[:36],
        source_type="http" if web else "local",
        source=json.dumps({"url" if web else "uri": data.source}),
        profile=json.dumps({"sha256": data.digest}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", data.context)] if data.context else [])
